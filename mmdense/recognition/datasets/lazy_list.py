"""Data sets too big for a dict per sample."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from mmpretrain.datasets import BaseDataset


class SampleSource(Protocol):
    """Where :class:`LazyList` gets its samples from."""

    def __len__(self) -> int: ...

    def sample(self, number: int) -> dict:
        """The dict of a sample, new at each call."""


class LazyList(Sequence):
    """A `data_list` that makes a dict when it is asked for it.

    Copies and pieces share the source.

    Args:
        source: The samples.
        numbers: Those that are in the list; None for all.
    """

    def __init__(
        self, source: SampleSource, numbers: range | np.ndarray | None = None
    ) -> None:
        self.source = source
        self.numbers = range(len(source)) if numbers is None else numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return LazyList(self.source, self.numbers[index])
        return self.source.sample(int(self.numbers[index]))

    def take(self, indices: Sequence[int]) -> 'LazyList':
        """The list of some samples, in the order given."""
        indices = np.asarray(indices, dtype=np.int64)
        if len(indices) and not (
            -len(self) <= indices.min() and indices.max() < len(self)
        ):
            raise IndexError(
                f'got indices from {indices.min()} to {indices.max()} of a '
                f'data set of {len(self)} samples'
            )
        return LazyList(self.source, np.asarray(self.numbers)[indices])

    def select(self, values: np.ndarray) -> np.ndarray:
        """A copy of those of the source's values that are in the list."""
        numbers: Any = self.numbers
        if isinstance(numbers, range) and numbers.step > 0:
            # A range as an index would be made an array.
            numbers = slice(numbers.start, numbers.stop, numbers.step)
        return np.array(values[numbers])

    def __deepcopy__(self, memo: dict) -> 'LazyList':
        return self


class LazyListDataset(BaseDataset):
    """A data set whose `load_data_list` returns a :class:`LazyList`.

    mmengine's list of dicts, and its pickled form, take some hundred bytes
    per sample and minutes to make for tens of millions.

    Args:
        **kwargs: Of mmpretrain's `BaseDataset`, but for `serialize_data`:
            the arrays behind the list are shared by forked workers as they
            are.
    """

    data_list: LazyList

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(serialize_data=False, **kwargs)

    def _get_unserialized_subset(
        self, indices: int | Sequence[int] | np.ndarray
    ) -> LazyList:
        # mmengine's makes a list of the dicts.
        if isinstance(indices, int):
            return super()._get_unserialized_subset(indices)
        return self.data_list.take(indices)
