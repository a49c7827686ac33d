"""People with dense annotations in DensePose-COCO's format."""

import warnings
from typing import Any

from mmdet.datasets import CocoDataset
from mmdet.datasets.api_wrappers import COCO

from mmdense.registry import DATASETS

from ..functional.annotations import (
    check_dense,
    is_dense,
    read_points,
)
from ..functional.validation import read_file
from ..transforms.compatibility import check_transforms

_VALIDATE = 'tools/misc/validate_densepose.py lists all problems of a file'


class _CocoByPlace(COCO):
    """COCO's index by place in the file instead of annotation id.

    Published files of DensePose-COCO hold some ids twice. By id the later
    annotation would come up twice and the earlier one never.
    """

    def __init__(self, annotation_file: str) -> None:
        super().__init__()
        # Not by the host, which takes the lists of a file for granted.
        self.dataset = read_file(annotation_file)
        self.createIndex()
        self.img_ann_map, self.cat_img_map = self.imgToAnns, self.catToImgs

    def get_ann_ids(self, img_ids=(), *args, **kwargs) -> list[int]:
        if not self._places_by_image:
            for place, annotation in enumerate(self.dataset['annotations']):
                places = self._places_by_image.setdefault(
                    annotation['image_id'], []
                )
                places.append(place)
        return [
            place
            for image in img_ids
            for place in self._places_by_image.get(image, ())
        ]

    def load_anns(self, ids) -> list[dict]:
        return [self.dataset['annotations'][place] for place in ids]

    def createIndex(self) -> None:
        super().createIndex()
        self._places_by_image: dict[Any, list[int]] = {}


@DATASETS.register_module()
class DensePoseCocoDataset(CocoDataset):
    """People with dense annotations in DensePose-COCO's format.

    Reads the published files as they are, and any file of their format. To
    what `mmdet.CocoDataset` makes of an annotation this adds

    * `ann_id`: the id of the annotation;
    * `densepose`: what `mmdense.LoadDensePoseAnnotations` needs, missing for
      people without dense annotations, who are still boxes to learn from:
      `points` (:class:`FramePoints` or None) and `dp_masks`, still encoded.

    Points are relative to the annotated box: `dp_x` 0 is its left edge, 256
    its right edge.

    Args:
        *args: As for `mmdet.CocoDataset`.
        on_problem: What to do with dense annotations that cannot be used:
            `'raise'`, or `'drop'` them, keep the person and warn once.
        filter_cfg: As for `mmdet.CocoDataset`; `filter_no_densepose=True`
            also leaves out images without a single dense annotation.
        **kwargs: As for `mmdet.CocoDataset`. With
            `metainfo=dict(classes=('person', 'dog'))` others than people are
            boxes to learn from; they have no dense annotations.

    Raises:
        ValueError: A dense annotation cannot be used; a class is not a
            category of the file; `data_prefix` does not say where images are;
            no image is there, or left by `filter_cfg`; or the pipeline has a
            transform that would lose or misalign dense points.
    """

    METAINFO = {'classes': ('person',), 'palette': [(220, 20, 60)]}
    COCOAPI = _CocoByPlace

    def __init__(
        self,
        *args,
        on_problem: str = 'raise',
        filter_cfg: dict | None = None,
        **kwargs,
    ) -> None:
        if on_problem not in ('raise', 'drop'):
            raise ValueError(
                f"on_problem must be 'raise' or 'drop', got {on_problem!r}"
            )
        self.on_problem = on_problem
        super().__init__(*args, filter_cfg=filter_cfg, **kwargs)
        check_transforms(self.pipeline)

    def load_data_list(self) -> list[dict]:
        if 'img' not in self.data_prefix:
            raise ValueError(
                f'data_prefix has no img, got {self.data_prefix}: give '
                "data_prefix=dict(img='...'), the folder that file_name of "
                f'{self.ann_file} is relative to'
            )
        self._dropped: list[str] = []
        self._outside: list[str] = []
        try:
            data_list = super().load_data_list()
        except KeyError as error:
            raise ValueError(
                f'{self.ann_file}: an image, annotation or category has no '
                f'{error}; {_VALIDATE}'
            ) from error
        if len(self.cat_ids) != len(self.metainfo['classes']):
            raise ValueError(
                f'{self.ann_file}: the classes {self.metainfo["classes"]} '
                f'match {len(self.cat_ids)} of its categories by name; set '
                'metainfo=dict(classes=...) to names of the file'
            )
        for what, annotations in (
            ('were dropped', self._dropped),
            ('have points outside their boxes', self._outside),
        ):
            if annotations:
                warnings.warn(
                    f'{len(annotations)} dense annotations {what}, the '
                    f'first: {annotations[0]}',
                    stacklevel=2,
                )
        return data_list

    def parse_data_info(self, raw_data_info: dict) -> dict:
        annotations = raw_data_info['raw_ann_info']
        info = super().parse_data_info({**raw_data_info, 'raw_ann_info': []})
        info['ann_file'] = self.ann_file
        # One by one: mmdet leaves some out and says not which.
        for annotation in annotations:
            try:
                parsed = super().parse_data_info(
                    {**raw_data_info, 'raw_ann_info': [annotation]}
                )
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(
                    f'{self.ann_file}: annotation {annotation["id"]}: bbox, '
                    f'area or category_id cannot be used ({error!r}); '
                    f'{_VALIDATE}'
                ) from error
            for instance in parsed['instances']:
                instance['ann_id'] = annotation['id']
                if is_dense(annotation) and self._is_usable(annotation):
                    instance['densepose'] = {
                        'points': read_points(annotation),
                        'dp_masks': annotation.get('dp_masks'),
                    }
                info['instances'].append(instance)
        return info

    def _is_usable(self, annotation: dict) -> bool:
        problems = check_dense(annotation)
        if not problems:
            return True
        what = f'{self.ann_file}: annotation {annotation["id"]}: ' + '; '.join(
            f'{problem.field} {problem.message}' for problem in problems
        )
        if all(problem.is_usable for problem in problems):
            self._outside.append(what)
            return True
        if self.on_problem == 'raise':
            raise ValueError(
                f"{what}. {_VALIDATE}; on_problem='drop' uses such people "
                'without their dense annotations'
            )
        self._dropped.append(what)
        return False

    def filter_data(self) -> list[dict]:
        if not self.data_list:
            raise ValueError(
                f'{self.ann_file} has no images, expected at least one'
            )
        infos = super().filter_data()
        left = f'{len(infos)} by filter_empty_gt and min_size'
        if not self.test_mode and (self.filter_cfg or {}).get(
            'filter_no_densepose', False
        ):
            infos = [
                info
                for info in infos
                if any('densepose' in person for person in info['instances'])
            ]
            left += f', {len(infos)} of these by filter_no_densepose'
        if not infos:
            raise ValueError(
                f'{self.ann_file}: filter_cfg={self.filter_cfg} leaves none '
                f'of {len(self.data_list)} images ({left}); change it, or '
                'give a file with such images'
            )
        return infos
