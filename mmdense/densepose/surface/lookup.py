"""From (part, u, v) to the nearest entry of a surface's charts."""

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from .parts import NUM_PARTS, PART_NAMES, check_parts

# Distances closer than this count as a tie, which is then decided exactly.
_TIE = 1e-9
_BLOCK = 4096


class UVLookup:
    """Nearest entries within a part, as the DensePose evaluator finds them.

    The evaluator takes the smallest Euclidean distance in (u, v), computed in
    float64, and of several equal ones the entry that comes first in the file.
    Which one it is matters: entries with equal (u, v) may lie on different
    vertices. So does this class, with a k-d tree per part; only ties are
    compared by brute force.

    Args:
        part: uint8 (N,), part of each entry, 1..24.
        uv: float64 (N, 2).
    """

    def __init__(
        self, part: NDArray[np.uint8], uv: NDArray[np.float64]
    ) -> None:
        self._entries = {
            int(number): np.flatnonzero(part == number).astype(np.int32)
            for number in np.unique(part)
        }
        self._uv = uv
        self._trees = {
            number: cKDTree(uv[entries])
            for number, entries in self._entries.items()
        }

    def nearest(
        self, part: ArrayLike, u: ArrayLike, v: ArrayLike
    ) -> NDArray[np.int32]:
        """The nearest entry of each point; arguments broadcast.

        Args:
            part: Integers, 1..24.
            u: Floats; may lie outside [0, 1].
            v: The same.

        Returns:
            int32, indices of entries.

        Raises:
            TypeError: A part is not an integer.
            ValueError: A part is outside 1..24 or has no entries, or u or v
                is not finite.
        """
        flat, points, shape = as_points(part, u, v)
        found = np.empty(len(flat), dtype=np.int32)
        for number in np.unique(flat):
            mine = flat == number
            found[mine] = self._nearest_in(int(number), points[mine])
        return found.reshape(shape)

    @cached_property
    def table(self) -> NDArray[np.int32]:
        """Nearest entry by [part, 255 v, 255 u], int32 (25, 256, 256).

        Predictions are quantised to 8 bits, so that for them this is exact.
        -1 for part 0 and for parts without entries.
        """
        grid = np.arange(256) / 255.0
        v, u = np.meshgrid(grid, grid, indexing='ij')
        points = np.stack([u.ravel(), v.ravel()], axis=1)
        table = np.full((NUM_PARTS + 1, 256, 256), -1, dtype=np.int32)
        for number in self._entries:
            nearest = self._nearest_in(number, points)
            table[number] = nearest.reshape(256, 256)
        table.setflags(write=False)
        return table

    def _nearest_in(
        self, number: int, points: NDArray[np.float64]
    ) -> NDArray[np.int32]:
        entries = self._entries.get(number)
        if entries is None:
            have = ', '.join(str(part) for part in self._entries)
            raise ValueError(
                f'part {number} ({PART_NAMES[number]}) has no entries on '
                f'this surface, which has parts {have}: the annotations are '
                'of another surface'
            )
        if len(entries) == 1:
            return np.repeat(entries, len(points))
        distance, index = self._trees[number].query(points, k=2)
        nearest = index[:, 0]
        first, second = distance.T
        tied = np.flatnonzero(second <= first * (1 + _TIE) + 1e-15)
        for start in range(0, len(tied), _BLOCK):
            rows = tied[start : start + _BLOCK]
            nearest[rows] = cdist(points[rows], self._uv[entries]).argmin(1)
        return entries[nearest]


def as_points(
    part: ArrayLike, u: ArrayLike, v: ArrayLike
) -> tuple[NDArray, NDArray[np.float64], tuple[int, ...]]:
    """Checked points: parts (P,), (u, v) (P, 2), and the shape they have.

    Raises:
        TypeError: A part is not an integer.
        ValueError: A part is outside 1..24, or u or v is not finite.
    """
    parts, us, vs = np.broadcast_arrays(
        np.asarray(part),
        np.asarray(u, dtype=np.float64),
        np.asarray(v, dtype=np.float64),
    )
    points = np.stack([us, vs], axis=-1).reshape(-1, 2)
    if parts.size:
        check_parts(parts)
    if not np.isfinite(points).all():
        raise ValueError('u and v must be finite, got NaN or infinity')
    return parts.reshape(-1), points, parts.shape
