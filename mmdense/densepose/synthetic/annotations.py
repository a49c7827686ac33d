"""Annotations of a rendering in the format of DensePose-COCO."""

from typing import Any

import numpy as np
import pycocotools.mask as mask_utils
from numpy.typing import NDArray

from ..functional.annotations import FRAME_SIZE, NUM_PART_MASKS
from ..surface.parts import NUM_PARTS, SEGM_OF_PART
from .render import Rendering
from .studio import Studio

CATEGORIES = [{'id': 1, 'name': 'person', 'supercategory': 'person'}]
#: Points of a person, as many as the published annotations have.
POINTS = (100, 150)
#: The image's id times this, plus 1, 2, ... is the id of an annotation.
IDS_PER_IMAGE = 10


def annotate(
    studio: Studio,
    rendering: Rendering,
    rng: np.random.Generator,
    image_id: int,
) -> list[dict[str, Any]]:
    """Annotations of all people in an image.

    `dp_x` and `dp_y` are relative to the box: (center of the pixel - corner
    of the box) / size of the box * 256, which the data set undoes. (The
    evaluation of the reference multiplies by size / 255, whoever annotated.)
    Boxes enclose the visible pixels tightly, edge to edge.

    Args:
        studio: What images share.
        rendering: Of the image; everyone has a pixel at least.
        rng: Decides which points are annotated.
        image_id: Of the image, 1, 2, ...
    """
    return [
        {
            'id': image_id * IDS_PER_IMAGE + number + 1,
            'image_id': image_id,
            'category_id': 1,
            'iscrowd': 0,
            **_annotate_person(studio, rendering, rng, number),
        }
        for number in range(len(rendering.scene.people))
    ]


def _annotate_person(
    studio: Studio,
    rendering: Rendering,
    rng: np.random.Generator,
    number: int,
) -> dict[str, Any]:
    mask = rendering.person == number
    rows, columns = np.nonzero(mask)
    face = rendering.face[rows, columns]
    x, y = int(columns.min()), int(rows.min())
    width, height = int(columns.max()) - x + 1, int(rows.max()) - y + 1
    part = np.zeros(mask.shape, dtype=np.uint8)
    part[rows, columns] = studio.surface.face_part[face]
    segm = SEGM_OF_PART[part[y : y + height, x : x + width]]

    count = int(rng.integers(POINTS[0], POINTS[1] + 1))
    chosen = spread_points(rng, rows, columns, part[rows, columns], count)
    row, column = rows[chosen], columns[chosen]
    point_part, uv = studio.chart_points(
        face[chosen], rendering.weights[row, column]
    )
    return {
        'bbox': [x, y, width, height],
        'area': len(rows),
        'segmentation': encode_mask(mask),
        'dp_I': point_part.tolist(),
        'dp_U': uv[:, 0].round(5).tolist(),
        'dp_V': uv[:, 1].round(5).tolist(),
        'dp_x': ((column + 0.5 - x) * (FRAME_SIZE / width)).round(4).tolist(),
        'dp_y': ((row + 0.5 - y) * (FRAME_SIZE / height)).round(4).tolist(),
        'dp_masks': part_masks(segm),
    }


def spread_points(
    rng: np.random.Generator,
    rows: NDArray[np.integer],
    columns: NDArray[np.integer],
    part: NDArray[np.uint8],
    count: int,
) -> NDArray[np.int64]:
    """Choose pixels: about as many of each part, spread over each.

    The published annotations were made so: annotators were shown about
    equally many points on each part they saw, roughly equally far apart
    (Güler et al., "DensePose: Dense Human Pose Estimation In The Wild",
    2018).

    Args:
        rng: Decides where the points begin.
        rows: (N,) of the pixels.
        columns: (N,) of the same.
        part: (N,) 1..24.
        count: How many to choose; all, if there are no more.

    Returns:
        Indices, different ones, of min(count, N) pixels.
    """
    pixels = np.bincount(part, minlength=NUM_PARTS + 1)
    quota = share_evenly(pixels, count)
    order = np.lexsort((_along_curve(rows, columns), part))
    start = np.cumsum(pixels) - pixels
    chosen = []
    for label in np.flatnonzero(quota):
        step = pixels[label] / quota[label]
        place = np.floor((np.arange(quota[label]) + rng.random()) * step)
        chosen.append(order[start[label] + place.astype(np.int64)])
    return np.concatenate(chosen)


def share_evenly(
    available: NDArray[np.integer], total: int
) -> NDArray[np.int64]:
    """Shares as equal as what is available allows; they add up to `total`.

    Args:
        available: (K,) what each can take at most.
        total: To share; all that is available, if that is less.
    """
    shares = np.zeros(len(available), dtype=np.int64)
    # Those that can take least first: the others share what these leave.
    order = np.argsort(available, kind='stable')
    for done, label in enumerate(order):
        fair = total // (len(order) - done)
        shares[label] = min(available[label], fair)
        total -= int(shares[label])
    return shares


def _along_curve(
    rows: NDArray[np.integer], columns: NDArray[np.integer]
) -> NDArray[np.int64]:
    """Places along Morton's curve: near on it is near in the image."""
    code = np.zeros(len(rows), dtype=np.int64)
    for bit in range(16):
        code |= (columns >> bit & 1).astype(np.int64) << (2 * bit)
        code |= (rows >> bit & 1).astype(np.int64) << (2 * bit + 1)
    return code


def part_masks(segm: NDArray[np.uint8]) -> list[Any]:
    """The 14 masks of an annotation.

    Args:
        segm: (h, w) 0..14 of the pixels in the box.

    Returns:
        COCO's RLEs of 256 x 256, [] for what is not seen. A pixel of theirs
        is what is seen at its center.
    """
    at = [
        ((np.arange(FRAME_SIZE) + 0.5) * (side / FRAME_SIZE)).astype(int)
        for side in segm.shape
    ]
    frame = segm[np.ix_(*at)]
    seen = np.bincount(frame.ravel(), minlength=NUM_PART_MASKS + 1)
    return [
        encode_mask(frame == label) if seen[label] else []
        for label in range(1, NUM_PART_MASKS + 1)
    ]


def encode_mask(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """COCO's compressed RLE of a mask, as JSON can hold it."""
    rle = mask_utils.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {
        'size': [int(side) for side in mask.shape],
        'counts': rle['counts'].decode('ascii'),
    }
