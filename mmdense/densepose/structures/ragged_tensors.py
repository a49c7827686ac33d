"""A field of InstanceData whose items differ in size."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from .densepose_instances import Index

R = TypeVar('R', bound='RaggedTensors')


class RaggedTensors:
    """Tensors, one for each of N boxes.

    Like a list: `tensors[i]` is a tensor, `tensors[a:b]`, `tensors[mask]` and
    `tensors[indices]` are containers. It can be a field of `InstanceData`,
    and moves with it, which a list does not.

    Args:
        items: The tensors.
    """

    def __init__(self, items: Sequence[Tensor]) -> None:
        self._items: list = list(items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f'{type(self).__name__}({len(self)} boxes)'

    def __getitem__(self: R, index: Index) -> Tensor | R:
        """A tensor, or a container of some.

        Args:
            index: An int, slice, mask or list of indices.

        Raises:
            IndexError: Out of range, or a mask of another length.
        """
        if isinstance(index, int | np.integer):
            return self._unpacked(self._items[int(index)])
        if isinstance(index, slice):
            return self._of(self._items[index])
        places = np.arange(len(self))
        chosen = torch.as_tensor(index).cpu().numpy()
        if chosen.size == 0 and chosen.dtype != bool:
            chosen = chosen.astype(np.int64)
        return self._of([self._items[i] for i in places[chosen].reshape(-1)])

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    @classmethod
    def cat(cls: type[R], several: Sequence[R]) -> R:
        """The boxes of several containers, in order."""
        return cls._of([item for part in several for item in part._items])

    def to(self: R, *args, **kwargs) -> R:
        """Move or convert, as `torch.Tensor.to`."""
        return self._mapped(lambda item: item.to(*args, **kwargs))

    def cpu(self: R) -> R:
        return self.to('cpu')

    def cuda(self: R) -> R:
        return self.to('cuda')

    def detach(self: R) -> R:
        return self._mapped(Tensor.detach)

    def _mapped(self: R, function: Callable[[Tensor], Tensor]) -> R:
        return self._of([function(item) for item in self._items])

    @staticmethod
    def _unpacked(item: Tensor) -> Tensor:
        """What an item stands for."""
        return item

    @classmethod
    def _of(cls: type[R], items: list) -> R:
        """A container of what has been checked."""
        container = cls(())
        container._items = items
        return container
