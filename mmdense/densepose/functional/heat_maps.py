"""Where annotated points lie in the heat maps of RoIs, and what they read.

A loss at points needs a few cells of a heat map, not the map: the cells and
their weights are worked out here, through a bilinear enlargement of the map
if there is one, so that the large map is never made.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class HeatMapPoints:
    """The cells that P points read, T along each axis.

    Attributes:
        roi: (P,) int64, whose heat map.
        rows: (P, T) int64.
        columns: (P, T) int64.
        row_weights: (P, T), they sum to 1.
        column_weights: (P, T).
        is_inside: (P,) bool, whether the point is in its RoI; what the
            others read is meaningless.
    """

    roi: Tensor
    rows: Tensor
    columns: Tensor
    row_weights: Tensor
    column_weights: Tensor
    is_inside: Tensor

    def __len__(self) -> int:
        return len(self.roi)

    def __getitem__(self, index: Tensor) -> 'HeatMapPoints':
        """Some of the points, by mask or indices."""
        if index.dtype == torch.bool:  # once, not for each field
            index = index.nonzero().squeeze(1)
        return HeatMapPoints(
            **{name: value[index] for name, value in vars(self).items()}
        )

    def read(self, maps: Tensor, channel: Tensor | None = None) -> Tensor:
        """What the points read of heat maps, in float32 at least.

        Args:
            maps: (N, C, H, W), one for each RoI.
            channel: (P,) int64, the channel each point reads; None: all.

        Returns:
            (P,), or (P, C) without `channel`.
        """
        roi = self.roi[:, None, None]
        rows, columns = self.rows[:, :, None], self.columns[:, None, :]
        weights = self.row_weights[:, :, None] * self.column_weights[:, None]
        if channel is None:
            values = maps[roi, :, rows, columns]
            weights = weights[..., None]
        else:
            values = maps[roi, channel[:, None, None], rows, columns]
        dtype = torch.promote_types(values.dtype, torch.float32)
        return (values.to(dtype) * weights).sum((1, 2))


def locate_points(
    xy: Tensor,
    roi: Tensor,
    boxes: Tensor,
    size: int,
    scale: int = 1,
    legacy_alignment: bool = False,
) -> HeatMapPoints:
    """Find the cells that points read.

    A heat map shares out its RoI evenly; a cell's value is that of its
    center, and values between centers are bilinear. So a point reads just
    what the pixel it is on gets when the map is resized to the box
    (`align_corners=False`).

    Args:
        xy: (P, 2), image coordinates, px; the first pixel covers [0, 1).
        roi: (P,) int64, the RoI each point is looked up in.
        boxes: (N, 4) x1, y1, x2, y2 of the RoIs, px.
        size: Cells of a heat map along each side.
        scale: The maps that will be read have `size / scale` cells a side;
            the heat map is their bilinear enlargement.
        legacy_alignment: As detectron2 does in training, where a cell's value
            is that of its upper left corner: half a cell off.

    Raises:
        ValueError: `scale` does not divide `size`.
    """
    if size % scale:
        raise ValueError(
            f'a heat map of {size} cells cannot be an enlargement by {scale}'
        )
    corner, extent = boxes[roi, :2], boxes[roi, 2:] - boxes[roi, :2]
    offset = xy - corner
    is_inside = ((offset >= 0) & (offset < extent)).all(1)
    # A RoI without extent has no point inside; any number will do.
    position = offset * size / extent.where(extent > 0, 1)
    if not legacy_alignment:
        position = position - 0.5
    position = position.where(is_inside[:, None], 0)
    columns, column_weights = _cells(position[:, 0], size, scale)
    rows, row_weights = _cells(position[:, 1], size, scale)
    return HeatMapPoints(
        roi, rows, columns, row_weights, column_weights, is_inside
    )


def _cells(position: Tensor, size: int, scale: int) -> tuple[Tensor, Tensor]:
    """Cells and weights along one axis; (P, 2), or (P, 4) if enlarged."""
    cells, weights = _neighbours(position, size)
    if scale == 1:
        return cells, weights
    centers = (cells.to(position.dtype) + 0.5) / scale - 0.5
    inner, inner_weights = _neighbours(centers, size // scale)
    return inner.flatten(1), (weights[..., None] * inner_weights).flatten(1)


def _neighbours(position: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The two cells around positions counted in cells, (..., 2) each."""
    position = position.clamp(0, size - 1)
    low = position.floor()
    weight = position - low
    cells = torch.stack((low, (low + 1).clamp(max=size - 1)), dim=-1).long()
    return cells, torch.stack((1 - weight, weight), dim=-1)
