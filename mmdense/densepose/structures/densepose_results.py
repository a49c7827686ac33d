"""The dense pose of the people detected in an image, ragged."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ..functional.iuv_png import check_iuv, decode_iuv, encode_iuv, iuv_size
from .ragged_tensors import RaggedTensors


class DensePoseResults(RaggedTensors):
    """What a model predicts for the pixels of N boxes.

    Of each box an IUV, a uint8 tensor (3, h, w): part 0..24 (0: not of the
    person), 255 U and 255 V, rounded down. h and w are the whole parts of the
    height and width of the box, at least 1; the pixels share out the box
    evenly. Boxes themselves are in `bboxes`, beside.

    `results[i]` is an IUV, what else can be done is that of
    :class:`RaggedTensors`. :meth:`compressed` holds PNGs instead, about a
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
        super().__init__([_checked(item) for item in iuvs])

    def __repr__(self) -> str:
        packed = sum(isinstance(item, bytes) for item in self._items)
        return f'{type(self).__name__}({len(self)} boxes, {packed} compressed)'

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of each IUV, without unpacking it."""
        return [
            iuv_size(item)
            if isinstance(item, bytes)
            else tuple(item.shape[1:])
            for item in self._items
        ]

    def to(self, *args, **kwargs) -> 'DensePoseResults':
        """Move to a device; compressed ones stay where they are.

        A dtype is for boxes and scores, not for this.
        """

        def moved(item: Tensor) -> Tensor:
            probe = torch.empty(0, dtype=item.dtype, device=item.device)
            return item.to(probe.to(*args, **kwargs).device)

        return self._mapped(moved)

    def _mapped(
        self, function: Callable[[Tensor], Tensor]
    ) -> 'DensePoseResults':
        return self._of(
            [
                item if isinstance(item, bytes) else function(item)
                for item in self._items
            ]
        )

    def compressed(self) -> 'DensePoseResults':
        """The same as PNGs."""
        return self._of(self.pngs())

    def pngs(self) -> list[bytes]:
        """The PNG of each IUV."""
        return [
            item if isinstance(item, bytes) else encode_iuv(item.cpu().numpy())
            for item in self._items
        ]

    @staticmethod
    def _unpacked(item: Tensor | bytes) -> Tensor:
        if isinstance(item, bytes):
            return torch.from_numpy(decode_iuv(item))
        return item


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
