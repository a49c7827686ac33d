"""Which triangle is seen at the center of each pixel, and where on it.

A z-buffer, by numba if it is installed and by numpy if not; both do the same
operations in the same order, so their results are equal to the last bit.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Pixels that the numpy version looks at in one go.
_CHUNK = 1 << 18


class Fragments(NamedTuple):
    """What is seen at each pixel.

    Attributes:
        triangle: (H, W) int32, -1 where there is none.
        weights: (H, W, 3) float64, of the corners of the triangle, in space:
            any quantity that is linear on the triangle is their weighted
            mean. 0 where there is none.
        depth: (H, W) float64, along the axis of view; infinite where there
            is none.
    """

    triangle: NDArray[np.int32]
    weights: Floats
    depth: Floats


def rasterize(
    points: NDArray[np.floating],
    faces: NDArray[np.integer],
    height: int,
    width: int,
    backend: str | None = None,
) -> Fragments:
    """Draw triangles; the nearest wins, of equally near ones the first.

    Both sides of a triangle are seen. One that reaches behind the camera is
    left out as a whole.

    Args:
        points: (V, 3) corners in the image: x and y in pixels, where the
            center of the upper left pixel is (0.5, 0.5), and the depth.
        faces: (F, 3) corners of each triangle.
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        backend: `'numba'` or `'numpy'`; None: numba if it is installed.

    Raises:
        ValueError: No such backend.
        ImportError: numba is asked for and not installed.
    """
    if backend not in (None, 'numba', 'numpy'):
        raise ValueError(
            f"backend must be 'numba', 'numpy' or None, got {backend!r}"
        )
    fill = _fill_compiled() if backend != 'numpy' else None
    if fill is None:
        if backend == 'numba':
            raise ImportError(
                "numba is not installed; pip install 'mmdense[optional]', or "
                "backend='numpy'"
            )
        fill = _fill_by_numpy
    triangle = np.full((height, width), -1, dtype=np.int32)
    weights = np.zeros((height, width, 3))
    # The inverse is linear in the image, and 0 is as far as it gets.
    nearness = np.zeros((height, width))
    fill(
        np.ascontiguousarray(points, dtype=np.float64),
        np.ascontiguousarray(faces, dtype=np.int32),
        triangle,
        weights,
        nearness,
    )
    with np.errstate(divide='ignore'):
        return Fragments(triangle, weights, 1 / nearness)


def has_numba() -> bool:
    """Whether the fast version is there."""
    return _fill_compiled() is not None


@cache
def _fill_compiled() -> Callable[..., None] | None:
    try:
        import numba
    except ImportError:
        return None
    # No cache on disk: where the package is installed may be read-only.
    return numba.njit(error_model='numpy')(_fill)


def _fill(
    points: Any, faces: Any, triangle: Any, weights: Any, nearness: Any
) -> None:
    height, width = triangle.shape
    for t in range(faces.shape[0]):
        ax, ay, az = points[faces[t, 0]]
        bx, by, bz = points[faces[t, 1]]
        cx, cy, cz = points[faces[t, 2]]
        if min(az, bz, cz) <= 0:
            continue
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if abs(area) < 1e-12:
            continue
        left = max(int(np.ceil(max(min(ax, bx, cx), 0.0) - 0.5)), 0)
        top = max(int(np.ceil(max(min(ay, by, cy), 0.0) - 0.5)), 0)
        right = int(np.floor(min(max(ax, bx, cx), width) - 0.5))
        bottom = int(np.floor(min(max(ay, by, cy), height) - 0.5))
        for row in range(top, bottom + 1):
            y = row + 0.5
            for column in range(left, right + 1):
                x = column + 0.5
                a = ((bx - x) * (cy - y) - (cx - x) * (by - y)) / area
                b = ((cx - x) * (ay - y) - (ax - x) * (cy - y)) / area
                c = 1 - a - b
                if a < 0 or b < 0 or c < 0:
                    continue
                a /= az
                b /= bz
                c /= cz
                near = a + b + c
                if near > nearness[row, column]:
                    nearness[row, column] = near
                    triangle[row, column] = t
                    weights[row, column, 0] = a / near
                    weights[row, column, 1] = b / near
                    weights[row, column, 2] = c / near


def _fill_by_numpy(
    points: Floats,
    faces: NDArray[np.int32],
    triangle: NDArray[np.int32],
    weights: Floats,
    nearness: Floats,
) -> None:
    height, width = triangle.shape
    corners = points[faces]
    xy = corners[..., :2]
    size = np.array([width, height])
    first = np.ceil(np.maximum(xy.min(1), 0.0) - 0.5)
    first = np.maximum(first, 0).astype(np.int64)
    last = np.floor(np.minimum(xy.max(1), size) - 0.5).astype(np.int64)
    extent = np.maximum(last - first + 1, 0)
    extent[corners[..., 2].min(1) <= 0] = 0
    count = extent.prod(1)
    drawn = np.flatnonzero(count)
    # Triangles of one chunk together cover about _CHUNK pixels.
    chunk = np.cumsum(count[drawn]) // _CHUNK
    for group in np.split(drawn, np.flatnonzero(np.diff(chunk)) + 1):
        tri = np.repeat(group, count[group])
        start = np.cumsum(count[group]) - count[group]
        place = np.arange(len(tri)) - np.repeat(start, count[group])
        row, column = np.divmod(place, extent[tri, 0])
        row += first[tri, 1]
        column += first[tri, 0]
        _fill_pixels(corners, tri, row, column, triangle, weights, nearness)


def _fill_pixels(
    corners: Floats,
    tri: NDArray[np.int64],
    row: NDArray[np.int64],
    column: NDArray[np.int64],
    triangle: NDArray[np.int32],
    weights: Floats,
    nearness: Floats,
) -> None:
    """Draw pixel i of the arguments with triangle `tri[i]`."""
    x, y = column + 0.5, row + 0.5
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = corners[tri].transpose(1, 2, 0)
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    with np.errstate(divide='ignore', invalid='ignore'):
        a = ((bx - x) * (cy - y) - (cx - x) * (by - y)) / area
        b = ((cx - x) * (ay - y) - (ax - x) * (cy - y)) / area
        c = 1 - a - b
        inside = (a >= 0) & (b >= 0) & (c >= 0) & (np.abs(area) >= 1e-12)
    seen = np.flatnonzero(inside)
    a, b, c = a[seen] / az[seen], b[seen] / bz[seen], c[seen] / cz[seen]
    near = a + b + c
    pixel = row[seen] * triangle.shape[1] + column[seen]
    # By pixel, the nearest first, of equally near ones the first triangle.
    order = np.lexsort((tri[seen], -near, pixel))
    ordered = pixel[order]
    best = order[np.r_[True, ordered[1:] != ordered[:-1]][: len(ordered)]]
    best = best[near[best] > nearness.flat[pixel[best]]]
    target = pixel[best]
    nearness.flat[target] = near[best]
    triangle.flat[target] = tri[seen[best]]
    weights.reshape(-1, 3)[target] = (
        np.stack((a[best], b[best], c[best]), axis=1) / near[best, None]
    )
