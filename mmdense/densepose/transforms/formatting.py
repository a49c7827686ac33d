"""The last step of a pipeline for dense pose."""

import numpy as np
from mmdet.datasets.transforms import PackDetInputs
from mmdet.structures.bbox import HorizontalBoxes

from mmdense.registry import TRANSFORMS

from ..structures import DensePoseBoxes
from ..structures.densepose_instances import SHAPE_OF_POINTS


@TRANSFORMS.register_module()
class PackDensePoseInputs(PackDetInputs):
    """Pack as `mmdet.PackDetInputs`, and the dense annotations beside.

    `gt_instances.densepose` is a :class:`DensePoseInstances` of the people
    in `gt_instances`, with the points that are still in the image. Its
    coordinates are those of the image that goes into the network.

    Raises:
        ValueError: When packing: an earlier transform has lost the dense
            annotations, or left instance masks behind that do not fit.
    """

    def transform(self, results: dict) -> dict:
        boxes = results['gt_bboxes'] if 'gt_bboxes' in results else None
        if not isinstance(boxes, DensePoseBoxes):
            raise ValueError(
                'gt_bboxes carry no dense annotations: expected '
                f'DensePoseBoxes, got {type(boxes).__name__}. Either '
                'annotations were not loaded by '
                'mmdense.LoadDensePoseAnnotations, or a transform has made '
                'new boxes (Albu, RandomErasing and InstaBoost do); '
                'docs/densepose_data.md lists those that carry dense points'
            )
        self._check_masks(results)
        dense = boxes.dense.cut_to(*results['img'].shape[:2]).visible()
        # The model needs plain boxes; what they carry is a field now.
        plain = {
            **results,
            'gt_bboxes': HorizontalBoxes(boxes.tensor, clone=False),
        }
        packed = super().transform(plain)
        kept = results.get('gt_ignore_flags')
        kept = slice(None) if kept is None else np.flatnonzero(kept == 0)
        sample = packed['data_samples']
        sample.gt_instances.densepose = dense[kept]
        # What resizes later, without the points, is found out by this.
        shape = sample.metainfo.get('img_shape')
        sample.set_metainfo({SHAPE_OF_POINTS: shape})
        return packed

    @staticmethod
    def _check_masks(results: dict) -> None:
        masks = results.get('gt_masks')
        if masks is None:
            return
        size = tuple(results['img'].shape[:2])
        found = len(masks), masks.height, masks.width
        if found != (len(results['gt_bboxes']), *size):
            raise ValueError(
                'gt_masks do not fit: got {} masks of {} x {}, expected {} of '
                '{} x {}. A transform of the pipeline does not know instance '
                'masks (Mosaic and MixUp do not); leave with_mask out'.format(
                    *found, len(results['gt_bboxes']), *size
                )
            )
