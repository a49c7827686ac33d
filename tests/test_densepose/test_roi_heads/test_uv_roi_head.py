"""The dense branch in a detector: what it learns from, and what it returns."""

from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData
from torch.nn.parallel import DistributedDataParallel

from mmdense.densepose.roi_heads import UVRoIHead
from mmdense.densepose.roi_heads.trunks import ASPPTrunk
from mmdense.densepose.structures import DensePoseResults
from mmdense.registry import MODELS
from tests import golden
from tests.dense_rois import random_instances
from tests.small_uv_rcnn import SIZE, small_batch, small_detector

DENSE_LOSSES = {'loss_coarse', 'loss_part', 'loss_u', 'loss_v'}


def losses_of(detector, batch) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    data = detector.data_preprocessor(batch, training=True)
    return detector(**data, mode='loss')


def total_of(detector, losses) -> torch.Tensor:
    return detector.parse_losses(losses)[0]


def predict(detector, batch):
    detector.eval()
    detector.roi_head.test_cfg.score_thr = 0.0
    detector.roi_head.test_cfg.max_per_img = 4
    with torch.no_grad():
        return detector.test_step(batch)


BATCHES = {
    'usual': [[20, 0, 7], [11]],
    'an image without people': [[20], []],
    'nobody': [[], []],
    'people without points': [[0, 0], [0]],
}


TRUNKS = {
    'convolutions': {},
    'GCE': dict(
        uv_head=dict(
            trunk=dict(
                _delete_=True,
                type='mmdense.ASPPTrunk',
                in_channels=32,
                channels=32,
                num_convs=1,
                aspp_channels=32,
                aspp_out_channels=32,
                non_local=True,
                groups=8,
            )
        )
    ),
    'finest level': dict(uv_decoder=None),
    'a level by size': dict(
        uv_decoder=None, uv_roi_extractor=dict(featmap_strides=[4, 8, 16, 32])
    ),
}


@pytest.mark.parametrize('trunk', TRUNKS)
@pytest.mark.parametrize('name', BATCHES)
def test_every_parameter_gets_a_gradient(name, trunk):
    detector = small_detector(**TRUNKS[trunk])
    losses = losses_of(detector, small_batch(BATCHES[name]))
    assert losses.keys() >= DENSE_LOSSES
    points = losses['uv_num_points'].item()
    assert (points > 0) == (name in ('usual', 'an image without people'))
    for key in DENSE_LOSSES:
        assert losses[key].isfinite()
        assert (losses[key] > 0) == (points > 0), key
    total_of(detector, losses).backward()
    for key, parameter in detector.named_parameters():
        if parameter.requires_grad:  # or DDP would wait for it
            assert parameter.grad is not None, key
            assert parameter.grad.isfinite().all(), key


def test_the_other_losses_are_those_of_mmdet():
    detector = small_detector()
    batch = small_batch([[20, 0], [9]])
    with_uv = losses_of(detector, batch)
    head = detector.roi_head
    head.__class__ = UVRoIHead.__bases__[0]
    without = losses_of(detector, small_batch([[20, 0], [9]]))
    assert without.keys() == with_uv.keys() - DENSE_LOSSES - {
        'uv_num_points',
        'uv_num_rois',
    }
    for key, value in without.items():
        torch.testing.assert_close(with_uv[key], value, rtol=0, atol=0)


def test_a_mask_branch_beside():
    detector = small_detector(with_mask=True)
    batch = small_batch([[20, 0], [9]], with_mask=True)
    losses = losses_of(detector, batch)
    assert losses.keys() >= DENSE_LOSSES | {'loss_mask'}
    total_of(detector, losses).backward()
    (sample,) = predict(detector, small_batch([[3]], scale=0.5))
    assert sample.pred_instances.masks.shape == (4, 2 * SIZE, 2 * SIZE)
    assert len(sample.pred_instances.densepose) == 4


@pytest.mark.parametrize('masks', ['part_masks', 'instance_masks'])
def test_what_the_coarse_task_learns_from(masks):
    detector = small_detector(uv_head=dict(coarse_from=masks))
    people = [[0, 0], [0]]  # no dense annotations
    losses = losses_of(detector, small_batch(people, with_mask=True))
    assert (losses['loss_coarse'] > 0) == (masks == 'instance_masks')
    assert losses['loss_u'] == 0
    if masks == 'instance_masks':
        with pytest.raises(ValueError, match='with_mask=True'):
            losses_of(detector, small_batch(people))
        losses = losses_of(detector, small_batch([[], []], with_mask=True))
        assert losses['loss_coarse'] == 0


def test_mixed_precision():
    detector = small_detector()
    expected = losses_of(detector, small_batch([[20, 4], [11]]))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = losses_of(detector, small_batch([[20, 4], [11]]))
    for key in DENSE_LOSSES:
        assert found[key].dtype == torch.float32
        assert found[key].item() == pytest.approx(
            expected[key].item(), rel=0.05
        )
    total_of(detector, found).backward()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        (sample,) = predict(detector, small_batch([[3]]))
    assert len(sample.pred_instances.densepose) == 4


def test_gradient_norms_are_logged():
    detector = small_detector(uv_head=dict(monitor_gradients=True))
    losses = losses_of(detector, small_batch([[20, 4], [11]]))
    names = {f'grad_norm_{task}' for task in ('coarse', 'part', 'u', 'v')}
    assert losses.keys() >= names
    assert all(losses[name] > 0 for name in names)
    total, log = detector.parse_losses(losses)
    expected = sum(
        value if torch.is_tensor(value) else sum(value)
        for key, value in losses.items()
        if 'loss' in key
    )
    torch.testing.assert_close(total, expected)
    assert log.keys() >= names | {'uv_num_points', 'uv_num_rois'}
    total.backward()


def test_balancers_in_the_head():
    detector = small_detector(
        uv_head=dict(
            loss_points=dict(joint=True),
            loss_balancer=dict(
                _delete_=True, type='mmdense.UncertaintyBalancer'
            ),
        )
    )
    losses = losses_of(detector, small_batch([[20, 4], [11]]))
    assert losses.keys() >= {'loss_uv', 'balance_uv', 'balance_part'}
    total_of(detector, losses).backward()
    balancer = detector.roi_head.uv_head.losses.balancer
    assert (balancer.log_variance.grad != 0).all()


def choose(min_iou, max_rois, boxes, gt_boxes, dense, is_gt=None):
    """Which RoIs a head with these options would learn from."""
    head = SimpleNamespace(
        min_iou=min_iou,
        max_rois=max_rois,
        uv_head=SimpleNamespace(
            losses=SimpleNamespace(coarse_from='part_masks')
        ),
    )
    if is_gt is None:
        is_gt = torch.zeros(len(boxes), dtype=torch.uint8)
    sampling = SimpleNamespace(
        pos_priors=boxes,
        pos_gt_bboxes=gt_boxes,
        pos_assigned_gt_inds=torch.arange(len(boxes)),
        pos_is_gt=is_gt,
    )
    return UVRoIHead._choose(head, sampling, dense)


@pytest.mark.golden
def test_rois_are_chosen_as_detectron2_does():
    arrays = golden.read_arrays('densepose/loss_filter.npz')
    counts = arrays['has_dp'].astype(int).tolist()
    _, dense = random_instances(counts, arrays['has_dp'].tolist())
    boxes, gt_boxes = (
        torch.from_numpy(arrays[name])
        for name in ('proposal_boxes', 'gt_boxes')
    )
    found = choose(0.7, None, boxes, gt_boxes, dense)
    np.testing.assert_array_equal(found, arrays['kept_index'])


def test_at_most_so_many_rois_and_people_s_own_first():
    count = 40
    _, dense = random_instances([3] * count)
    boxes = torch.tensor([[0.0, 0, 10, 10]]).repeat(count, 1)
    is_gt = torch.zeros(count, dtype=torch.uint8)
    is_gt[[5, 17, 30]] = 1
    seen = set()
    for _ in range(20):
        found = choose(0.7, 8, boxes, boxes, dense, is_gt).tolist()
        assert len(found) == len(set(found)) == 8
        assert {5, 17, 30} <= set(found)
        seen |= set(found)
    assert len(seen) > 30


@pytest.mark.parametrize('scale', [0.5, 1.0, 2.0])
def test_dense_pose_is_of_the_boxes_it_comes_with(scale):
    detector = small_detector()
    (sample,) = predict(detector, small_batch([[3]], scale=scale))
    results = sample.pred_instances
    assert isinstance(results.densepose, DensePoseResults)
    assert len(results.densepose) == len(results.bboxes) == 4
    sizes = results.bboxes[:, 2:] - results.bboxes[:, :2]
    for (width, height), iuv in zip(
        sizes.tolist(), results.densepose, strict=True
    ):
        assert iuv.dtype == torch.uint8
        expected = (3, max(int(height), 1), max(int(width), 1))
        assert tuple(iuv.shape) == expected
    assert results.bboxes.max() <= round(SIZE / scale) + 1e-3
    # Selected as mmengine's metrics and visualizers do.
    assert len(results[results.scores > 2].densepose) == 0
    assert len(results[:2].densepose) == 2


def test_boxes_are_scaled_once():
    detector = small_detector()
    boxes = []
    for rescale in (False, True):
        detector.eval()
        batch = detector.data_preprocessor(small_batch([[3]], scale=0.5))
        with torch.no_grad():
            (sample,) = detector.predict(
                batch['inputs'], batch['data_samples'], rescale=rescale
            )
        boxes.append(sample.pred_instances.bboxes)
        assert len(sample.pred_instances.densepose) == len(boxes[-1])
    torch.testing.assert_close(boxes[0] * 2, boxes[1])


def test_how_sure_it_is():
    points = dict(_delete_=True, type='mmdense.ConfidentPointsLoss')
    detector = small_detector(
        uv_head=dict(loss_points=points, predict_sigma=True)
    )
    (sample,) = predict(detector, small_batch([[3]]))
    results = sample.pred_instances[torch.tensor([True, False, True, False])]
    assert len(results.densepose_sigma) == 2
    for sigma, iuv in zip(
        results.densepose_sigma, results.densepose, strict=True
    ):
        assert sigma.shape == iuv.shape[1:]
        is_person = iuv[0] > 0
        assert (sigma[is_person] > 0.1).all()  # sqrt(0.01)
        assert (sigma[~is_person] == 0).all()
    with pytest.raises(ValueError, match='ConfidentPointsLoss'):
        small_detector(uv_head=dict(predict_sigma=True))


def test_nothing_found():
    detector = small_detector()
    detector.eval()
    detector.roi_head.test_cfg.score_thr = 2.0
    with torch.no_grad():
        samples = detector.test_step(small_batch([[3], [2]], scale=0.5))
    for sample in samples:
        results = sample.pred_instances
        assert len(results) == 0
        assert isinstance(results.densepose, DensePoseResults)
        assert results.bboxes.shape == (0, 4)


def test_forward_without_post_processing():
    detector = small_detector()
    detector.eval()
    batch = detector.data_preprocessor(small_batch([[3]]))
    with torch.no_grad():
        *_, of_rois = detector(**batch, mode='tensor')
    *of_boxes, maps = of_rois
    assert len(of_boxes) == 2
    assert maps['u'].shape[1:] == (25, 16, 16)


def test_without_dense_annotations():
    detector = small_detector()
    batch = small_batch([[3]])
    del batch['data_samples'][0].gt_instances.densepose
    with pytest.raises(ValueError, match='PackDensePoseInputs'):
        losses_of(detector, batch)


@pytest.mark.parametrize(
    'augment',
    [
        dict(
            type='BatchSyncRandomResize',
            random_size_range=(256, 256),
            size_divisor=1,
            interval=1,
        ),
        dict(type='BatchResize', scale=(256, 256), pad_size_divisor=32),
    ],
    ids=lambda augment: augment['type'],
)
def test_resizing_after_packing_is_refused(augment):
    detector = small_detector()
    batch = small_batch([[20, 3], [4]])
    for sample in batch['data_samples']:
        sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4))
    detector.data_preprocessor.batch_augments = [MODELS.build(augment)]
    MessageHub.get_current_instance().update_info('iter', 0)
    # The first lets a batch pass before it resizes.
    detector.data_preprocessor(deepcopy(batch), training=True)
    data = detector.data_preprocessor(batch, training=True)
    with pytest.raises(ValueError, match=r'of \(128, 128\) px.*\(256, 256\)'):
        detector(**data, mode='loss')


def test_padding_after_packing():
    detector = small_detector()
    padding = dict(type='BatchFixedSizePad', size=(192, 160), pad_mask=False)
    detector.data_preprocessor.batch_augments = [MODELS.build(padding)]
    losses = losses_of(detector, small_batch([[20, 3], [4]]))
    assert losses['uv_num_points'] > 0


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            dict(uv_roi_extractor=dict(roi_layer=dict(output_size=(4, 8)))),
            r'square, got \(4, 8\)',
        ),
        (dict(uv_head=dict(upsample=1.5)), 'upsample must .* got 1.5'),
        (dict(uv_head=dict(upsample=0)), 'upsample must .* got 0'),
    ],
)
def test_shapes_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        small_detector(**options)


def test_more_levels_than_there_are():
    detector = small_detector(uv_decoder=dict(num_levels=6))
    with pytest.raises(ValueError, match=r'num_levels=6.* makes 5 levels'):
        losses_of(detector, small_batch([[3]]))


def test_group_norm_of_one_channel():
    with pytest.raises(ValueError, match='more than one channel in a group'):
        ASPPTrunk(aspp_channels=32, groups=32)


@pytest.mark.parametrize(
    'options', [dict(min_iou=1.0), dict(min_iou=-0.1), dict(max_rois=0)]
)
def test_bad_options(options):
    with pytest.raises(ValueError, match='min_iou'):
        small_detector(**options)


def train_with_ddp() -> dict[str, torch.Tensor]:
    detector = small_detector()
    rank = dist.get_rank()
    model = DistributedDataParallel(detector, broadcast_buffers=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    people = [
        [[[20, 3]], [[]]],  # of the two ranks
        [[[0]], [[9]]],
        [[[]], [[0, 0]]],
    ]
    for step, of_ranks in enumerate(people):
        batch = small_batch(of_ranks[rank], seed=10 * step + rank)
        data = detector.data_preprocessor(batch, training=True)
        losses = model(**data, mode='loss')
        optimizer.zero_grad()
        detector.parse_losses(losses)[0].backward()
        optimizer.step()
    return {
        key: value
        for key, value in detector.state_dict().items()
        if 'uv_' in key
    }


def test_ranks_with_and_without_people_stay_equal(ranks):
    first, second = ranks(2)(train_with_ddp)
    start = {
        key: value
        for key, value in small_detector().state_dict().items()
        if 'uv_' in key
    }
    changed = 0
    for key, value in first.items():
        assert value.isfinite().all()
        assert value.equal(second[key]), key
        changed += not value.equal(start[key])
    assert changed == len(first)
