"""Where the streamed softmax could overflow, cancel or meet nothing."""

import math

import mpmath
import numpy as np
import pytest
import torch

from mmdense.recognition.functional.sharded_softmax import (
    default_chunk_size,
    margin_softmax_loss,
)
from mmdense.recognition.losses import (
    ArcFaceLoss,
    CosFaceLoss,
    CurricularFaceLoss,
    MarginLoss,
)
from tests.golden import max_rel
from tests.references import cosface_target, dense_step
from tests.sharded_step import put_together, sharded_step

_SCALES = [64.0, 96.0, 128.0, 200.0]


def _by_cosines(cosines, target, margin, dtype=torch.float32, chunk=2):
    """A row whose cosines with all centers are given.

    The centers are unit vectors of the plane in which the embedding is the
    first axis, so that cosines of +-1 are exact.
    """
    unit = torch.tensor([[1.0, 0.0]], dtype=dtype, requires_grad=True)
    cosines = torch.tensor(cosines, dtype=torch.float64)
    weight = torch.stack([cosines, (1 - cosines**2).sqrt()], 1).to(dtype)
    weight.requires_grad_()
    loss, cosine = margin_softmax_loss(
        unit,
        torch.ones(1, dtype=dtype),
        weight,
        torch.tensor([target]),
        margin,
        chunk_size=chunk,
    )
    loss.backward()
    assert cosine.item() == pytest.approx(cosines[target].item(), abs=1e-6)
    return loss.item(), unit.grad, weight.grad


@pytest.mark.parametrize('scale', _SCALES)
@pytest.mark.parametrize(
    ('negatives', 'target'),
    [
        ([-1, -1, -0.999], 1),  # the sums are tiny
        ([1, 1, 0.9], -1),  # the largest loss there is
        ([-1, -0.9, -1], -1),  # all logits very negative
        ([1, 1, 1], 1),
        ([-1, 1, 0], 0),
    ],
)
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_extreme_cosines(scale, negatives, target, dtype):
    margin = 0.4
    loss, grad_unit, grad_weight = _by_cosines(
        [*negatives, target], 3, CosFaceLoss(scale, margin), dtype
    )
    logits = [mpmath.mpf(scale) * c for c in negatives]
    own = mpmath.mpf(scale) * (target - margin)
    others = mpmath.fsum(mpmath.exp(z - own) for z in logits)
    expected = mpmath.log1p(others)
    if expected > torch.finfo(dtype).tiny:
        # The rounding of a logit of size s is what limits the precision.
        rounding = 8 * scale * torch.finfo(dtype).eps
        error = abs(loss - expected)
        assert error < rounding * min(expected, 1) + 1e-6 * rounding
    assert torch.isfinite(grad_unit).all()
    assert torch.isfinite(grad_weight).all()
    slope = -float(others / (1 + others)) * scale
    along = slope * target + scale * sum(
        float(mpmath.exp(z - own) / (1 + others)) * c
        for z, c in zip(logits, negatives, strict=True)
    )
    assert grad_unit[0, 0].item() == pytest.approx(
        along, rel=2e-3 if dtype == torch.float32 else 1e-9, abs=1e-35
    )


@pytest.mark.parametrize('scale', [64.0, 128.0])
@pytest.mark.parametrize('cosine', [1.0, -1.0])
@pytest.mark.parametrize(
    ('gradient', 'easy'),
    [('exact', False), ('exact', True), ('straight_through', False)],
)
def test_arcface_at_the_poles_is_finite(cosine, gradient, scale, easy):
    margin = ArcFaceLoss(scale, 0.5, easy, gradient)
    loss, grad_unit, grad_weight = _by_cosines(
        [0.3, -0.2, cosine, 0.1], 2, margin
    )
    assert math.isfinite(loss)
    assert torch.isfinite(grad_unit).all()
    assert torch.isfinite(grad_weight).all()


@pytest.mark.parametrize('scale', _SCALES)
@pytest.mark.parametrize('cosine', [1.0, -1.0, 0.2])
@pytest.mark.parametrize('chunk', [1, 5])
def test_a_single_class_has_no_loss(scale, cosine, chunk):
    """Without any negative the softmax is 1, whatever the logit."""
    loss, grad_unit, grad_weight = _by_cosines(
        [cosine], 0, CosFaceLoss(scale, 0.4), chunk=chunk
    )
    assert loss == 0
    assert not grad_unit.any()
    assert not grad_weight.any()


@pytest.mark.parametrize('scale', [32.0, 64.0])
def test_a_confident_loss_keeps_its_digits(scale):
    """log(Z) - z_y would give zero, or noise, below 1e-7."""
    loss, _, grad = _by_cosines(
        [0.1, -0.2, 0.0, 0.99], 3, CosFaceLoss(scale, 0.2), torch.float32
    )
    own = scale * (np.float32(0.99) - 0.2)
    others = sum(math.exp(scale * c - own) for c in (0.1, -0.2, 0.0))
    assert others < 2e-6
    assert loss == pytest.approx(math.log1p(others), rel=2e-5)
    # The pull of the target is as small, and as precise.
    expected = scale * others / (1 + others) * math.sqrt(1 - 0.99**2)
    assert grad[3].norm().item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize('scale', _SCALES)
@pytest.mark.parametrize('chunk_size', [1, 4, None])
def test_float32_on_ranks(ranks, scale, chunk_size):
    """Rows far from all centers, one center far from all others."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 8)).astype('f4').astype('f8')
    w = np.concatenate([-x, rng.normal(size=(5, 8))]).astype('f4')
    w[8] = x[2]
    y = np.array([0, 1, 8, 3, 10, 4])
    expected = dense_step(
        x, w.astype('f8'), y, scale, lambda c: cosface_target(c, 0.4)
    )
    parts = ranks(3)(
        sharded_step,
        np.split(x.astype('f4'), 3),
        w,
        np.split(y, 3),
        dict(type='mmdense.CosFaceLoss', scale=scale, margin=0.4),
        'float32',
        None,
        chunk_size,
    )
    loss, embeddings, centers = put_together(parts)
    assert loss == pytest.approx(expected[0], rel=1e-6)
    assert max_rel(embeddings, expected[1]) < 3e-5
    assert max_rel(centers, expected[2]) < 3e-5


def test_shards_that_hold_only_targets_or_nothing(ranks):
    """Their maximum is that of nothing, on the online path."""
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    for classes, labels in ((3, [0, 0, 0]), (3, [2, 1, 0]), (2, [1, 0, 1])):
        labels = np.array(labels)
        expected = dense_step(
            x, w[:classes], labels, 100, lambda c: cosface_target(c, 0.4)
        )
        parts = ranks(3)(
            sharded_step,
            np.split(x, 3),
            w[:classes],
            np.split(labels, 3),
            dict(type='mmdense.CosFaceLoss', scale=100.0, margin=0.4),
            'float64',
        )
        loss, embeddings, centers = put_together(parts)
        assert loss == pytest.approx(expected[0], rel=1e-12)
        assert max_rel(embeddings, expected[1]) < 1e-11
        assert max_rel(centers, expected[2]) < 1e-11


def test_zero_rows_do_not_make_nan():
    """An all-zero center has cosine 0 with everything."""
    unit = torch.tensor([[0.6, 0.8]], requires_grad=True)
    weight = torch.zeros(3, 2).requires_grad_()
    loss, _ = margin_softmax_loss(
        unit, torch.ones(1), weight, torch.tensor([1]), CosFaceLoss(8.0, 0.25)
    )
    loss.backward()
    assert loss.item() == pytest.approx(math.log(1 + 2 * math.exp(2)))
    assert torch.isfinite(weight.grad).all()


@pytest.mark.parametrize('scale', [64.0, 96.0])
def test_nan_stays_visible(scale):
    """A NaN embedding must give a NaN loss, not a plausible number."""
    unit = torch.tensor([[math.nan, 0.0], [0.6, 0.8]])
    loss, _ = margin_softmax_loss(
        unit,
        torch.ones(2),
        torch.eye(2),
        torch.tensor([0, 1]),
        CosFaceLoss(scale),
    )
    assert math.isnan(loss.item())


def _dense_curricular(x, w, y, t):
    """CVPR 2020, eq. 7-10, with the t of the moment; also the next t."""
    x, w = (a / a.norm(dim=1, keepdim=True) for a in (x, w))
    cosine = x @ w.T
    own = cosine[torch.arange(len(y)), y]
    t = t + 0.5 * (own.mean().item() - t)
    arc = (own.acos() + 0.5).cos()
    hard = cosine > arc.detach()[:, None]
    logits = torch.where(hard, cosine * (t + cosine), cosine)
    logits = 16 * logits.index_put((torch.arange(len(y)), y), arc)
    return torch.nn.functional.cross_entropy(logits, y), t


@pytest.mark.parametrize('nested', [False, True])
@pytest.mark.parametrize('cache_bytes', [0, 64 * 2**20])
def test_two_losses_before_one_backward(cache_bytes, nested):
    """Chunks that are computed again are those of their own batch."""

    class Nested(MarginLoss):
        changes_negatives, max_negative = True, 2.0

        def __init__(self):
            super().__init__(16.0)
            self.inner = CurricularFaceLoss(16.0, 0.5, 0.5)

        def target(self, *args):
            return self.inner.target(*args)

        def negatives(self, *args):
            return self.inner.negatives(*args)

        def update(self, *args):
            self.inner.update(*args)

    margin = Nested() if nested else CurricularFaceLoss(16.0, 0.5, 0.5)
    margin.double()
    rng = np.random.default_rng(0)
    w = torch.tensor(rng.normal(size=(9, 4)) + 1)
    weights = [w.clone().requires_grad_() for _ in range(2)]
    batches = [
        (
            torch.tensor(rng.normal(size=(5, 4)) + shift),
            rng.integers(9, size=5),
        )
        for shift in (1, -1)
    ]
    total, expected, t = 0, 0, 0.0
    for x, y in batches:
        y = torch.tensor(y)
        unit = x / x.norm(dim=1, keepdim=True)
        loss, _ = margin_softmax_loss(
            unit,
            x.norm(dim=1),
            weights[0],
            y,
            margin,
            chunk_size=2,
            cache_bytes=cache_bytes,
        )
        total = total + loss
        loss, t = _dense_curricular(x, weights[1], y, t)
        expected = expected + loss
    total.backward()
    expected.backward()
    assert total.item() == pytest.approx(expected.item(), rel=1e-12)
    ((name, buffer),) = margin.named_buffers()
    assert name.endswith('t')
    assert buffer.item() == pytest.approx(t, rel=1e-12)
    assert max_rel(weights[0].grad, weights[1].grad) < 1e-11


@pytest.mark.parametrize(
    ('batch_size', 'expected'),
    [(0, 32768), (64, 32768), (1024, 32768), (8192, 4096), (2**20, 1024)],
)
def test_chunks_of_large_batches_are_small(batch_size, expected):
    assert default_chunk_size('cuda', batch_size) == expected
    assert default_chunk_size('cpu', batch_size) == 1024
