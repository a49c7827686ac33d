"""Geodesic distances between vertices, looked up in a mapped file."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .cache import open_array


class Distances(Protocol):
    """What gives the distance between vertices of one mesh.

    Attributes:
        source: The file they are in, or an array.
    """

    source: str | Path | NDArray

    @property
    def num_vertices(self) -> int:
        """How many vertices the mesh has."""
        ...

    def __call__(self, a: ArrayLike, b: ArrayLike) -> NDArray[np.float32]:
        """Metres between vertices `a` and `b`, which broadcast.

        -1 stands for no vertex, from which all are infinitely far.

        Raises:
            IndexError: A vertex is below -1 or not below `num_vertices`.
        """
        ...


def condensed_size(num_vertices: int) -> int:
    """How many pairs of different vertices there are."""
    return num_vertices * (num_vertices - 1) // 2


def condensed_vertices(size: int) -> int | None:
    """Of how many vertices `size` pairs are; None if of no number."""
    count = (1 + int(np.sqrt(1 + 8 * size))) // 2
    return count if condensed_size(count) == size else None


class CondensedDistances:
    """All pairs: that of a > b is entry a (a - 1) / 2 + b.

    This is the order of the published `Pdist_matrix`.

    Args:
        source: A `.npy` file, which is mapped so that processes share it, or
            an array; float16 or float32 (K (K - 1) / 2,), metres.

    Raises:
        ValueError: The length is not that of all pairs of K vertices.
    """

    def __init__(self, source: str | Path | NDArray) -> None:
        self.source = source
        self._values = (
            source
            if isinstance(source, np.ndarray)
            else open_array(Path(source))
        ).reshape(-1)
        count = condensed_vertices(len(self._values))
        if count is None:
            raise ValueError(
                f'{_name(source)} has {len(self._values)} distances, '
                'expected K (K - 1) / 2 for a mesh of K vertices'
            )
        self.num_vertices = count

    def __call__(self, a: ArrayLike, b: ArrayLike) -> NDArray[np.float32]:
        """Metres between vertices; see :class:`Distances`."""
        first, second = _vertices(a, b, self.num_vertices)
        high, low = np.maximum(first, second), np.minimum(first, second)
        apart = (low >= 0) & (high != low)
        index = np.where(apart, high * (high - 1) // 2 + low, 0)
        if not len(self._values):
            distance = np.zeros(index.shape, dtype=np.float32)
        else:
            distance = self._values[index].astype(np.float32)
        distance = np.where(apart, distance, np.float32(0))
        return np.where(low < 0, np.float32(np.inf), distance)

    def __reduce__(self) -> tuple:
        # A mapped array would be pickled with all it holds.
        return type(self), (self.source,)


class LandmarkDistances:
    """Distances by way of the landmarks nearest to the two vertices.

    The mean of d(l_a, b) and d(a, l_b), l_x being the landmark nearest to x.
    It is off by at most the mean of the distances d(a, l_a) and d(b, l_b),
    and usually by much less as the two errors tend to cancel; it is kept
    within the bounds of the triangle inequality and above the straight line.
    Where both have the same landmark it is the straight line.

    Args:
        source: A `.npy` file or an array, float16 or float32 (L, V):
            distances from L landmarks to all vertices.
        vertices: float32 (V, 3), metres.
    """

    def __init__(
        self, source: str | Path | NDArray, vertices: NDArray[np.float32]
    ) -> None:
        self.source = source
        self._vertices = vertices
        self._table = (
            source
            if isinstance(source, np.ndarray)
            else open_array(Path(source))
        )
        if self._table.ndim != 2 or self._table.shape[1] != len(vertices):
            raise ValueError(
                f'{_name(source)} has shape {self._table.shape}, expected '
                f'(landmarks, {len(vertices)}) for a mesh of {len(vertices)} '
                'vertices'
            )
        self.num_vertices = len(vertices)
        self.nearest = np.zeros(len(vertices), dtype=np.int64)
        self.radius = np.full(len(vertices), np.inf, dtype=np.float32)
        for number, row in enumerate(self._table):
            distance = row.astype(np.float32)
            closer = distance < self.radius
            self.nearest[closer] = number
            self.radius[closer] = distance[closer]

    def __call__(self, a: ArrayLike, b: ArrayLike) -> NDArray[np.float32]:
        """Metres between vertices; see :class:`Distances`."""
        first, second = _vertices(a, b, self.num_vertices)
        missing = np.minimum(first, second) < 0
        i, j = np.maximum(first, 0), np.maximum(second, 0)
        near_i, near_j = self.nearest[i], self.nearest[j]
        by_i = self._table[near_i, j].astype(np.float32)
        by_j = self._table[near_j, i].astype(np.float32)
        to_i, to_j = self.radius[i], self.radius[j]
        straight = np.linalg.norm(
            self._vertices[i] - self._vertices[j], axis=-1
        )
        low = np.maximum(np.abs(by_i - to_i), np.abs(by_j - to_j))
        high = np.minimum(by_i + to_i, by_j + to_j)
        distance = np.clip((by_i + by_j) / 2, low, high)
        distance = np.where(near_i == near_j, 0, distance)
        distance = np.maximum(distance, straight).astype(np.float32)
        return np.where(missing, np.float32(np.inf), distance)

    def __reduce__(self) -> tuple:
        return type(self), (self.source, self._vertices)


def _vertices(
    a: ArrayLike, b: ArrayLike, count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    pair = []
    for given in (a, b):
        vertex = np.asarray(given)
        if vertex.dtype.kind not in 'ui' and vertex.size:
            raise TypeError(
                f'vertices must be integers, got an array of {vertex.dtype}'
            )
        # Small types would overflow in the index of a pair.
        vertex = vertex.astype(np.int64)
        if vertex.size and (vertex.min() < -1 or vertex.max() >= count):
            wrong = vertex[(vertex < -1) | (vertex >= count)]
            raise IndexError(
                f'vertex {wrong.flat[0]} is not on a mesh of {count} '
                f'vertices, 0..{count - 1}'
            )
        pair.append(vertex)
    first, second = np.broadcast_arrays(*pair)
    return first, second


def _name(source: str | Path | NDArray) -> str:
    return 'the array' if isinstance(source, np.ndarray) else str(source)
