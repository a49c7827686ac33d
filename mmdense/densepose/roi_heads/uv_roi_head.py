"""A branch for dense pose in a two-stage detector."""

import torch
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox2roi, bbox_overlaps, scale_boxes
from mmengine.structures import InstanceData
from torch import Tensor

from mmdense.registry import MODELS

from ..structures import DensePoseInstances
from ..structures.densepose_instances import SHAPE_OF_POINTS

# As in mmdet's forward, which is for counting operations and exporting.
_NUM_FORWARD_ROIS = 100
_ANY_BOX = (0.0, 0.0, 64.0, 64.0)


@MODELS.register_module()
class UVRoIHead(StandardRoIHead):
    """Boxes, masks if wanted, and dense pose.

    For the RoI head of any two-stage detector of mmdet. The dense branch has
    RoIs of its own, because most positives of the box branch are too far off
    to learn points in: those whose overlap with a person with dense
    annotations is above `min_iou`.

    Training needs `gt_instances.densepose`, which
    `mmdense.PackDensePoseInputs` makes. Predictions have
    `pred_instances.densepose`, a
    :class:`~mmdense.densepose.structures.DensePoseResults`.

    Args:
        uv_roi_extractor: Config of what takes the features of RoIs. What it
            is given decides: `featmap_strides=[4]` without a decoder is the
            finest level alone, `[4, 8, 16, 32]` a level by size, and `[4]`
            with a decoder the decoded map.
        uv_head: Config of the head.
        uv_decoder: Config of what makes one map of the pyramid; None: no
            such thing.
        min_iou: See above.
        max_rois: At most so many RoIs of an image in training, people's own
            boxes first, the others drawn at random; None: all.
        **kwargs: As for `mmdet.StandardRoIHead`; the mask branch is optional.

    Raises:
        ValueError: An option is out of its range.
    """

    def __init__(
        self,
        uv_roi_extractor: dict,
        uv_head: dict,
        uv_decoder: dict | None = None,
        min_iou: float = 0.7,
        max_rois: int | None = None,
        **kwargs,
    ) -> None:
        if not 0 <= min_iou < 1 or (max_rois is not None and max_rois < 1):
            raise ValueError(
                'min_iou must be in [0, 1) and max_rois at least 1 or None, '
                f'got min_iou={min_iou}, max_rois={max_rois}'
            )
        super().__init__(**kwargs)
        self.uv_roi_extractor = MODELS.build(uv_roi_extractor)
        self.uv_head = MODELS.build(uv_head)
        self.uv_decoder = None
        if uv_decoder is not None:
            self.uv_decoder = MODELS.build(uv_decoder)
        self.min_iou, self.max_rois = min_iou, max_rois
        sizes = {
            layer.output_size for layer in self.uv_roi_extractor.roi_layers
        }
        if len(sizes) > 1 or any(height != width for height, width in sizes):
            raise ValueError(
                'roi_layer.output_size of uv_roi_extractor must be a square, '
                f'got {", ".join(map(str, sorted(sizes)))} (height, width)'
            )

    @property
    def with_mask(self) -> bool:
        """Whether there is a second stage after the boxes: always.

        What mmdet asks it for: to call :meth:`mask_loss` and
        :meth:`predict_mask`, and to leave boxes unscaled until then.
        """
        return True

    @property
    def has_mask_head(self) -> bool:
        """Whether masks are predicted."""
        return StandardRoIHead.with_mask.fget(self)

    def forward(self, x, rpn_results_list, batch_data_samples=None) -> tuple:
        results = super().forward(x, rpn_results_list, batch_data_samples)
        if not self.has_mask_head:
            results = results[:-1]
        rois = bbox2roi([proposals.bboxes for proposals in rpn_results_list])
        features = self.uv_features(x, rois[:_NUM_FORWARD_ROIS])
        return (*results, self.uv_head(features))

    def _mask_forward(self, *args, **kwargs) -> dict:
        if self.has_mask_head:
            return super()._mask_forward(*args, **kwargs)
        return dict(mask_preds=None, mask_feats=None)

    def uv_maps(self, x: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The maps that the features of RoIs are taken from."""
        if self.uv_decoder is not None:
            return (self.uv_decoder(x),)
        return tuple(x[: self.uv_roi_extractor.num_inputs])

    def uv_features(self, x: tuple[Tensor, ...], rois: Tensor) -> Tensor:
        """Features for the dense head.

        Args:
            x: Levels of the pyramid, the finest first.
            rois: (N, 5), index of the image and x1, y1, x2, y2.

        Returns:
            (N, C, h, w).
        """
        return self.uv_roi_extractor(self.uv_maps(x), rois)

    def loss(
        self,
        x: tuple[Tensor, ...],
        rpn_results_list: list[InstanceData],
        batch_data_samples: list[DetDataSample],
    ) -> dict:
        """As mmdet, once the annotations are known to fit the images.

        Raises:
            ValueError: Images were resized after packing, without the points.
        """
        for sample in batch_data_samples:
            packed = sample.metainfo.get(SHAPE_OF_POINTS)
            found = sample.metainfo.get('img_shape')
            if packed is not None and tuple(found) != tuple(packed):
                raise ValueError(
                    f'dense points are of an image of {tuple(packed)} px, but '
                    f'it has {tuple(found)} px (height, width) now: '
                    'batch_augments of the data preprocessor '
                    '(BatchSyncRandomResize, BatchResize) do not move points; '
                    'resize in the pipeline, by mmdet.RandomResize for '
                    'example'
                )
        return super().loss(x, rpn_results_list, batch_data_samples)

    def mask_loss(
        self,
        x: tuple[Tensor, ...],
        sampling_results: list[SamplingResult],
        bbox_feats: Tensor,
        batch_gt_instances: list[InstanceData],
    ) -> dict:
        """The losses of masks, if any, and of dense pose."""
        results = dict(loss_mask={})
        if self.has_mask_head:
            results = super().mask_loss(
                x, sampling_results, bbox_feats, batch_gt_instances
            )
        results['loss_mask'].update(
            self.uv_loss(x, sampling_results, batch_gt_instances)
        )
        return results

    def uv_loss(
        self,
        x: tuple[Tensor, ...],
        sampling_results: list[SamplingResult],
        batch_gt_instances: list[InstanceData],
    ) -> dict[str, Tensor]:
        """The losses of dense pose, and values to log.

        Args:
            x: Levels of the pyramid.
            sampling_results: What the box branch learns from, by image.
            batch_gt_instances: By image.

        Raises:
            ValueError: Dense annotations are missing.
        """
        boxes, dense, masks = [], [], []
        for sampling, people in zip(
            sampling_results, batch_gt_instances, strict=True
        ):
            rows = self._choose(sampling, _dense_of(people))
            person = sampling.pos_assigned_gt_inds[rows]
            boxes.append(sampling.pos_priors[rows])
            dense.append(people.densepose[person])
            masks.append(self._crop_masks(people, boxes[-1], person))
        num_rois = sum(map(len, boxes))
        if not num_rois:
            # All parameters must have a gradient, if of 0, or DDP would wait
            # for it; so a RoI of nobody goes through.
            boxes[0] = boxes[0].new_tensor([_ANY_BOX])
            dense[0] = DensePoseInstances.empty(1).to(x[0].device)
        losses = self.uv_head.loss(
            self.uv_features(x, bbox2roi(boxes)),
            torch.cat(boxes),
            DensePoseInstances.cat(dense),
            None if masks[0] is None else torch.cat(masks),
        )
        losses['uv_num_rois'] = x[0].new_tensor(float(num_rois))
        return losses

    def _choose(
        self, sampling: SamplingResult, dense: DensePoseInstances
    ) -> Tensor:
        """Which positives of an image the dense branch learns from."""
        overlap = bbox_overlaps(
            sampling.pos_priors, sampling.pos_gt_bboxes, is_aligned=True
        )
        person = sampling.pos_assigned_gt_inds
        chosen = overlap > self.min_iou
        if self.uv_head.losses.coarse_from == 'part_masks':
            is_annotated = dense.has_points | dense.has_part_mask
            chosen &= is_annotated[person]
        rows = chosen.nonzero().squeeze(1)
        if self.max_rois is None or len(rows) <= self.max_rois:
            return rows
        order = torch.rand(len(rows), device=rows.device)
        order += sampling.pos_is_gt[rows]
        return rows[order.topk(self.max_rois).indices]

    def _crop_masks(
        self, people: InstanceData, boxes: Tensor, person: Tensor
    ) -> Tensor | None:
        """Instance masks in the grid of the heat map, where needed."""
        if self.uv_head.losses.coarse_from == 'part_masks':
            return None
        if 'masks' not in people:
            raise ValueError(
                "coarse_from='instance_masks' needs gt_instances.masks: set "
                'with_mask=True in mmdense.LoadDensePoseAnnotations'
            )
        size = self._heat_map_size()
        if not len(boxes):
            return boxes.new_zeros(0, size, size)
        cropped = people.masks.crop_and_resize(
            boxes.detach().cpu().numpy(),
            (size, size),
            inds=person.cpu().numpy(),
            device=boxes.device,
        )
        return torch.as_tensor(cropped.to_ndarray(), device=boxes.device)

    def _heat_map_size(self) -> int:
        pooled, _ = self.uv_roi_extractor.roi_layers[0].output_size
        return 2 * pooled * self.uv_head.upsample

    def predict_mask(
        self,
        x: tuple[Tensor, ...],
        batch_img_metas: list[dict],
        results_list: list[InstanceData],
        rescale: bool = False,
    ) -> list[InstanceData]:
        """Masks, if any, and dense pose.

        Args:
            x: Levels of the pyramid.
            batch_img_metas: Of the images.
            results_list: Boxes of each image, as the network sees it.
            rescale: Return boxes and dense pose for the original image.

        Returns:
            `results_list` with `densepose`, and `bboxes` of the frame asked
            for.
        """
        rois = bbox2roi([results.bboxes for results in results_list])
        counts = [len(results) for results in results_list]
        features = self.uv_features(x, rois).split(counts)
        if self.has_mask_head:  # it scales the boxes
            results_list = super().predict_mask(
                x, batch_img_metas, results_list, rescale
            )
        elif rescale:
            for results, meta in zip(
                results_list, batch_img_metas, strict=True
            ):
                factor = [1 / scale for scale in meta['scale_factor']]
                results.bboxes = scale_boxes(results.bboxes, factor)
        for results, of_image in zip(results_list, features, strict=True):
            fields = self.uv_head.predict(of_image, results.bboxes)
            for name, value in fields.items():
                setattr(results, name, value)
        return results_list


def _dense_of(people: InstanceData) -> DensePoseInstances:
    if 'densepose' not in people:
        raise ValueError(
            'gt_instances have no densepose: the pipeline must load '
            'annotations with mmdense.LoadDensePoseAnnotations and end in '
            'mmdense.PackDensePoseInputs'
        )
    return people.densepose
