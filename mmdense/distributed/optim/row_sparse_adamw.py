"""AdamW over rows."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mmdense.registry import OPTIMIZERS

from .row_sparse import RowSparseMixin, read_rows, write_rows

_CORRECTIONS = ('row', 'step')


@OPTIMIZERS.register_module()
class RowSparseAdamW(RowSparseMixin, torch.optim.AdamW):
    r"""AdamW that updates exactly the rows a sparse gradient names.

    Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR
    2019, algorithm 2, applied to the rows in use; the others, with their
    moments, stay as they are. The bias of the moments is corrected by the
    number of updates of the row, n, or of the table:

    .. math::
        w &\leftarrow (1 - \eta\lambda) w \\
        m &\leftarrow \beta_1 m + (1 - \beta_1) g, \quad
        s \leftarrow \beta_2 s + (1 - \beta_2) g^2 \\
        w &\leftarrow w - \eta\, \frac{m / (1 - \beta_1^n)}
            {\sqrt{s / (1 - \beta_2^n)} + \epsilon}

    Parameters with dense gradients are left to `torch.optim.AdamW`.

    Args:
        params: Parameters or groups of them.
        lr: Learning rate :math:`\eta`.
        betas: :math:`(\beta_1, \beta_2)`.
        eps: :math:`\epsilon`.
        weight_decay: :math:`\lambda`.
        bias_correction: `'row'` counts the updates of each row; `'step'`
            those of the table, whose first steps on a row late in training
            are then up to :math:`(1-\beta_1)/\sqrt{1-\beta_2}` = 3.2 times
            as long.

    Raises:
        ValueError: An unknown `bias_correction`.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        bias_correction: str = 'row',
    ) -> None:
        if bias_correction not in _CORRECTIONS:
            raise ValueError(
                f'bias_correction must be one of {_CORRECTIONS}, got '
                f'{bias_correction!r}'
            )
        super().__init__(
            params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay
        )
        self.bias_correction = bias_correction

    def _begin_step(self, param: nn.Parameter, group: dict) -> None:
        state = self.state[param]
        if not state:
            state['step'] = torch.tensor(0.0)
            state['exp_avg'] = torch.zeros_like(param)
            state['exp_avg_sq'] = torch.zeros_like(param)
            if self.bias_correction == 'row':
                # Of the parameter's type: torch casts to it on loading.
                state['row_steps'] = param.new_zeros(len(param))
        state['step'] += 1

    def _update_rows(
        self,
        param: nn.Parameter,
        rows: Tensor | slice,
        grad: Tensor,
        old: Tensor,
        group: dict,
    ) -> None:
        state = self.state[param]
        beta1, beta2 = group['betas']
        if self.bias_correction == 'row':
            state['row_steps'][rows] += 1
            count = state['row_steps'][rows][:, None]
        else:
            count = state['step'].to(param)
        first = read_rows(state['exp_avg'], rows).lerp_(grad, 1 - beta1)
        second = read_rows(state['exp_avg_sq'], rows).mul_(beta2)
        second.addcmul_(grad, grad, value=1 - beta2)
        write_rows(state['exp_avg'], rows, first)
        write_rows(state['exp_avg_sq'], rows, second)

        length = (second / (1 - beta2**count)).sqrt_().add_(group['eps'])
        old.mul_(1 - group['lr'] * group['weight_decay'])
        old.addcdiv_(first / (1 - beta1**count), length, value=-group['lr'])
        write_rows(param, rows, old)
