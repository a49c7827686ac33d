"""Dense annotations into boxes that carry them through a pipeline."""

from typing import Any

import numpy as np
import torch
from mmdet.datasets.transforms import LoadAnnotations

from mmdense.registry import TRANSFORMS

from ..functional.annotations import (
    FRAME_SIZE,
    FramePoints,
    read_part_masks,
)
from ..structures import DensePoseBoxes, DensePoseInstances
from ..surface import build_symmetry


@TRANSFORMS.register_module()
class LoadDensePoseAnnotations(LoadAnnotations):
    """Load boxes, labels, masks and dense annotations.

    `gt_bboxes` become :class:`DensePoseBoxes`, which take points and part
    masks along through mmdet's geometric transforms.

    A point at (dp_x, dp_y) of a box x1, y1, w, h is put at
    x1 + dp_x * w / 256, y1 + dp_y * h / 256, as detectron2 does in training.
    (Its evaluation divides by 255 instead, so the metric does.)

    Args:
        symmetry: What a flip makes of (part, U, V), as `build_symmetry`
            takes it: the path of the published UV_symmetry_transforms.mat,
            or the config of a surface; None is the body that ships. False:
            not known, then points cannot be flipped. There is no default
            because the wrong one would go unnoticed.
        with_bbox: Cannot be switched off.
        **kwargs: As for `mmdet.LoadAnnotations`, without `box_type`.

    Raises:
        ValueError: When loading: the image is not of the annotated size; or,
            with `with_mask=True`, a person has no `segmentation`.
    """

    def __init__(
        self, *, symmetry: Any, with_bbox: bool = True, **kwargs
    ) -> None:
        if not with_bbox or 'box_type' in kwargs:
            raise ValueError(
                'dense annotations are carried by boxes of a type of their '
                'own: leave with_bbox and box_type out'
            )
        super().__init__(with_bbox=True, box_type='hbox', **kwargs)
        self.symmetry = symmetry
        self._flip = None if symmetry is False else build_symmetry(symmetry)

    def _load_bboxes(self, results: dict) -> None:
        super()._load_bboxes(results)
        self._check_size(results)
        people = map(self._load_person, results.get('instances', []))
        dense = DensePoseInstances.cat([DensePoseInstances.empty(), *people])
        results['gt_bboxes'] = DensePoseBoxes(
            results['gt_bboxes'].tensor, dense, clone=False
        )

    def _process_masks(self, results: dict) -> list:
        for person in results.get('instances', []):
            if 'mask' not in person:
                raise ValueError(
                    f'{results.get("ann_file", results.get("img_path"))}: '
                    f'annotation {person.get("ann_id")} has no segmentation, '
                    'which with_mask=True needs of everybody: add it, or '
                    'leave with_mask out'
                )
        return super()._process_masks(results)

    @staticmethod
    def _check_size(results: dict) -> None:
        annotated = results.get('height'), results.get('width')
        found = tuple(results.get('ori_shape', annotated))
        if annotated != found and None not in annotated:
            raise ValueError(
                f'{results["img_path"]} is {found[0]} x {found[1]} (height x '
                f'width), but {results.get("ann_file", "its annotation")} '
                f'says {annotated[0]} x {annotated[1]}; boxes and points '
                'would be in the wrong place'
            )

    def _load_person(self, person: dict) -> DensePoseInstances:
        x1, y1, x2, y2 = person['bbox']
        frame_to_image = np.array(
            [
                [(x2 - x1) / FRAME_SIZE, 0, x1],
                [0, (y2 - y1) / FRAME_SIZE, y1],
                [0, 0, 1],
            ]
        )
        dense = person.get('densepose', {})
        annotated = self._points(dense.get('points'))
        labels = read_part_masks(dense)
        if labels is None:
            masks = torch.zeros(1, FRAME_SIZE, FRAME_SIZE, dtype=torch.uint8)
        else:
            masks = torch.from_numpy(np.ascontiguousarray(labels))[None]
        in_frame = DensePoseInstances(
            **annotated,
            part_masks=masks,
            has_part_mask=torch.tensor([labels is not None]),
            mask_to_image=torch.eye(3)[None],
        )
        return in_frame.transformed(frame_to_image)

    def _points(self, points: FramePoints | None) -> dict:
        if points is None:
            points = FramePoints(
                np.zeros((0, 2), np.float32),
                np.zeros(0, np.uint8),
                np.zeros((0, 2), np.float32),
            )
        mirrored_part = mirrored_uv = None
        if self._flip is not None:
            part, u, v = self._flip.flip(points.part, *points.uv.T)
            mirrored_part = torch.from_numpy(np.array(part, dtype=np.int64))
            mirrored_uv = torch.from_numpy(
                np.stack((u, v), axis=1).astype(np.float32)
            )
        return {
            'num_points': torch.tensor([len(points.part)]),
            'xy': torch.from_numpy(points.xy),
            'part': torch.from_numpy(points.part.astype(np.int64)),
            'uv': torch.from_numpy(points.uv),
            'mirrored_part': mirrored_part,
            'mirrored_uv': mirrored_uv,
            'is_visible': torch.ones(len(points.part), dtype=torch.bool),
        }

    def __repr__(self) -> str:
        return f'{super().__repr__()[:-1]}, symmetry={self.symmetry!r})'
