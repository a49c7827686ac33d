"""A small detector with a dense branch, and images for it."""

from pathlib import Path

import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from mmdense.densepose.structures.densepose_instances import SHAPE_OF_POINTS
from mmdense.registry import MODELS
from tests.dense_rois import random_instances

BASE = Path(__file__).parents[1] / 'configs/_base_/models'
SIZE = 128


def shrink_model(model: dict) -> None:
    """Narrow all that is wide; the kinds of layers stay."""
    backbone = model['backbone']
    backbone['init_cfg'] = None
    if backbone['type'].endswith('SwinTransformer'):
        backbone.update(
            embed_dims=8, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2)
        )
        widths = [8, 16, 32, 64]
    else:
        backbone.update(depth=50, base_channels=8)
        backbone['frozen_stages'] = -1
        if 'groups' in backbone:
            backbone.update(groups=4, base_width=4)
        widths = [32, 64, 128, 256]
    model['neck'].update(in_channels=widths, out_channels=32)
    model['rpn_head'].update(in_channels=32, feat_channels=32)
    head = model['roi_head']
    head['bbox_roi_extractor']['out_channels'] = 32
    head['bbox_head'].update(in_channels=32, fc_out_channels=32)
    head['uv_roi_extractor']['out_channels'] = 32
    head['uv_roi_extractor']['roi_layer']['output_size'] = 8
    if head['uv_decoder'] is not None:
        head['uv_decoder'].update(in_channels=32, channels=32, out_channels=32)
    trunk = head['uv_head']['trunk']
    trunk.update(in_channels=32, channels=32, num_convs=2)
    if trunk['type'] == 'mmdense.ASPPTrunk':
        trunk.update(aspp_channels=64, aspp_out_channels=32)
    model['train_cfg']['rcnn']['sampler']['num'] = 32
    model['train_cfg']['rpn_proposal'].update(nms_pre=50, max_per_img=50)
    model['test_cfg']['rpn'].update(nms_pre=50, max_per_img=50)


def small_detector(
    base: str = 'uv-rcnn_r50_fpn', with_mask: bool = False, **options
):
    """Build one.

    Args:
        base: Name of a base config.
        with_mask: Add a mask branch.
        **options: Of the RoI head.
    """
    init_default_scope('mmdet')
    torch.manual_seed(0)
    cfg = Config.fromfile(BASE / f'{base}.py')
    model = cfg.model
    shrink_model(model)
    if with_mask:
        extractor = model.roi_head.bbox_roi_extractor
        model.roi_head.update(
            mask_roi_extractor=dict(
                extractor, roi_layer=dict(extractor.roi_layer, output_size=14)
            ),
            mask_head=dict(
                type='mmdet.FCNMaskHead',
                num_convs=1,
                in_channels=32,
                conv_out_channels=32,
                num_classes=1,
            ),
        )
        model.train_cfg.rcnn.mask_size = 28
        model.test_cfg.rcnn.mask_thr_binary = 0.5
    cfg.merge_from_dict(dict(model=dict(roi_head=options)))
    detector = MODELS.build(cfg.model)
    detector.init_weights()
    return detector


def small_batch(
    people: list[list[int]],
    seed: int = 0,
    with_mask: bool = False,
    scale: float = 1.0,
) -> dict:
    """Images with people, as a dataloader gives them.

    Args:
        people: For each image the number of points of each person.
        seed: Of the images and annotations.
        with_mask: With instance masks.
        scale: By how much the images were resized.
    """
    generator = torch.Generator().manual_seed(seed)
    images, samples = [], []
    for i, counts in enumerate(people):
        boxes, dense = random_instances(
            counts, [count > 0 for count in counts], seed + i
        )
        boxes = boxes.clamp(0, SIZE)
        instances = InstanceData(
            bboxes=boxes,
            labels=torch.zeros(len(boxes), dtype=torch.int64),
            densepose=dense,
        )
        if with_mask:
            masks = torch.zeros(len(boxes), SIZE, SIZE, dtype=torch.uint8)
            for mask, (x1, y1, x2, y2) in zip(
                masks, boxes.int().tolist(), strict=True
            ):
                mask[y1:y2, x1:x2] = 1
            instances.masks = BitmapMasks(masks.numpy(), SIZE, SIZE)
        original = round(SIZE / scale)
        samples.append(
            DetDataSample(
                metainfo=dict(
                    img_shape=(SIZE, SIZE),
                    ori_shape=(original, original),
                    scale_factor=(scale, scale),
                    img_id=i,
                    **{SHAPE_OF_POINTS: (SIZE, SIZE)},
                ),
                gt_instances=instances,
            )
        )
        images.append(
            torch.randint(
                256, (3, SIZE, SIZE), generator=generator, dtype=torch.uint8
            )
        )
    return dict(inputs=images, data_samples=samples)
