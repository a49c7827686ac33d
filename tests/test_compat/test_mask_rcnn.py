"""mmdet's own Mask R-CNN trains and predicts, with the ops there are.

The same run with the plain NumPy references in place of `nms` and
`roi_align` is the judge of the losses.
"""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

import mmdense  # noqa: F401  has to come before mmdet

mmdet = pytest.importorskip('mmdet')
pytest.importorskip('pycocotools')  # mmdet's masks need it

CONFIG = 'mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'
NUM_CLASSES = 3
SIDE = 64


@pytest.fixture(autouse=True)
def one_thread():
    """So small a model is slower with more, much so on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope='module')
def small_model_config():
    """The `model` of mmdet's config, small and without pretrained weights."""
    cfg = Config.fromfile(
        Path(mmdet.__file__).parent / '.mim' / 'configs' / CONFIG
    )
    head = dict(num_classes=NUM_CLASSES, in_channels=16)
    extractor = dict(out_channels=16)
    cfg.merge_from_dict(
        dict(
            model=dict(
                backbone=dict(
                    depth=18,
                    base_channels=16,
                    frozen_stages=-1,
                    init_cfg=None,
                ),
                neck=dict(in_channels=[16, 32, 64, 128], out_channels=16),
                rpn_head=dict(in_channels=16, feat_channels=16),
                roi_head=dict(
                    bbox_roi_extractor=extractor,
                    mask_roi_extractor=extractor,
                    bbox_head=head | dict(fc_out_channels=32),
                    mask_head=head | dict(conv_out_channels=16, num_convs=1),
                ),
                train_cfg=dict(
                    rpn_proposal=dict(nms_pre=40, max_per_img=20),
                    rcnn=dict(sampler=dict(num=16), mask_size=28),
                ),
                test_cfg=dict(
                    rpn=dict(nms_pre=40, max_per_img=20),
                    rcnn=dict(score_thr=0.0, max_per_img=10),
                ),
            )
        )
    )
    return cfg.model


@pytest.fixture
def mmdet_scope():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


def make_batch():
    """Two images with two or three rectangles each, masks and all."""
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks

    rng = np.random.default_rng(11)
    inputs, samples = [], []
    for boxes, labels in (
        ([[4, 6, 40, 50], [30, 10, 60, 36]], [0, 1]),
        ([[2, 2, 30, 30], [20, 24, 62, 60], [36, 4, 58, 20]], [2, 0, 1]),
    ):
        image = rng.integers(0, 60, (3, SIDE, SIDE))
        masks = np.zeros((len(boxes), SIDE, SIDE), dtype=np.uint8)
        for mask, (x1, y1, x2, y2), label in zip(
            masks, boxes, labels, strict=True
        ):
            mask[y1:y2, x1:x2] = 1
            image[label, y1:y2, x1:x2] += 150
        sample = DetDataSample(
            metainfo=dict(
                img_shape=(SIDE, SIDE),
                ori_shape=(SIDE, SIDE),
                pad_shape=(SIDE, SIDE),
                batch_input_shape=(SIDE, SIDE),
                scale_factor=(1.0, 1.0),
            )
        )
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor(boxes, dtype=torch.float32),
            labels=torch.tensor(labels),
            masks=BitmapMasks(masks, SIDE, SIDE),
        )
        inputs.append(torch.tensor(image, dtype=torch.uint8))
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def train(config, steps):
    """The model after `steps` SGD steps, and its losses at each."""
    from mmdet.registry import MODELS

    torch.manual_seed(0)
    np.random.seed(0)  # mmdet's samplers and mask targets
    model = MODELS.build(config)
    model.init_weights()
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    history = []
    for _ in range(steps):
        batch = model.data_preprocessor(make_batch(), training=True)
        losses = model(**batch, mode='loss')
        total, parsed = model.parse_losses(losses)
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        history.append({key: value.item() for key, value in parsed.items()})
    return model, history


def numpy_ops(reference):
    """The references under the signatures by which mmcv calls its ops."""

    def nms(boxes, scores, iou_threshold, offset):
        kept = reference.nms(
            boxes.numpy(), scores.numpy(), iou_threshold, offset
        )
        return torch.from_numpy(kept)

    def roi_align_forward(
        input,
        rois,
        output,
        argmax_y,
        argmax_x,
        aligned_height,
        aligned_width,
        spatial_scale,
        sampling_ratio,
        pool_mode,
        aligned,
    ):
        result = reference.roi_align(
            input.detach().numpy(),
            rois.detach().numpy(),
            (aligned_height, aligned_width),
            spatial_scale,
            sampling_ratio,
            aligned,
        )
        output.copy_(torch.from_numpy(result))

    def roi_align_backward(
        grad_output,
        rois,
        argmax_y,
        argmax_x,
        grad_input,
        aligned_height,
        aligned_width,
        spatial_scale,
        sampling_ratio,
        pool_mode,
        aligned,
    ):
        result = reference.roi_align_transposed(
            grad_output.numpy(),
            rois.detach().numpy(),
            tuple(grad_input.shape),
            spatial_scale,
            sampling_ratio,
            aligned,
        )
        grad_input.copy_(torch.from_numpy(result))

    return nms, roi_align_forward, roi_align_backward


def test_losses_equal_those_with_plain_numpy_ops(
    small_model_config, mmdet_scope, reference, monkeypatch
):
    """Two steps: the second losses depend on the backward as well."""
    _, history = train(small_model_config, steps=2)

    extension = sys.modules['mmcv._ext']
    calls = []
    for op in numpy_ops(reference):

        def counted(*args, _op=op, **kwargs):
            calls.append(_op.__name__)
            return _op(*args, **kwargs)

        monkeypatch.setattr(extension, op.__name__, counted)
    _, expected = train(small_model_config, steps=2)

    assert set(calls) == {'nms', 'roi_align_forward', 'roi_align_backward'}
    for ours, theirs in zip(history, expected, strict=True):
        assert ours.keys() == theirs.keys()
        assert {'loss_cls', 'loss_mask', 'loss_rpn_bbox'} < ours.keys()
        for name, value in theirs.items():
            assert ours[name] == pytest.approx(value, rel=1e-4), name


def test_mask_rcnn_trains_and_predicts(small_model_config, mmdet_scope):
    model, history = train(small_model_config, steps=8)

    totals = [losses['loss'] for losses in history]
    assert all(math.isfinite(total) for total in totals)
    assert np.mean(totals[-3:]) < 0.8 * totals[0]
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    # Through RoIAlign and the neck down to the first convolution.
    assert model.backbone.conv1.weight.grad.abs().max() > 0

    model.eval()
    with torch.no_grad():
        batch = model.data_preprocessor(make_batch(), training=False)
        results = model(**batch, mode='predict')
    assert len(results) == 2
    for result in results:
        found = result.pred_instances
        assert 0 < len(found) <= 10
        assert found.masks.shape == (len(found), SIDE, SIDE)
        assert found.masks.dtype == torch.bool
        assert found.bboxes.min() >= 0
        assert found.bboxes.max() <= SIDE
        assert found.labels.max() < NUM_CLASSES
        assert torch.equal(
            found.scores, found.scores.sort(descending=True).values
        )
