"""Pickles of arrays, read without running anything else they may hold."""

import pickle
from typing import Any

import numpy as np

_CORE = (
    'numpy._core' if int(np.__version__.split('.')[0]) > 1 else 'numpy.core'
)


class ArrayUnpickler(pickle.Unpickler):
    """Unpickles arrays of numbers in Python's own containers.

    Attributes:
        allowed: Modules and names that may be looked up, by where numpy 1
            has them; numpy 2 writes `numpy._core`.
    """

    allowed = frozenset(
        {
            ('numpy', 'ndarray'),
            ('numpy', 'dtype'),
            ('numpy.core.multiarray', '_reconstruct'),
            ('numpy.core.numeric', '_frombuffer'),
            ('_codecs', 'encode'),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        """The few functions that arrays are pickled with."""
        old_module = module.replace('numpy._core', 'numpy.core')
        if (old_module, name) not in self.allowed:
            raise pickle.UnpicklingError(
                f'it holds {module}.{name}, expected arrays of numbers only'
            )
        # Taken from where the numpy that is installed has them.
        return super().find_class(
            old_module.replace('numpy.core', _CORE), name
        )
