"""Boxes that carry the dense annotations of their people."""

from collections.abc import Sequence
from typing import NoReturn

import cv2
import numpy as np
import torch
from mmdet.structures.bbox import (
    HorizontalBoxes,
    register_box,
    register_box_converter,
)
from torch import Tensor

from .densepose_instances import DensePoseInstances, Index

# OpenCV's matrices count from the center of the first pixel, boxes and points
# from its corner.
_TO_CENTERS = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
_TO_CORNERS = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])


@register_box('densepose')
class DensePoseBoxes(HorizontalBoxes):
    """Horizontal boxes of N people with their points and part masks.

    mmdet's transforms move, select and join the boxes of an image through
    the methods of its box types. What they do to the boxes is done here to
    the dense annotations too, so that none can forget them. A transform that
    makes new boxes out of bare numbers is refused.

    `project_` and `rotate_` move boxes as mmdet does, points by half a pixel
    differently: the matrices are OpenCV's, whose origin is the center of the
    first pixel, and points must follow the picture exactly.

    Args:
        data: (N, 4) x1, y1, x2, y2 in px.
        dense: Annotations of the same N people. May be left out only without
            boxes.
        **kwargs: As for `mmdet.HorizontalBoxes`.

    Raises:
        ValueError: There are boxes but no dense annotations, or not as many.
    """

    def __init__(
        self,
        data: Tensor | np.ndarray | Sequence,
        dense: DensePoseInstances | None = None,
        **kwargs,
    ) -> None:
        super().__init__(data, **kwargs)
        if dense is None:
            if self.tensor.numel():
                _refuse(
                    f'{len(self.tensor)} boxes were made without the dense '
                    'annotations of their people'
                )
            dense = DensePoseInstances.empty().to(self.tensor.device)
        if self.tensor.dim() != 2 or len(self.tensor) != len(dense):
            _refuse(
                'boxes and dense annotations must be of the same people, got '
                f'boxes of shape {tuple(self.tensor.shape)} and dense '
                f'annotations of {len(dense)}'
            )
        self.dense = dense

    def __repr__(self) -> str:
        return f'{super().__repr__()[:-1]},\n{self.dense})'

    def __deepcopy__(self, memo: dict) -> 'DensePoseBoxes':
        other = super().__deepcopy__(memo)
        other.dense = self.dense
        return other

    # What selects, joins and copies.

    def __getitem__(self, index: Index) -> 'DensePoseBoxes':
        boxes = HorizontalBoxes(self.tensor, clone=False)[index]
        return type(self)(boxes.tensor, self.dense[index], clone=False)

    def __setitem__(self, index: Index, values) -> NoReturn:
        _refuse('boxes were overwritten in place')

    @classmethod
    def cat(
        cls, box_list: Sequence['DensePoseBoxes'], dim: int = 0
    ) -> 'DensePoseBoxes':
        """Join boxes along the first dimension.

        Raises:
            ValueError: Some are boxes without dense annotations.
        """
        strangers = [box for box in box_list if not isinstance(box, cls)]
        if strangers:
            _refuse(
                f'boxes were joined with {type(strangers[0]).__name__}, which '
                'carries no dense annotations; if images of two data sets '
                'are mixed, both must use mmdense.LoadDensePoseAnnotations'
            )
        return cls(
            torch.cat([boxes.tensor for boxes in box_list], dim=dim),
            DensePoseInstances.cat([boxes.dense for boxes in box_list]),
            clone=False,
        )

    def split(
        self, split_size_or_sections: int | Sequence[int], dim: int = 0
    ) -> list['DensePoseBoxes']:
        rows = torch.arange(len(self), device=self.device)
        return [self[part] for part in rows.split(split_size_or_sections, dim)]

    def chunk(self, chunks: int, dim: int = 0) -> list['DensePoseBoxes']:
        rows = torch.arange(len(self), device=self.device)
        return [self[part] for part in rows.chunk(chunks, dim)]

    def clone(self) -> 'DensePoseBoxes':
        return type(self)(self.tensor, self.dense)

    def detach(self) -> 'DensePoseBoxes':
        return type(self)(self.tensor.detach(), self.dense, clone=False)

    def to(self, *args, **kwargs) -> 'DensePoseBoxes':
        tensor = self.tensor.to(*args, **kwargs)
        return type(self)(tensor, self.dense.to(tensor.device), clone=False)

    def cpu(self) -> 'DensePoseBoxes':
        return self.to('cpu')

    def cuda(self, *args, **kwargs) -> 'DensePoseBoxes':
        tensor = self.tensor.cuda(*args, **kwargs)
        return type(self)(tensor, self.dense.to(tensor.device), clone=False)

    @staticmethod
    def from_instance_masks(masks) -> NoReturn:
        _refuse('boxes were computed from instance masks')

    # What moves.

    def flip_(
        self, img_shape: tuple[int, int], direction: str = 'horizontal'
    ) -> None:
        """Flip; a mirror image has other parts, see `transformed`."""
        super().flip_(img_shape, direction)
        height, width = img_shape[:2]
        matrix = np.eye(3)
        if direction in ('horizontal', 'diagonal'):
            matrix[0, 0], matrix[0, 2] = -1, width
        if direction in ('vertical', 'diagonal'):
            matrix[1, 1], matrix[1, 2] = -1, height
        self._move(matrix)

    def translate_(self, distances: tuple[float, float]) -> None:
        super().translate_(distances)
        matrix = np.eye(3)
        matrix[:2, 2] = distances
        self._move(matrix)

    def rescale_(self, scale_factor: tuple[float, float]) -> None:
        super().rescale_(scale_factor)
        self._move(np.diag([*scale_factor, 1]))

    def rotate_(self, center: tuple[float, float], angle: float) -> None:
        super().rotate_(center, angle)
        rotation = cv2.getRotationMatrix2D(center, -angle, 1)
        self._warp(np.vstack((rotation, [0, 0, 1])))

    def project_(self, homography_matrix: Tensor | np.ndarray) -> None:
        super().project_(homography_matrix)
        self._warp(np.asarray(homography_matrix, dtype=np.float64))

    def clip_(self, img_shape: tuple[int, int]) -> None:
        """Clip boxes; points outside are marked, part masks stay."""
        super().clip_(img_shape)
        self.dense = self.dense.cut_to(*img_shape[:2])

    def is_inside(
        self,
        img_shape: tuple[int, int],
        all_inside: bool = False,
        allowed_border: int = 0,
    ) -> Tensor:
        """Which boxes are inside; points outside are marked.

        Transforms that do not clip boxes (`bbox_clip_border=False`) still ask
        this of the new canvas, and all that is outside is lost.
        """
        self.dense = self.dense.cut_to(*img_shape[:2])
        return super().is_inside(img_shape, all_inside, allowed_border)

    def _warp(self, matrix: np.ndarray) -> None:
        self._move(_TO_CORNERS @ matrix @ _TO_CENTERS)

    def _move(self, matrix: np.ndarray) -> None:
        self.dense = self.dense.transformed(matrix)


@register_box_converter(DensePoseBoxes, HorizontalBoxes)
def _drop_dense(boxes: Tensor) -> Tensor:
    """For overlaps, which mmdet computes between plain boxes."""
    return boxes


def _refuse(what: str) -> NoReturn:
    raise ValueError(
        f'{what}. A transform of the pipeline would lose or misalign the '
        'points of dense pose: see the traceback for which, and '
        'docs/densepose_data.md for the transforms that carry them'
    )
