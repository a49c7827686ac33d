"""Geodesic point similarity: how near predicted points are on the surface.

Güler et al., "DensePose", 2018, equation 1, with a tolerance for each part as
in the COCO DensePose challenges:

    GPS = mean over annotated points p of exp(-d(p, p')^2 / (2 kappa(p)^2))

d is the geodesic distance from the annotated to the predicted point; a point
that is not predicted to be of the person is infinitely far.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: What the published evaluator takes a box to be wide in its own frame. The
#: data format says 256, which the strict rules take.
LEGACY_FRAME_SIZE = 255.0

# How far the size of a box may be off by rounding, px; of float32
# coordinates in large images.
_ROUNDING = 1e-2


@dataclass(frozen=True)
class BoxGrid:
    """Where the pixels of an IUV lie: box and size.

    Attributes:
        x: Left edge of the box, px.
        y: Upper edge.
        width: Of the box.
        height: Of the box.
        columns: Of the IUV: `int(width)`, at least 1.
        rows: The same of the height.
    """

    x: float
    y: float
    width: float
    height: float
    columns: int
    rows: int

    @classmethod
    def of_iuv(
        cls, box: NDArray[np.float64], rows: int, columns: int
    ) -> 'BoxGrid':
        """Put an IUV into its box.

        Args:
            box: x, y, width, height, px.
            rows: Of the IUV.
            columns: Of the IUV.

        Raises:
            ValueError: The box is not finite or of negative size, or the
                IUV is not of its size.
        """
        x, y, width, height = (float(value) for value in box)
        if not np.isfinite(box).all() or width < 0 or height < 0:
            raise ValueError(
                'a box must be finite and not of negative size, got '
                f'{_text(box)} (x, y, width, height)'
            )
        if not (_fits(width, columns) and _fits(height, rows)):
            raise ValueError(
                f'an IUV of {rows} x {columns} pixels does not fit its box, '
                f'{_text(box)} (x, y, width, height): expected int(height) x '
                f'int(width) = {max(int(height), 1)} x {max(int(width), 1)}'
            )
        return cls(x, y, width, height, columns, rows)


def _fits(size: float, pixels: int) -> bool:
    """Whether a side of so many px has so many pixels, up to rounding."""
    near = (size - _ROUNDING, size, size + _ROUNDING)
    return pixels in {max(int(value), 1) for value in near}


def points_in_image(
    xy: NDArray, box: NDArray[np.float64], strict: bool = False
) -> NDArray[np.float64]:
    """Annotated points in image coordinates.

    Args:
        xy: (P, 2), in the frame of the box, which is 256 wide and high.
        box: x, y, width, height of the annotated box, px.
        strict: Take 256; else 255, as the published evaluator does.

    Returns:
        (P, 2), px.
    """
    frame = 256.0 if strict else LEGACY_FRAME_SIZE
    points = np.asarray(xy, dtype=np.float64)
    # In this order, so that rounding is the published evaluator's.
    return points * box[2:] / frame + box[:2]


def pixels_of_points(
    points: NDArray[np.float64], grid: BoxGrid, strict: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """The pixels of an IUV that points lie on.

    The published evaluator takes a pixel to be 1 px wide and starts at the
    edge of the box: what `int(width)` cuts off is outside; and it truncates
    towards 0, so that a point less than 1 px left of the box is inside.

    Args:
        points: (P, 2), image coordinates, px.
        grid: Of the IUV.
        strict: The pixels share out the box evenly, and nothing left of it
            or above it is inside.

    Returns:
        Columns and rows, (P,) int64, and (P,) which are inside; the others
        have pixel 0, 0.
    """
    x, y = points[:, 0] - grid.x, points[:, 1] - grid.y
    width, height = float(grid.columns), float(grid.rows)
    if strict:
        x = np.floor(x * width / max(grid.width, 1e-9))
        y = np.floor(y * height / max(grid.height, 1e-9))
    else:
        x, y = np.trunc(x), np.trunc(y)
        # A box thinner than a pixel has an IUV, but none of its pixels count.
        width *= grid.width >= 1 - _ROUNDING
        height *= grid.height >= 1 - _ROUNDING
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    columns = np.where(inside, x, 0).astype(np.int64)
    rows = np.where(inside, y, 0).astype(np.int64)
    return columns, rows, inside


def read_iuv(
    iuv: NDArray[np.uint8],
    points: NDArray[np.float64],
    grid: BoxGrid,
    strict: bool = False,
) -> NDArray[np.uint8]:
    """What is predicted at points; see :func:`pixels_of_points`.

    Args:
        iuv: (3, h, w) uint8: part, 255 U, 255 V.
        points: (P, 2), image coordinates, px.
        grid: Of the IUV.
        strict: See :func:`pixels_of_points`.

    Returns:
        (3, P) uint8, zeros outside.
    """
    columns, rows, inside = pixels_of_points(points, grid, strict)
    values = iuv[:, rows, columns]
    values[:, ~inside] = 0
    return values


def geodesic_point_similarity(
    distance: NDArray,
    kappa: NDArray[np.float64],
    person: NDArray[np.int64],
    num_people: int,
) -> NDArray[np.float64]:
    """GPS of each detection and each annotated person of an image.

    Args:
        distance: (D, P) metres from each annotated point to where a
            detection puts it; inf where it does not.
        kappa: (P,) metres, tolerance of each point.
        person: (P,) whose point it is, ascending.
        num_people: G.

    Returns:
        (D, G), in [0, 1]; 0 for people without points.
    """
    similarity = np.zeros((len(distance), num_people))
    if not len(distance) or not len(person):
        return similarity
    squares = np.square(distance, dtype=np.float64)
    values = np.exp(-squares / (2 * np.square(kappa)))
    count = np.bincount(person, minlength=num_people)
    annotated = np.flatnonzero(count)
    first = (np.cumsum(count) - count)[annotated]
    sums = np.add.reduceat(values, first, axis=1)
    similarity[:, annotated] = sums / count[annotated]
    return similarity


def _text(box: NDArray) -> str:
    return '[' + ', '.join(f'{value:g}' for value in box) + ']'
