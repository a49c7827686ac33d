"""Images with people, made small enough to draw."""

from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.structures import InstanceData

from ..structures import DensePoseInstances
from .drawing import Image


def shrink_image(image: Image, limit: int) -> Image:
    """Make the longer side at most `limit` px; (H, W, 3)."""
    scale = limit / max(image.shape[:2])
    if scale >= 1:
        return image
    height, width = (max(round(side * scale), 1) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def shrink_iuv(iuv: Image, height: int, width: int) -> Image:
    """The nearest pixels; (3, H, W)."""
    return np.stack(
        [
            cv2.resize(field, (width, height), interpolation=cv2.INTER_NEAREST)
            for field in iuv
        ]
    )


def shrink_people(
    people: InstanceData, scale: tuple[float, float]
) -> InstanceData:
    """Boxes, masks and dense annotations of the smaller image.

    Predicted dense pose stays as it is: see :func:`shrink_iuv`.

    Args:
        people: With boxes as tensors.
        scale: Of x and of y.
    """
    x, y = scale
    fields: dict[str, Any] = dict(people.items())
    boxes = fields['bboxes']
    fields['bboxes'] = boxes * boxes.new_tensor([x, y, x, y])
    if isinstance(fields['densepose'], DensePoseInstances):
        matrix = np.diag([x, y, 1.0])
        fields['densepose'] = fields['densepose'].cpu().transformed(matrix)
    masks = fields.get('masks')
    if isinstance(masks, BitmapMasks | PolygonMasks):
        shape = round(masks.height * y), round(masks.width * x)
        fields['masks'] = masks.resize(shape)
    elif masks is not None and len(masks):
        shape = round(masks.shape[1] * y), round(masks.shape[2] * x)
        small = F.interpolate(torch.as_tensor(masks)[None].float(), shape)
        fields['masks'] = small[0].bool()
    return InstanceData(**fields)
