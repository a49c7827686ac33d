"""Which triangle of the charts a point (part, u, v) lies in."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .lookup import UVLookup, as_points

_BINS = 64
_BLOCK = 1 << 14
_INSIDE = 1e-9


class ChartFaces:
    """The triangles of the charts, found through a grid of bins per part.

    Args:
        part: uint8 (N,), part of each entry.
        uv: float64 (N, 2).
        faces: int32 (F, 3), entries; the corners of a face are of one part.
    """

    def __init__(
        self,
        part: NDArray[np.uint8],
        uv: NDArray[np.float64],
        faces: NDArray[np.int32],
    ) -> None:
        self._uv, self._faces = uv, faces
        # For points that no face covers: entries that are on one.
        self._used = np.unique(faces)
        self._lookup = UVLookup(part[self._used], uv[self._used])
        corners = uv[faces]
        low = _bin(corners.min(axis=1))
        shape = _bin(corners.max(axis=1)) - low + 1
        face, place = _ragged(shape.prod(axis=1))
        x = low[face, 0] + place % shape[face, 0]
        y = low[face, 1] + place // shape[face, 0]
        face_part = part[faces[:, 0]].astype(np.int64)
        number = (face_part[face] * _BINS + y) * _BINS + x
        self._of_bin = _Groups(number, face, 25 * _BINS * _BINS)
        corner_face = np.repeat(np.arange(len(faces)), 3)
        self._of_entry = _Groups(faces.reshape(-1), corner_face, len(uv))

    def locate(
        self, part: ArrayLike, u: ArrayLike, v: ArrayLike
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """The face that covers each point, and where in it.

        A point outside the chart gets the closest point on the faces around
        the nearest entry. Where a chart overlaps itself the face that comes
        first counts.

        Args:
            part: Integers, 1..24; the arguments broadcast.
            u: Floats.
            v: Floats.

        Returns:
            int32 (...), faces, and float64 (..., 3), weights of their three
            corners, not negative, that sum to 1.

        Raises:
            ValueError: As :meth:`UVLookup.nearest`.
        """
        parts, points, shape = as_points(part, u, v)
        cell = _bin(points)
        number = parts.astype(np.int64) * _BINS + cell[:, 1]
        number = number * _BINS + cell[:, 0]
        faces = np.full(len(points), -1, dtype=np.int32)
        weights = np.zeros((len(points), 3))
        # Few points at a time: a bin of a folded chart may hold many faces.
        for start in range(0, len(points), _BLOCK):
            rows = np.arange(start, min(start + _BLOCK, len(points)))
            point, face = self._of_bin.members(number[rows])
            bary = barycentric(
                points[rows[point]], self._uv[self._faces[face]]
            )
            inside = np.flatnonzero(bary.min(axis=1) >= -_INSIDE)
            best = inside[_first_of_each(point[inside], face[inside])]
            faces[rows[point[best]]] = face[best]
            weights[rows[point[best]]] = bary[best].clip(0)

            rows = rows[faces[rows] < 0]
            nearest = self._lookup.nearest(parts[rows], *points[rows].T)
            point, face = self._of_entry.members(self._used[nearest])
            bary, distance = closest_on_edges(
                points[rows[point]], self._uv[self._faces[face]]
            )
            best = _first_of_each(point, distance)
            faces[rows], weights[rows] = face[best], bary[best]
        weights /= weights.sum(axis=1, keepdims=True)
        return faces.reshape(shape), weights.reshape(*shape, 3)


def barycentric(
    points: NDArray[np.float64], corners: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weights of the corners of triangles in the plane.

    Args:
        points: (P, 2).
        corners: (P, 3, 2).

    Returns:
        (P, 3); one is negative outside the triangle. Triangles without area
        contain nothing.
    """
    a, b, c = corners.transpose(1, 0, 2)
    area = _cross(b - a, c - a)
    safe = np.where(area == 0, 1, area)
    second = _cross(points - a, c - a) / safe
    third = _cross(b - a, points - a) / safe
    first = np.where(area == 0, -1, 1 - second - third)
    return np.stack([first, second, third], axis=1)


def closest_on_edges(
    points: NDArray[np.float64], corners: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The closest point on the edges of triangles in the plane.

    Args:
        points: (P, 2).
        corners: (P, 3, 2).

    Returns:
        (P, 3), weights of the corners, and (P,), distances.
    """
    weights = np.zeros((len(points), 3))
    distance = np.full(len(points), np.inf)
    for i, j in ((0, 1), (1, 2), (2, 0)):
        start, along = corners[:, i], corners[:, j] - corners[:, i]
        square = np.maximum((along**2).sum(axis=1), np.finfo(float).tiny)
        share = ((points - start) * along).sum(axis=1) / square
        share = np.clip(share, 0, 1)
        off = np.linalg.norm(start + share[:, None] * along - points, axis=1)
        closer = off < distance
        distance[closer] = off[closer]
        weights[closer] = 0
        weights[closer, i] = 1 - share[closer]
        weights[closer, j] = share[closer]
    return weights, distance


def _first_of_each(group: NDArray, value: NDArray) -> NDArray[np.int64]:
    """Index of the smallest value of each group, ordered by group."""
    order = np.lexsort([value, group])
    first = np.ones(len(order), dtype=bool)
    first[1:] = group[order][1:] != group[order][:-1]
    return order[first]


class _Groups:
    """Lists of members by key, one after the other."""

    def __init__(self, key: NDArray, member: NDArray, size: int) -> None:
        self._member = member[np.argsort(key, kind='stable')]
        self._count = np.bincount(key, minlength=size)
        self._start = np.cumsum(self._count) - self._count

    def members(self, keys: NDArray) -> tuple[NDArray, NDArray]:
        """(index into `keys`, member) for all members of all keys."""
        index, place = _ragged(self._count[keys])
        return index, self._member[self._start[keys][index] + place]


def _ragged(counts: NDArray) -> tuple[NDArray, NDArray]:
    """For counts [2, 3]: [0, 0, 1, 1, 1] and [0, 1, 0, 1, 2]."""
    index = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(index)) - (np.cumsum(counts) - counts)[index]
    return index, place


def _bin(uv: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.clip((uv * _BINS).astype(np.int64), 0, _BINS - 1)


def _cross(a: NDArray, b: NDArray) -> NDArray:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
