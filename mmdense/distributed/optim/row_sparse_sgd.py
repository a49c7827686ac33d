"""SGD over rows."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mmdense.registry import OPTIMIZERS

from .lazy_rows import LazyRows
from .row_sparse import RowSparseMixin, read_rows, write_rows

_UPDATES = ('rows', 'all')


@OPTIMIZERS.register_module()
class RowSparseSGD(RowSparseMixin, torch.optim.SGD):
    r"""SGD that updates exactly the rows a sparse gradient names.

    For a parameter with a sparse COO gradient, weight decay, momentum and
    update apply to the rows of its indices only; the others, and their
    momentum, stay as they are. So An et al. ("Partial FC", 2020) describe
    it. For each such row:

    .. math::
        g &\leftarrow g + \lambda w \\
        v &\leftarrow \mu v + g \\
        w &\leftarrow w - \eta\,v \quad\text{(Nesterov: } g + \mu v
        \text{ in place of } v\text{)}

    `update='all'` gives what a dense gradient would: rows without gradient
    decay and follow their momentum too, as in insightface's arcface_torch
    since July 2022. They do so lazily, when they are next read, at the cost
    of the rows in use; see :class:`LazyRows`.

    Parameters with dense gradients are left to `torch.optim.SGD`.

    Args:
        params: Parameters or groups of them.
        lr: Learning rate :math:`\eta`.
        momentum: :math:`\mu`.
        weight_decay: :math:`\lambda`.
        nesterov: Whether to use Nesterov's momentum.
        update: `'rows'` or `'all'`.
        fused: Update rows inside the backward pass, so that their gradients
            are never held. Not with all rows in use, gradient accumulation,
            clipping of the shards, loss scaling or `update='all'`.

    Raises:
        ValueError: An unknown `update`, or `fused` with `update='all'`.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        update: str = 'rows',
        fused: bool = False,
    ) -> None:
        if update not in _UPDATES:
            raise ValueError(
                f'update must be one of {_UPDATES}, got {update!r}'
            )
        if fused and update == 'all':
            raise ValueError(
                "fused=True needs update='rows', got update='all'"
            )
        super().__init__(
            params,
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            nesterov=nesterov,
        )
        self._lazy: dict[nn.Parameter, LazyRows] = {}
        if fused:
            self._enable_fused()
        if update == 'all':
            for group in self.param_groups:
                for param in group['params']:
                    if getattr(param, 'sparse_table', False):
                        self._lazy[param] = LazyRows(param, self)

    @property
    def is_lazy(self) -> bool:
        """Whether rows may be behind; see :meth:`flush`."""
        return bool(self._lazy)

    def flush(self) -> None:
        """Bring all rows up to date. Nothing to do for `update='rows'`."""
        for lazy in self._lazy.values():
            lazy.flush()

    def state_dict(self) -> dict:
        """The state, after :meth:`flush`."""
        self.flush()
        return super().state_dict()

    def load_state_dict(self, state_dict: dict) -> None:
        """Take a state, in which every row is up to date."""
        for lazy in self._lazy.values():
            lazy.forget()
        super().load_state_dict(state_dict)

    def _begin_step(self, param: nn.Parameter, group: dict) -> None:
        if param in self._lazy:
            self._lazy[param].prepare(param.grad.indices()[0])

    def _end_step(
        self, param: nn.Parameter, rows: Tensor, group: dict
    ) -> None:
        if param in self._lazy:
            self._lazy[param].record(rows, group)

    def _update_rows(
        self,
        param: nn.Parameter,
        rows: Tensor | slice,
        grad: Tensor,
        old: Tensor,
        group: dict,
    ) -> None:
        momentum = group['momentum']
        if group['weight_decay']:
            grad.add_(old, alpha=group['weight_decay'])
        change = grad
        if momentum:
            buffer = self.momentum_of(param)
            velocity = read_rows(buffer, rows).mul_(momentum).add_(grad)
            write_rows(buffer, rows, velocity)
            if group['nesterov']:
                change = grad.add_(velocity, alpha=momentum)
            else:
                change = velocity
        write_rows(param, rows, old.sub_(change, alpha=group['lr']))

    def momentum_of(self, param: nn.Parameter) -> Tensor:
        """The momentum of a parameter, zero at first."""
        state = self.state[param]
        if state.get('momentum_buffer') is None:
            state['momentum_buffer'] = torch.zeros_like(param)
        return state['momentum_buffer']
