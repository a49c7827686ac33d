"""Dense pose of people whose boxes are given: the dense branch alone.

What the study compares are losses of the dense branch. A detector beside it
would cost most of the time and add its own noise.
"""

from dataclasses import replace

import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import InstanceData

from mmdense.densepose.roi_heads import UVRoIHead
from mmdense.densepose.structures import DensePoseInstances
from mmdense.registry import MODELS, TRANSFORMS


@TRANSFORMS.register_module()
class GiveBoxes(BaseTransform):
    """The annotated boxes are the proposals. After loading of annotations."""

    def transform(self, results: dict) -> dict:
        boxes = results['gt_bboxes'].tensor
        results['proposals'] = boxes.clone()
        results['proposals_scores'] = torch.ones(len(boxes))
        return results


@TRANSFORMS.register_module()
class TakePoints(BaseTransform):
    """Another number of points for everyone. After packing.

    Args:
        share: Below 1, so many of the points of each person, drawn at random
            and at least one; a whole number above 1 takes all that often,
            which is what as many RoIs of each person do.
    """

    def __init__(self, share: float) -> None:
        self.share = share

    def transform(self, results: dict) -> dict:
        people = results['data_samples'].gt_instances
        people.densepose = take_points(people.densepose, self.share)
        return results


def take_points(dense: DensePoseInstances, share: float) -> DensePoseInstances:
    """The same people with `share` times as many points."""
    if share == 1:
        return dense
    rows = torch.arange(len(dense.part))
    if share > 1:
        rows = rows.repeat_interleave(round(share))
    else:
        rank = torch.rand(len(rows)).argsort().argsort()
        # Random order within each person: the first ones are kept.
        order = (dense.instance * len(rows) + rank).argsort()
        first = dense.num_points.cumsum(0) - dense.num_points
        place = torch.arange(len(rows)) - first[dense.instance]
        wanted = (dense.num_points * share).round().clamp(min=1)
        rows = order[place < wanted[dense.instance]].sort().values
    return replace(
        dense,
        num_points=dense.instance[rows].bincount(minlength=len(dense)),
        xy=dense.xy[rows],
        part=dense.part[rows],
        uv=dense.uv[rows],
        # After packing nothing is flipped any more.
        mirrored_part=None,
        mirrored_uv=None,
        is_visible=dense.is_visible[rows],
    )


@MODELS.register_module()
class GivenBoxesHead(UVRoIHead):
    """The dense branch on given boxes; no box branch learns or is asked."""

    def bbox_loss(self, x, sampling_results) -> dict:
        return dict(loss_bbox={}, bbox_feats=None)

    def predict_bbox(
        self, x, batch_img_metas, rpn_results_list, rcnn_test_cfg, rescale
    ) -> list[InstanceData]:
        return [
            InstanceData(
                bboxes=given.bboxes,
                scores=given.scores,
                labels=torch.zeros_like(given.scores, dtype=torch.int64),
            )
            for given in rpn_results_list
        ]
