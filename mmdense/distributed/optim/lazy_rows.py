"""Dense SGD at the cost of the rows in use."""

import torch
from torch import Tensor, nn

from .row_sparse import ROWS_PER_CHUNK

# Steps after which all rows are brought up to date, which bounds the table
# of products. At C rows a flush costs about as much as one dense step.
_MAX_AGE = 4096


class LazyRows:
    r"""Catches rows up with the steps in which they had no gradient.

    Such a step of SGD with momentum is linear in the row w and its momentum
    v, with the same two by two matrix for all entries of all rows:

    .. math::
        \begin{pmatrix} w \\ v \end{pmatrix} \leftarrow
        \begin{pmatrix} 1 - \eta\lambda & -\eta\mu \\
        \lambda & \mu \end{pmatrix}
        \begin{pmatrix} w \\ v \end{pmatrix}

    So a row that missed some steps needs one product of their matrices. For
    each past step the product of all matrices since is kept, in float64;
    the learning rate may change from step to step.

    Args:
        param: The table. Its attribute `refresh_rows` is set, which the
            owner of the table calls before it reads rows.
        optimizer: Has `momentum_of`.
    """

    def __init__(self, param: nn.Parameter, optimizer) -> None:
        self.param = param
        self.optimizer = optimizer
        # Without momentum no memory is spent on it.
        self.has_momentum = False
        self.forget()
        param.refresh_rows = self.prepare

    def forget(self) -> None:
        """Take all rows for up to date, as after loading others."""
        #: (T + 1, 2, 2), the product of all steps after step t.
        self.products = torch.eye(2, dtype=torch.float64)[None]
        self.last = torch.zeros(
            len(self.param), dtype=torch.int32, device=self.param.device
        )

    @property
    def now(self) -> int:
        """Steps since the last flush."""
        return len(self.products) - 1

    @torch.no_grad()
    def prepare(self, rows: Tensor | None = None) -> None:
        """Bring (m,) rows, or all, up to date."""
        if self.now == 0:
            return
        if rows is None:
            rows = torch.arange(len(self.param), device=self.param.device)
        products = self.products.to(self.param.device, self.param.dtype)
        for part in rows.split(ROWS_PER_CHUNK):
            last = self.last[part]
            part = part[last < self.now]
            if len(part) == 0:
                continue
            step = products[self.last[part].long()]
            self.last[part] = self.now
            weight = self.param[part]
            if not self.has_momentum:
                self.param[part] = step[:, 0, :1] * weight
                continue
            momentum = self.optimizer.momentum_of(self.param)
            velocity = momentum[part]
            self.param[part] = (
                step[:, 0, :1] * weight + step[:, 0, 1:] * velocity
            )
            momentum[part] = (
                step[:, 1, :1] * weight + step[:, 1, 1:] * velocity
            )

    def record(self, rows: Tensor, group: dict) -> None:
        """Note a step in which only (m,) rows, updated already, took part."""
        lr, mu, decay = group['lr'], group['momentum'], group['weight_decay']
        velocity = [decay, mu]
        if not mu:  # SGD leaves the momentum alone then
            weight, velocity = [1 - lr * decay, 0.0], [0.0, 1.0]
        elif group['nesterov']:  # w - lr * (decay * w + mu * the new v)
            weight = [1 - lr * decay * (1 + mu), -lr * mu * mu]
        else:  # w - lr * the new v
            weight = [1 - lr * decay, -lr * mu]
        self.has_momentum |= bool(mu)
        step = torch.tensor([weight, velocity], dtype=torch.float64)
        self.products = torch.cat(
            [step @ self.products, torch.eye(2, dtype=torch.float64)[None]]
        )
        self.last[rows] = self.now
        if self.now >= _MAX_AGE:
            self.flush()

    def flush(self) -> None:
        """Bring all rows up to date and forget the past."""
        if self.now > 0:
            self.prepare()
            self.forget()
