"""Masks of people, kept no larger than they are, and their overlap."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .gps import BoxGrid


@dataclass(frozen=True)
class PlacedMask:
    """A mask and where it lies in the image.

    Attributes:
        x: Column of the image of its first column.
        y: Row of the image of its first row.
        pixels: (h, w) bool.
        area: How many are set.
    """

    x: int
    y: int
    pixels: NDArray[np.bool_]
    area: int


def place(pixels: NDArray[np.bool_], x: int, y: int) -> PlacedMask:
    """A mask at a place."""
    return PlacedMask(x, y, pixels, int(np.count_nonzero(pixels)))


def place_frame_mask(
    mask: NDArray,
    box: NDArray[np.float64],
    height: int,
    width: int,
    strict: bool = False,
) -> PlacedMask:
    """Put an annotated mask into the image.

    Args:
        mask: (256, 256), non-zero is set, in the frame of the box.
        box: x, y, width, height of the annotated box, px.
        height: Of the image, px.
        width: Of the image, px.
        strict: A pixel of the image is set if the mask is at its center. Else
            as the published evaluator does: enlarged with interpolation, and
            placed at the whole part of the corner of the box.
    """
    mask = np.asarray(mask) > 0
    if strict:
        x, y, box_width, box_height = (float(value) for value in box)
        rows, columns = mask.shape
        grid = BoxGrid(x, y, box_width, box_height, columns, rows)
        return _place_by_centers(mask, grid, height, width)
    size = [round(max(float(side), 1)) for side in (box[3], box[2])]
    return _place_at_corner(enlarge(mask, *size), box, height, width)


def place_box_mask(
    mask: NDArray,
    grid: BoxGrid,
    height: int,
    width: int,
    strict: bool = False,
) -> PlacedMask:
    """Put the mask of a detection into the image.

    Args:
        mask: (h, w), non-zero is set, as the parts of an IUV.
        grid: Where its pixels lie.
        height: Of the image, px.
        width: Of the image, px.
        strict: A pixel of the image is set if the mask is at its center. Else
            a pixel of the mask is one of the image, from the whole part of
            the corner of the box.
    """
    mask = np.asarray(mask) > 0
    if strict:
        return _place_by_centers(mask, grid, height, width)
    box = np.array([grid.x, grid.y, grid.width, grid.height])
    return _place_at_corner(mask, box, height, width)


def place_image_mask(mask: NDArray) -> PlacedMask:
    """Cut a mask of the whole image down to what is set."""
    mask = np.asarray(mask) > 0
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return place(mask[:0, :0], 0, 0)
    y, x = int(rows[0]), int(columns[0])
    return place(mask[y : rows[-1] + 1, x : columns[-1] + 1], x, y)


def enlarge(
    mask: NDArray[np.bool_], height: int, width: int
) -> NDArray[np.bool_]:
    """What `scipy.ndimage.zoom(mask, ..., order=1) > 0.5` gives, faster.

    Args:
        mask: (h, w).
        height: Of the result, at least 1.
        width: The same.

    Returns:
        (height, width).
    """
    top, down = _weights(mask.shape[0], height)
    left, right = _weights(mask.shape[1], width)
    values = mask.astype(np.float64)
    values = values[:, left[0]] * left[1] + values[:, right[0]] * right[1]
    values = (
        values[top[0]] * top[1][:, None] + values[down[0]] * down[1][:, None]
    )
    enlarged: NDArray[np.bool_] = values > 0.5
    return enlarged


_Weights = tuple[NDArray[np.int64], NDArray[np.float64]]


def _weights(size: int, new_size: int) -> tuple[_Weights, _Weights]:
    """Both neighbours of each new cell, and how much they count."""
    # The first and the last cells come to lie on each other.
    scale = (size - 1) / (new_size - 1) if new_size > 1 else 1.0
    place = np.arange(new_size) * scale
    low = np.floor(place).astype(np.int64)
    part = place - low
    # Rounding can put the last cell beyond the mask, where there is nothing.
    exists = place <= size - 1
    low = np.minimum(low, size - 1)
    high = np.minimum(low + 1, size - 1)
    return (low, (1 - part) * exists), (high, part * exists)


def mask_iou(
    detected: list[PlacedMask],
    annotated: list[PlacedMask],
    is_crowd: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Intersection over union of masks.

    Args:
        detected: D masks.
        annotated: G masks.
        is_crowd: (G,): there it is over the area of the detection alone, as
            in COCO.

    Returns:
        (D, G), in [0, 1].
    """
    overlap = np.zeros((len(detected), len(annotated)))
    for i, first in enumerate(detected):
        for j, second in enumerate(annotated):
            common = _intersection(first, second)
            if common:
                union = first.area
                if not is_crowd[j]:
                    union += second.area - common
                overlap[i, j] = common / union
    return overlap


def box_iou(
    detected: NDArray[np.float64],
    annotated: NDArray[np.float64],
    is_crowd: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """The same of boxes.

    Args:
        detected: (D, 4) x, y, width, height.
        annotated: (G, 4).
        is_crowd: (G,).

    Returns:
        (D, G), in [0, 1].
    """
    first, second = detected[:, None], annotated[None]
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(
        first[..., :2] + first[..., 2:], second[..., :2] + second[..., 2:]
    )
    common = np.prod(np.maximum(high - low, 0), axis=-1)
    own, other = np.prod(first[..., 2:], -1), np.prod(second[..., 2:], -1)
    union = np.where(is_crowd, own, own + other - common)
    overlap = np.zeros(common.shape)
    np.divide(common, union, out=overlap, where=common > 0)
    return overlap


def _place_at_corner(
    mask: NDArray[np.bool_],
    box: NDArray[np.float64],
    height: int,
    width: int,
) -> PlacedMask:
    (x, right, column), (y, bottom, row) = (
        _span(float(box[k]), float(box[2 + k]), mask.shape[1 - k], limit)
        for k, limit in ((0, width), (1, height))
    )
    inner = mask[row : row + bottom - y, column : column + right - x]
    return place(inner, x, y)


def _span(
    start: float, size: float, pixels: int, limit: int
) -> tuple[int, int, int]:
    """From where to where in the image, and where in the mask it starts."""
    corner = int(start)
    low = max(corner, 0)
    high = max(min(int(start + size), limit, corner + pixels), low)
    return low, high, low - corner


def _place_by_centers(
    mask: NDArray[np.bool_], grid: BoxGrid, height: int, width: int
) -> PlacedMask:
    x, columns = _cells(grid.x, grid.width, grid.columns, width)
    y, rows = _cells(grid.y, grid.height, grid.rows, height)
    return place(mask[rows[:, None], columns], x, y)


def _cells(
    start: float, size: float, cells: int, limit: int
) -> tuple[int, NDArray[np.int64]]:
    """The first pixel whose center is covered, and the cell of each."""
    low = max(int(np.ceil(start - 0.5)), 0)
    high = max(min(int(np.ceil(start + size - 0.5)), limit), low)
    centers = np.arange(low, high) + 0.5 - start
    cell = np.floor(centers * cells / max(size, 1e-9)).astype(np.int64)
    return low, np.clip(cell, 0, cells - 1)


def _intersection(a: PlacedMask, b: PlacedMask) -> int:
    left, top = max(a.x, b.x), max(a.y, b.y)
    right = min(a.x + a.pixels.shape[1], b.x + b.pixels.shape[1])
    bottom = min(a.y + a.pixels.shape[0], b.y + b.pixels.shape[0])
    if right <= left or bottom <= top:
        return 0
    first, second = (
        m.pixels[top - m.y : bottom - m.y, left - m.x : right - m.x]
        for m in (a, b)
    )
    return int(np.count_nonzero(first & second))
