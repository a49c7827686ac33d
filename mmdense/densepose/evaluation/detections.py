"""The detections of an image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..functional.gps import BoxGrid
from ..functional.iuv_png import decode_iuv


@dataclass(frozen=True)
class Detections:
    """What was detected in an image, of one category.

    Attributes:
        boxes: (N, 4) float64, x, y, width, height, px.
        scores: (N,) float64.
        iuvs: N arrays (3, h, w) uint8, or the bytes of their PNGs.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    iuvs: Sequence[NDArray[np.uint8] | bytes]

    @classmethod
    def empty(cls) -> 'Detections':
        """None."""
        return cls(np.zeros((0, 4)), np.zeros(0), [])

    def best(self, count: int) -> 'Detections':
        """The first of them by falling score."""
        order = np.argsort(-self.scores, kind='stable')[:count]
        return Detections(
            self.boxes[order],
            self.scores[order],
            [self.iuvs[k] for k in order.tolist()],
        )

    def unpacked(self) -> 'Detections':
        """With arrays in place of PNGs."""
        iuvs = [
            decode_iuv(iuv) if isinstance(iuv, bytes) else iuv
            for iuv in self.iuvs
        ]
        return replace(self, iuvs=iuvs)

    def with_grids(self) -> Iterator[tuple[NDArray[np.uint8], BoxGrid]]:
        """Each IUV, unpacked, and where its pixels lie.

        Raises:
            ValueError: One does not fit its box.
        """
        for box, iuv in zip(self.boxes, self.unpacked().iuvs, strict=True):
            yield iuv, BoxGrid.of_iuv(box, *iuv.shape[1:])
