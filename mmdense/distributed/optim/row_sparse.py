"""What row-sparse optimizers share."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..sparse import sparse_rows

# Rows updated at a time: few enough for the temporaries to stay small.
ROWS_PER_CHUNK = 8192


def _all_rows(grad: Tensor) -> Tensor:
    """A dense gradient as a sparse one that names every row."""
    rows = torch.arange(len(grad), device=grad.device)
    return sparse_rows(rows, grad, grad.shape)


def coalesced(grad: Tensor) -> Tensor:
    """A sparse gradient with sorted, distinct rows.

    Autograd forgets that they are so already, and `coalesce` would sort and
    copy all values. Looking at the row numbers is much cheaper.
    """
    if grad.is_coalesced():
        return grad
    rows = grad._indices()[0]
    if not bool((rows[1:] > rows[:-1]).all()):
        return grad.coalesce()
    return sparse_rows(rows, grad._values(), grad.shape)


def read_rows(table: Tensor, rows: Tensor | slice) -> Tensor:
    """The rows, as a view for a slice and a copy else."""
    if isinstance(rows, slice):
        return table[rows]
    return table.index_select(0, rows)


def write_rows(table: Tensor, rows: Tensor | slice, values: Tensor) -> None:
    """Write back what :func:`read_rows` gave; nothing to do for a view."""
    if not isinstance(rows, slice):
        table.index_copy_(0, rows, values)


class RowSparseMixin:
    """Splits a step into dense parameters and rows.

    To stand before a torch optimizer among the bases: parameters with dense
    gradients are left to that, those with sparse ones go to
    :meth:`_update_rows`, a chunk of rows at a time.
    """

    row_sparse = True
    fused = False

    def _enable_fused(self) -> None:
        """Let the backward pass update the rows of sparse tables.

        The loss calls `update_rows` of such a parameter with each chunk of
        its gradient and leaves no gradient behind.
        """
        self.fused = True
        for number, group in enumerate(self.param_groups):
            for param in group['params']:
                if getattr(param, 'sparse_table', False):
                    param.update_rows = self._updater(param, number)

    def _updater(self, param: nn.Parameter, number: int) -> Callable:
        # By number, as loading a state replaces the groups themselves.
        @torch.no_grad()
        def update(rows: Tensor | slice, grad: Tensor, old: Tensor) -> None:
            # The loss does not know which of its inputs are frozen.
            if param.requires_grad:
                group = self.param_groups[number]
                self._update_rows(param, rows, grad, old, group)

        return update

    @torch.no_grad()
    def step(self, closure: Callable | None = None):
        """Update all parameters once.

        Args:
            closure: Re-evaluates the model and returns the loss.

        Returns:
            What `closure` returned, or None.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        set_aside = []
        for group in self.param_groups:
            for param in group['params']:
                grad = param.grad
                if grad is None:
                    continue
                if grad.is_sparse:
                    param.grad = coalesced(grad)
                elif getattr(param, 'sparse_table', False):
                    # A rank that owns a single class takes all it has. Its
                    # state must have the entries of the other ranks', as
                    # they are saved as one table.
                    param.grad = _all_rows(grad)
                else:
                    continue
                self._update_sparse(param, param.grad, group)
                set_aside.append((param, grad))
                param.grad = None
        super().step()
        for param, grad in set_aside:
            param.grad = grad
        return loss

    def _update_sparse(
        self, param: nn.Parameter, grad: Tensor, group: dict
    ) -> None:
        self._begin_step(param, group)
        parts = zip(
            grad.indices()[0].split(ROWS_PER_CHUNK),
            grad.values().split(ROWS_PER_CHUNK),
            strict=True,
        )
        for rows, change in parts:
            old = param.index_select(0, rows)
            self._update_rows(param, rows, change.clone(), old, group)
        self._end_step(param, grad.indices()[0], group)

    def _begin_step(self, param: nn.Parameter, group: dict) -> None:
        """Called once a step before the rows of `param`."""

    def _end_step(
        self, param: nn.Parameter, rows: Tensor, group: dict
    ) -> None:
        """Called once a step after the rows of `param`."""

    def _update_rows(
        self,
        param: nn.Parameter,
        rows: Tensor | slice,
        grad: Tensor,
        old: Tensor,
        group: dict,
    ) -> None:
        """Update some rows of `param`.

        Args:
            param: The parameter.
            rows: (m,) row numbers, or a slice of rows.
            grad: (m, ...) their gradient, which may be overwritten.
            old: (m, ...) their values, which may be overwritten; a view of
                `param` where `rows` is a slice.
            group: The options.
        """
        raise NotImplementedError
