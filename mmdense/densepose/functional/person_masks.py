"""Masks of annotated people, whichever way the file has them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .annotations import FRAME_SIZE, NUM_PART_MASKS
from .rle import decode_rle


def read_frame_mask(masks: Any) -> NDArray[np.uint8]:
    """The part masks of a person together.

    Args:
        masks: `dp_masks`: a list of up to 14 RLEs, [] for parts not seen, or
            one RLE of the whole person.

    Returns:
        (256, 256) 0 or 1, in the frame of the box.

    Raises:
        ValueError: One is no RLE of that size.
    """
    if isinstance(masks, Mapping):
        masks = [masks]
    if not isinstance(masks, list) or len(masks) > NUM_PART_MASKS:
        raise ValueError(
            f'dp_masks must be a list of {NUM_PART_MASKS} masks ([] for a '
            f'part that is not seen) or one mask, got {masks!r:.40}'
        )
    # Down the columns, as RLEs run; across them is far slower.
    frame = np.zeros((FRAME_SIZE, FRAME_SIZE), dtype=np.uint8, order='F')
    for number, mask in enumerate(masks):
        if mask:
            frame |= _decode(mask, f'dp_masks[{number}]', *frame.shape)
    return frame


def read_segmentation(
    segmentation: Any, height: int, width: int
) -> NDArray[np.uint8]:
    """COCO's mask of a person.

    Args:
        segmentation: Polygons or an RLE; anything empty for none.
        height: Of the image, px.
        width: Of the image, px.

    Returns:
        (height, width) 0 or 1.

    Raises:
        ValueError: It cannot be read.
    """
    if not segmentation:
        return np.zeros((height, width), dtype=np.uint8)
    if isinstance(segmentation, Mapping):
        return _decode(segmentation, 'segmentation', height, width)
    # Here, as only polygons need it.
    from pycocotools import mask as coco_mask

    try:
        rles = coco_mask.frPyObjects(segmentation, height, width)
        return np.asarray(coco_mask.decode(coco_mask.merge(rles)))
    except Exception as error:
        raise ValueError(
            f'segmentation has broken polygons ({error}), got '
            f'{segmentation!r:.40}'
        ) from error


def _decode(
    rle: Any, field: str, height: int, width: int
) -> NDArray[np.uint8]:
    try:
        mask = decode_rle(rle)
    except ValueError as error:
        raise ValueError(f'{field} {error}') from error
    if mask.shape != (height, width):
        raise ValueError(
            f'{field} must be {height} x {width}, got {mask.shape[0]} x '
            f'{mask.shape[1]}'
        )
    return mask
