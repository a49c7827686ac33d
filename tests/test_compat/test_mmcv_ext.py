"""`nms` and `RoIAlign` of mmcv.ops, as installed, against plain NumPy."""

import importlib

import numpy as np
import pytest
import torch

from mmdense.compat import mmcv_ext

pytest.importorskip('mmcv')
ops = importlib.import_module('mmcv.ops')

devices = pytest.mark.parametrize(
    'device',
    [
        'cpu',
        pytest.param(
            'cuda',
            marks=pytest.mark.skipif(
                not torch.cuda.is_available(), reason='needs a GPU'
            ),
        ),
    ],
)


def random_boxes(rng, count, extent=60.0):
    corner = rng.uniform(0, extent * 0.7, (count, 2))
    return np.concatenate(
        [corner, corner + rng.uniform(1, extent * 0.5, (count, 2))], axis=1
    )


def random_rois(rng, count, batch, extent=60.0):
    """Rois some of which reach outside of the image on each side."""
    boxes = random_boxes(rng, count, extent) * 1.4 - extent * 0.2
    index = rng.integers(0, batch, (count, 1))
    return np.concatenate([index, boxes], axis=1)


# ------------------------------------------------------------------ nms


@devices
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('threshold', [0.1, 0.5, 0.9])
def test_nms_equals_reference(reference, device, dtype, offset, threshold):
    rng = np.random.default_rng(3)
    boxes = random_boxes(rng, 100)
    near = boxes + rng.normal(0, 0.3, boxes.shape)  # some of IoU above 0.9
    boxes = torch.tensor(
        np.concatenate([boxes, near]), dtype=dtype, device=device
    )
    scores = torch.tensor(rng.random(200), dtype=dtype, device=device)

    dets, kept = ops.nms(boxes, scores, threshold, offset=offset)

    expected = reference.nms(
        boxes.cpu().numpy(), scores.cpu().numpy(), threshold, offset
    )
    assert 0 < len(expected) < 200
    assert kept.cpu().tolist() == expected.tolist()
    assert torch.equal(dets[:, :4], boxes[kept])
    assert torch.equal(dets[:, 4], scores[kept])


@devices
def test_nms_offset_decides(device):
    """IoU 4/12 by corners, 9/21 by inclusive pixels; threshold between."""
    boxes = torch.tensor(
        [[0.0, 0.0, 2.0, 4.0], [0.0, 2.0, 2.0, 6.0]], device=device
    )
    scores = torch.tensor([0.9, 0.8], device=device)
    assert ops.nms(boxes, scores, 0.38, offset=0)[1].tolist() == [0, 1]
    assert ops.nms(boxes, scores, 0.38, offset=1)[1].tolist() == [0]


@devices
def test_nms_of_ties_keeps_the_first(device):
    boxes = torch.tensor([[0.0, 0.0, 9.0, 9.0]], device=device).repeat(40, 1)
    boxes[20:] += 100
    scores = torch.full((40,), 0.5, device=device)
    assert ops.nms(boxes, scores, 0.5)[1].tolist() == [0, 20]


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_nms_of_half_types(reference, dtype):
    rng = np.random.default_rng(4)
    boxes = torch.tensor(random_boxes(rng, 50), dtype=dtype)
    scores = torch.randperm(50).to(dtype)  # exact, no ties
    _, kept = ops.nms(boxes, scores, 0.4)
    expected = reference.nms(
        boxes.double().numpy(), scores.double().numpy(), 0.4
    )
    assert kept.tolist() == expected.tolist()


def test_nms_of_nothing():
    dets, kept = ops.nms(torch.zeros(0, 4), torch.zeros(0), 0.5)
    assert dets.shape == (0, 5)
    assert kept.shape == (0,)
    assert kept.dtype == torch.int64


def test_nms_takes_numpy_score_threshold_and_max_num(reference):
    rng = np.random.default_rng(5)
    boxes = random_boxes(rng, 60).astype(np.float32)
    scores = rng.random(60).astype(np.float32)
    _, kept = ops.nms(boxes, scores, 0.5, score_threshold=0.3, max_num=7)
    above = np.flatnonzero(scores > 0.3)
    expected = above[reference.nms(boxes[above], scores[above], 0.5)][:7]
    assert kept.tolist() == expected.tolist()


def test_batched_nms_keeps_classes_apart(reference):
    rng = np.random.default_rng(6)
    boxes = torch.tensor(random_boxes(rng, 90), dtype=torch.float32)
    scores = torch.tensor(rng.random(90), dtype=torch.float32)
    labels = torch.tensor(rng.integers(0, 3, 90))

    dets, kept = ops.batched_nms(
        boxes, scores, labels, dict(type='nms', iou_threshold=0.4)
    )

    expected = []
    for label in range(3):
        mine = np.flatnonzero(labels.numpy() == label)
        expected += mine[
            reference.nms(boxes[mine].numpy(), scores[mine].numpy(), 0.4)
        ].tolist()
    expected.sort(key=lambda i: -scores[i].item())
    assert kept.tolist() == expected
    assert torch.equal(dets[:, :4], boxes[expected])


# ------------------------------------------------------------ roi align

CASES = pytest.mark.parametrize(
    ('scale', 'sampling_ratio', 'aligned', 'size'),
    [
        (1.0, 0, True, (7, 7)),
        (0.25, 0, True, (7, 7)),
        (0.25, 2, True, (14, 14)),
        (1 / 3, 2, False, (3, 5)),
        (0.25, 0, False, (5, 3)),
        (1.0, 2, False, (7, 7)),
    ],
)


@devices
@CASES
def test_roi_align_equals_reference(
    reference, device, scale, sampling_ratio, aligned, size
):
    rng = np.random.default_rng(7)
    shape = (2, 3, round(48 * scale), round(60 * scale))
    features = rng.normal(size=shape)
    rois = random_rois(rng, 12, batch=2)
    inputs = torch.tensor(features, device=device, requires_grad=True)

    output = ops.RoIAlign(size, scale, sampling_ratio, aligned=aligned)(
        inputs, torch.tensor(rois, device=device)
    )
    expected = reference.roi_align(
        features, rois, size, scale, sampling_ratio, aligned
    )
    np.testing.assert_allclose(
        output.detach().cpu().numpy(), expected, rtol=1e-9, atol=1e-11
    )

    grad = rng.normal(size=output.shape)
    output.backward(torch.tensor(grad, device=device))
    expected_grad = reference.roi_align_transposed(
        grad, rois, shape, scale, sampling_ratio, aligned
    )
    np.testing.assert_allclose(
        inputs.grad.cpu().numpy(), expected_grad, rtol=1e-9, atol=1e-10
    )


@devices
@pytest.mark.parametrize(
    ('dtype', 'tolerance'),
    [(torch.float32, 1e-5), (torch.float16, 2e-3), (torch.bfloat16, 2e-2)],
)
def test_roi_align_in_lower_precision(reference, device, dtype, tolerance):
    rng = np.random.default_rng(8)
    features = torch.tensor(rng.normal(size=(1, 2, 16, 16)), dtype=dtype)
    rois = torch.tensor(random_rois(rng, 6, batch=1), dtype=dtype)
    inputs = features.to(device, copy=True).requires_grad_()

    output = ops.roi_align(
        inputs, rois.to(device), (7, 7), 0.25, 2, 'avg', True
    )
    output.sum().backward()

    assert output.dtype == inputs.grad.dtype == dtype
    arguments = (rois.double().numpy(), (7, 7), 0.25, 2, True)
    expected = reference.roi_align(features.double().numpy(), *arguments)
    np.testing.assert_allclose(
        output.detach().double().cpu().numpy(), expected, atol=tolerance
    )
    expected_grad = reference.roi_align_transposed(
        np.ones(output.shape),
        arguments[0],
        features.shape,
        *arguments[2:],
    )
    np.testing.assert_allclose(
        inputs.grad.double().cpu().numpy(),
        expected_grad,
        atol=tolerance * np.abs(expected_grad).max(),
    )


@devices
def test_roi_align_of_no_rois(device):
    inputs = torch.randn(2, 3, 8, 8, device=device, requires_grad=True)
    output = ops.RoIAlign(7, 0.25, 0)(inputs, inputs.new_zeros(0, 5))
    assert output.shape == (0, 3, 7, 7)
    output.sum().backward()
    assert torch.equal(inputs.grad, torch.zeros_like(inputs))


def test_roi_align_of_a_roi_without_area():
    """Aligned: no sample, hence zero; legacy: one cell at least."""
    inputs = torch.ones(1, 1, 8, 8)
    rois = torch.tensor([[0.0, 3.0, 3.0, 3.0, 3.0]])
    aligned = ops.roi_align(inputs, rois, (2, 2), 1.0, 0, 'avg', True)
    legacy = ops.roi_align(inputs, rois, (2, 2), 1.0, 0, 'avg', False)
    assert aligned.tolist() == torch.zeros(1, 1, 2, 2).tolist()
    assert legacy.tolist() == torch.ones(1, 1, 2, 2).tolist()


def test_roi_align_takes_features_and_rois_of_two_types():
    inputs = torch.ones(1, 1, 8, 8, dtype=torch.float16)
    output = torch.zeros(1, 1, 2, 2, dtype=torch.float16)
    rois = torch.tensor([[0.0, 1.0, 1.0, 5.0, 5.0]])
    empty = inputs.new_zeros(0)
    mmcv_ext.roi_align_forward(
        inputs, rois, output, empty, empty, 2, 2, 1.0, 2, 1, True
    )
    assert output.tolist() == torch.ones(1, 1, 2, 2).tolist()
