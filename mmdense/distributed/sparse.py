"""Sparse gradients of tables of rows."""

import torch
from torch import Tensor


def sparse_rows(rows: Tensor, values: Tensor, shape: torch.Size) -> Tensor:
    """A sparse COO tensor of sorted, distinct rows, sharing `values`.

    Nothing is checked: that would read back all row numbers. It is switched
    off for the block, as the argument of torch's function for the same
    warns once a process.

    Args:
        rows: (m,) int64, sorted and distinct.
        values: (m, ...) their content.
        shape: Shape of the result, (n, ...).
    """
    with torch.sparse.check_sparse_tensor_invariants(enable=False):
        return torch.sparse_coo_tensor(
            rows[None], values, shape, is_coalesced=True
        )
