"""Optimizers for tables of which a step touches some rows."""

from .optim_wrapper import ShardedOptimWrapperConstructor
from .row_sparse_adamw import RowSparseAdamW
from .row_sparse_sgd import RowSparseSGD

__all__ = [
    'RowSparseAdamW',
    'RowSparseSGD',
    'ShardedOptimWrapperConstructor',
]
