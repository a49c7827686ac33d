"""CosFace and ArcFace, against the angle itself."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdense.recognition.functional import arcface, cosface
from mmdense.recognition.losses import ArcFaceLoss, CosFaceLoss

_GRID = torch.linspace(-1, 1, 4001, dtype=torch.float64)
# Away from the poles, where the clamp of 1e-7 shows in the sine.
_INNER = _GRID[1:-1]
_cosines = st.floats(-0.9999, 0.9999)
_margins = st.floats(0.0, 1.2)


def _arcface_by_angle(cosine, margin):
    if math.acos(cosine) + margin < math.pi:
        return math.cos(math.acos(cosine) + margin)
    return cosine - margin * math.sin(margin)


@given(_cosines, _margins)
def test_arcface_is_the_cosine_of_a_larger_angle(cosine, margin):
    got = arcface(torch.tensor(cosine, dtype=torch.float64), margin)
    if abs(math.acos(cosine) + margin - math.pi) < 1e-9:
        return  # either branch
    assert got.item() == pytest.approx(
        _arcface_by_angle(cosine, margin), abs=1e-12
    )


@given(_cosines, _margins)
def test_easy_margin_is_for_positive_cosines(cosine, margin):
    got = arcface(
        torch.tensor(cosine, dtype=torch.float64), margin, easy_margin=True
    )
    expected = math.cos(math.acos(cosine) + margin) if cosine > 0 else cosine
    assert got.item() == pytest.approx(expected, abs=1e-12)


@given(_cosines, st.floats(-1, 1))
def test_cosface(cosine, margin):
    got = cosface(torch.tensor(cosine, dtype=torch.float64), margin)
    assert got.item() == cosine - margin


@pytest.mark.parametrize('margin', [0.0, 0.1, 0.5, 1.0, 1.5])
def test_arcface_never_falls_as_the_cosine_rises(margin):
    """Within each branch; the continuation jumps down below pi - m."""
    values = arcface(_GRID, margin)
    below = math.cos(math.pi - margin) >= _GRID
    for part in (values[below], values[~below]):
        assert torch.all(part.diff() >= 0)
    if below.any() and not below.all():
        # The jump goes the right way: no target gains by turning away.
        jump = values[~below][0] - values[below][-1]
        expected = -1 - (
            math.cos(math.pi - margin) - margin * math.sin(margin)
        )
        assert jump.item() == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize('margin', [0.1, 0.5, 1.0])
def test_slopes_by_central_differences(margin):
    step = 1e-6
    edge = math.cos(math.pi - margin)
    grid = _INNER[((_INNER - edge).abs() > 1e-3) & (_INNER.abs() < 0.999)]
    losses = [
        ArcFaceLoss(margin=margin),
        ArcFaceLoss(margin=margin, easy_margin=True),
        CosFaceLoss(margin=margin),
    ]
    for loss in losses:
        x = grid[grid.abs() > 1e-3].clone().requires_grad_()
        norm = torch.ones_like(x)
        (slope,) = torch.autograd.grad(loss.target(x, norm).sum(), x)
        with torch.no_grad():
            rise = loss.target(x + step, norm) - loss.target(x - step, norm)
        torch.testing.assert_close(
            slope, rise / (2 * step), rtol=1e-6, atol=1e-8
        )


@pytest.mark.parametrize('margin', [0.1, 0.5, 1.0])
def test_straight_through_has_the_value_but_not_the_slope(margin):
    loss = ArcFaceLoss(margin=margin, gradient='straight_through')
    x = _INNER.clone().requires_grad_()
    target = loss.target(x, torch.ones_like(x))
    expected = torch.cos(torch.acos(_INNER) + margin)
    torch.testing.assert_close(target.detach(), expected, atol=1e-9, rtol=0)
    (slope,) = torch.autograd.grad(target.sum(), x)
    assert torch.all(slope == 1)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize(
    'loss',
    [
        ArcFaceLoss(),
        ArcFaceLoss(easy_margin=True),
        ArcFaceLoss(gradient='straight_through'),
        CosFaceLoss(),
    ],
    ids=str,
)
def test_finite_at_and_beyond_the_poles(loss, dtype):
    """Rounding can put a cosine slightly beyond 1."""
    x = torch.tensor([1.0, -1.0, 1 + 3e-7, -1 - 3e-7], dtype=dtype)
    x.requires_grad_()
    target = loss.target(x, torch.ones_like(x))
    (slope,) = torch.autograd.grad(target.sum(), x)
    assert torch.isfinite(target).all()
    assert torch.isfinite(slope).all()
    expected = loss.target(
        torch.tensor([1.0, -1.0]).double() * (1 - 1e-12), torch.ones(2)
    )
    torch.testing.assert_close(
        target[:2].double(), expected.detach(), atol=5e-4, rtol=0
    )


@pytest.mark.parametrize(
    ('cls', 'args', 'named'),
    [
        (CosFaceLoss, dict(scale=0), 'scale must be positive, got 0'),
        (ArcFaceLoss, dict(scale=-3.0), 'got -3.0'),
        (CosFaceLoss, dict(scale=math.nan), 'got nan'),
        (ArcFaceLoss, dict(gradient='sloppy'), "got 'sloppy'"),
        (
            ArcFaceLoss,
            dict(easy_margin=True, gradient='straight_through'),
            'easy_margin',
        ),
    ],
)
def test_bad_arguments_are_refused(cls, args, named):
    with pytest.raises(ValueError, match=named):
        cls(**args)
