"""The dense pose of the people detected in an image, ragged."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ..functional.iuv_png import check_iuv, decode_iuv, encode_iuv, iuv_size
from .densepose_instances import Index


class DensePoseResults:
    """What a model predicts for the pixels of N boxes.

    Of each box an IUV, a uint8 tensor (3, h, w): part 0..24 (0: not of the
    person), 255 U and 255 V, rounded down. h and w are the whole parts of the
    height and width of the box, at least 1; the pixels share out the box
    evenly. Boxes themselves are in `bboxes`, beside.

    Like a list: `results[i]` is an IUV, `results[a:b]`, `results[mask]` and
    `results[indices]` are containers. It can be a field of `InstanceData`, as
    `pred_instances.densepose`. :meth:`compressed` holds PNGs instead, about a
    tenth of the size, for results that are kept or sent to other ranks; they
    are unpacked when asked for.

    Args:
        iuvs: Of each box a tensor or array (3, h, w) uint8, or the bytes of
            its PNG.

    Raises:
        TypeError: One is not uint8.
        ValueError: One is of another shape, or no PNG of an IUV.
    """

    def __init__(self, iuvs: Sequence[Tensor | np.ndarray | bytes]) -> None:
        self._items = [_checked(item) for item in iuvs]

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        packed = sum(isinstance(item, bytes) for item in self._items)
        return f'{type(self).__name__}({len(self)} boxes, {packed} compressed)'

    def __getitem__(self, index: Index) -> 'Tensor | DensePoseResults':
        """An IUV, or a container of some.

        Args:
            index: An int, slice, mask or list of indices.

        Raises:
            IndexError: Out of range, or a mask of another length.
        """
        if isinstance(index, int | np.integer):
            item = self._items[int(index)]
            if isinstance(item, bytes):
                return torch.from_numpy(decode_iuv(item))
            return item
        if isinstance(index, slice):
            return self._of(self._items[index])
        places = np.arange(len(self))
        chosen = torch.as_tensor(index).cpu().numpy()
        if chosen.size == 0 and chosen.dtype != bool:
            chosen = chosen.astype(np.int64)
        return self._of([self._items[i] for i in places[chosen].reshape(-1)])

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of each IUV, without unpacking it."""
        return [
            iuv_size(item)
            if isinstance(item, bytes)
            else tuple(item.shape[1:])
            for item in self._items
        ]

    @classmethod
    def cat(cls, results: Sequence['DensePoseResults']) -> 'DensePoseResults':
        """The boxes of several containers, in order."""
        return cls._of([item for part in results for item in part._items])

    def to(self, *args, **kwargs) -> 'DensePoseResults':
        """Move to a device; compressed ones stay where they are."""
        device = torch.empty(0, dtype=torch.uint8).to(*args, **kwargs).device
        return self._of(
            [
                item if isinstance(item, bytes) else item.to(device)
                for item in self._items
            ]
        )

    def cpu(self) -> 'DensePoseResults':
        return self.to('cpu')

    def cuda(self) -> 'DensePoseResults':
        return self.to('cuda')

    def detach(self) -> 'DensePoseResults':
        return self

    def compressed(self) -> 'DensePoseResults':
        """The same as PNGs."""
        return self._of(self.pngs())

    def pngs(self) -> list[bytes]:
        """The PNG of each IUV."""
        return [
            item if isinstance(item, bytes) else encode_iuv(item.cpu().numpy())
            for item in self._items
        ]

    @classmethod
    def _of(cls, items: list[Tensor | bytes]) -> 'DensePoseResults':
        """A container of what has been checked."""
        results = cls(())
        results._items = items
        return results


def _checked(item: Tensor | np.ndarray | bytes) -> Tensor | bytes:
    if isinstance(item, bytes):
        iuv_size(item)
        return item
    if isinstance(item, np.ndarray):
        check_iuv(item)
        return torch.from_numpy(np.ascontiguousarray(item))
    if not isinstance(item, Tensor):
        raise TypeError(
            'an IUV must be a tensor, an array or the bytes of a PNG, got '
            f'{type(item).__name__}'
        )
    if item.dtype != torch.uint8:
        raise TypeError(
            'an IUV must be uint8 (part, 255 U, 255 V), got a tensor of '
            f'{item.dtype}'
        )
    check_iuv(np.empty(item.shape, np.uint8))  # only its shape
    return item
