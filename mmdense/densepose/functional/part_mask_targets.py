"""Annotated part masks in the grid of a RoI's heat map."""

import torch
from torch import Tensor

from .annotations import FRAME_SIZE


def sample_part_masks(
    masks: Tensor,
    mask_to_image: Tensor,
    boxes: Tensor,
    size: int,
    legacy_alignment: bool = False,
) -> Tensor:
    """The label of each cell, that of the nearest pixel of the mask.

    Args:
        masks: (N, 256, 256) uint8, labels in the frame of the annotated box.
        mask_to_image: (N, 3, 3), from that frame, 0..256 in x and y, to
            image coordinates (homogeneous, columns).
        boxes: (N, 4) x1, y1, x2, y2 of the RoIs, px.
        size: S, cells along each side.
        legacy_alignment: As detectron2 does: the label at a cell's upper left
            corner, of a mask whose last pixel is centered on the right edge
            of the box. About 0.6 to 1.6 pixels of the mask off.

    Returns:
        (N, S, S) of the dtype of `masks`; 0 outside the annotated box.
    """
    # A pixel decides a label, so rounding matters.
    boxes, to_image = boxes.double(), mask_to_image.double()
    cells = torch.arange(size, dtype=torch.float64, device=boxes.device)
    if not legacy_alignment:
        cells = cells + 0.5
    extent = boxes[:, 2:] - boxes[:, :2]
    place = boxes[:, None, :2] + cells[:, None] / size * extent[:, None]
    x, y = place.unbind(-1)
    n = len(masks)
    points = torch.stack(
        (
            x[:, None, :].expand(n, size, size),
            y[:, :, None].expand(n, size, size),
            torch.ones(n, size, size).to(x),
        ),
        dim=-1,
    )
    points = points @ _inverse(to_image).transpose(1, 2)[:, None]
    in_frame = points[..., :2] / points[..., 2:]
    if legacy_alignment:
        pixels = (in_frame * ((FRAME_SIZE - 1) / FRAME_SIZE)).round()
    else:
        pixels = in_frame.floor()
    is_inside = ((pixels >= 0) & (pixels < FRAME_SIZE)).all(-1)
    columns, rows = pixels.where(is_inside[..., None], 0).long().unbind(-1)
    mask = torch.arange(n, device=masks.device)[:, None, None]
    return masks[mask, rows, columns] * is_inside.to(masks.dtype)


def _inverse(matrix: Tensor) -> Tensor:
    """Of 3 x 3 matrices, by cofactors: exact enough for any image.

    A box without extent, which no annotation has, maps to nothing.
    """
    a, b, c = matrix.unbind(1)
    cofactors = torch.stack(
        (
            torch.linalg.cross(b, c),
            torch.linalg.cross(c, a),
            torch.linalg.cross(a, b),
        ),
        dim=2,
    )
    determinant = (a * torch.linalg.cross(b, c)).sum(1)
    return cofactors / determinant[:, None, None]
