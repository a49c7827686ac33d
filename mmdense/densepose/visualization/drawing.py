"""Points and part masks painted over an image; arrays in, arrays out."""

from collections.abc import Sequence

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray

from ..surface.parts import NUM_PARTS, SEGM_NAMES

Image = NDArray[np.uint8]

_COLORS = (matplotlib.colormaps['turbo'](np.arange(256))[:, :3] * 255).round()
VALUE_COLORS = _COLORS.astype(np.uint8)


def label_colors(count: int) -> Image:
    """Colors told apart easily, (count + 1, 3) RGB; black for background.

    Neighbours in number are far apart in hue: they are often left and right
    of one limb.
    """
    hues = (np.arange(count) * 0.618034) % 1
    hsv = np.stack(
        (hues * 179, np.full(count, 190), 255 - 75 * (np.arange(count) % 2)),
        axis=1,
    ).astype(np.uint8)
    rgb = cv2.cvtColor(hsv[None], cv2.COLOR_HSV2RGB)[0]
    return np.concatenate((np.zeros((1, 3), np.uint8), rgb))


PART_COLORS = label_colors(NUM_PARTS)
SEGM_COLORS = label_colors(len(SEGM_NAMES) - 1)


def value_colors(values: NDArray) -> Image:
    """Colors of values in [0, 1], (n, 3) RGB."""
    places = np.clip(np.asarray(values) * 256, 0, 255).astype(np.uint8)
    return VALUE_COLORS[places]


def place_labels(
    labels: Image, to_image: NDArray, height: int, width: int
) -> Image:
    """Part labels where they lie in the image.

    Args:
        labels: (256, 256) labels in the frame of a box.
        to_image: (3, 3) from that frame to image coordinates, both counted
            from the corner of the first pixel.
        height: Of the image, px.
        width: Of the image, px.

    Returns:
        (height, width) labels, 0 outside.
    """
    # OpenCV counts from the center of the first pixel.
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    matrix = np.linalg.inv(half) @ to_image @ half
    return cv2.warpPerspective(
        labels, matrix, (width, height), flags=cv2.INTER_NEAREST
    )


def place_iuvs(
    iuvs: Sequence[Image], boxes: NDArray, height: int, width: int
) -> Image:
    """The dense pose of the pixels of an image, later people in front.

    Args:
        iuvs: Of each box (3, h, w).
        boxes: (N, 4) x1, y1, x2, y2 in px.
        height: Of the image, px.
        width: Of the image, px.

    Returns:
        (3, height, width) part, 255 U, 255 V; 0 where nobody is.
    """
    placed = np.zeros((3, height, width), np.uint8)
    for iuv, box in zip(iuvs, boxes, strict=True):
        left, top = np.round(box[:2]).astype(int).tolist()
        rows = slice(max(top, 0), max(top + iuv.shape[1], 0))
        columns = slice(max(left, 0), max(left + iuv.shape[2], 0))
        place = placed[:, rows, columns]
        seen = iuv[:, rows.start - top :, columns.start - left :]
        seen = seen[:, : place.shape[1], : place.shape[2]]
        np.copyto(place, seen, where=seen[0] > 0)
    return placed


def paint_labels(image: Image, labels: Image, alpha: float = 0.6) -> Image:
    """Blend the colors of part labels into an image, background untouched."""
    where = labels > 0
    return paint_where(image, SEGM_COLORS[labels[where]], where, alpha)


def paint_where(
    image: Image, colors: Image, where: NDArray[np.bool_], alpha: float
) -> Image:
    """Blend colors into an image.

    Args:
        image: (H, W, 3) RGB.
        colors: (n, 3) RGB, of the pixels to paint, row by row.
        where: (H, W), the n pixels to paint.
        alpha: Opacity.
    """
    image = image.copy()
    # Of a large photo a person is a small part.
    image[where] = image[where] * (1 - alpha) + colors * alpha
    return image


def paint_points(
    image: Image, xy: NDArray, colors: Image, radius: float
) -> Image:
    """Discs with a dark rim at points in image coordinates.

    Args:
        image: (H, W, 3) RGB.
        xy: (P, 2) px, counted from the corner of the first pixel.
        colors: (P, 3) RGB.
        radius: Of a disc, px.
    """
    image = image.copy()
    shift = 4  # OpenCV draws at 1/16 px with it
    centers = np.round((xy - 0.5) * 2**shift).astype(int)
    for rim, darkness in ((max(1.0, radius / 3), 0.25), (0.0, 1.0)):
        size = round((radius + rim) * 2**shift)
        for center, color in zip(centers, colors, strict=True):
            cv2.circle(
                image,
                tuple(center.tolist()),
                size,
                tuple((color * darkness).astype(int).tolist()),
                cv2.FILLED,
                cv2.LINE_AA,
                shift,
            )
    return image


def write_caption(image: Image, text: str, with_scale: bool = False) -> Image:
    """Text in the lower left corner, and if wanted the colors of 0 to 1."""
    image = image.copy()
    size = max(0.4, min(image.shape[:2]) / 900)
    font, thickness = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(size * 1.5))
    if with_scale:
        text = f'{text}  0'
    (width, height), base = cv2.getTextSize(text, font, size, thickness)
    line = height + base + 4
    color = (255, 255, 255)
    corner = image[-line:, : width + 8]
    corner //= 4
    start = (4, image.shape[0] - base - 2)
    cv2.putText(image, text, start, font, size, color, thickness, cv2.LINE_AA)
    if with_scale:
        ramp = value_colors(np.linspace(0, 1, 6 * line))
        place = image[-line:, width + 8 : width + 8 + len(ramp)]
        place[:] = ramp[: place.shape[1]]
        start = (width + 8 + len(ramp) - 2 * base, start[1])
        cv2.putText(
            image, '1', start, font, size, color, thickness, cv2.LINE_AA
        )
    return image


def place_side_by_side(images: list[Image], gap: int = 4) -> Image:
    """Join images of one height, with white lines between."""
    line = np.full((len(images[0]), gap, 3), 255, dtype=np.uint8)
    parts = [image for picture in images for image in (line, picture)]
    return np.concatenate(parts[1:], axis=1)
