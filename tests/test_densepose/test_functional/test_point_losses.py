"""Shapes, weights and likelihoods against formulas and distributions."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import MultivariateNormal

from mmdense.densepose.functional.point_losses import (
    SHAPES,
    anisotropic_nll,
    isotropic_nll,
    penalty,
    point_weights,
    residual_size,
    variance,
)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def test_smooth_l1_is_pytorch_s():
    residual = normal(500) * 2
    for beta in (0.1, 1.0):
        expected = F.smooth_l1_loss(
            residual, torch.zeros(500).double(), beta=beta, reduction='none'
        )
        # PyTorch's is r^2 / 2 beta too.
        torch.testing.assert_close(
            penalty(residual.abs(), 'smooth_l1', beta), expected
        )


@pytest.mark.parametrize('power', [1.5, 2.0, 2.5, 3.0])
def test_power(power):
    r = torch.tensor([0.3, 0.999999, 1.000001, 4.0]).double()
    found = penalty(r, 'power', 1.0, power)
    slope = power / 2
    expected = [0.5 * 0.3**power, 0.5, 0.5, slope * 4 - (power - 1) / 2]
    torch.testing.assert_close(
        found, torch.tensor(expected).double(), rtol=1e-5, atol=0
    )
    # The slope does not jump.
    r = r[1:3].requires_grad_()
    gradient = torch.autograd.grad(penalty(r, 'power', 1.0, power).sum(), r)[0]
    torch.testing.assert_close(
        gradient, torch.full((2,), slope).double(), rtol=1e-5, atol=0
    )


def test_l1_l2():
    r = normal(20).abs()
    torch.testing.assert_close(penalty(r, 'l1'), r)
    torch.testing.assert_close(penalty(r, 'l2'), r * r / 2)
    with pytest.raises(ValueError, match='smooth_l1'):
        penalty(r, 'huber')


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('joint', [False, True])
def test_gradients(shape, joint):
    residual = (normal(30, 2, seed=1) * 1.5).requires_grad_()

    def cost(residual):
        return penalty(residual_size(residual, joint), shape, 0.7, 2.5)

    assert torch.autograd.gradcheck(cost, residual)
    at_zero = torch.zeros(1, 2, requires_grad=True)
    cost(at_zero).sum().backward()
    assert at_zero.grad.isfinite().all()


def test_a_huge_residual_does_not_overflow():
    residual = torch.tensor([3e30], requires_grad=True)
    penalty(residual, 'power', 1.0, 3.0).sum().backward()
    assert residual.grad.item() == 1.5


def test_weights():
    instance = torch.tensor([0, 0, 0, 2, 2, 5])
    assert point_weights(instance, 'point').tolist() == [1] * 6
    assert point_weights(instance, 'sum').tolist() == [1] * 6
    found = point_weights(instance, 'instance')
    torch.testing.assert_close(
        found, torch.tensor([1 / 3] * 3 + [1 / 2] * 2 + [1.0])
    )
    assert found.sum().item() == pytest.approx(3)
    assert point_weights(instance[:0], 'instance').shape == (0,)
    with pytest.raises(ValueError, match='instance'):
        point_weights(instance, 'mean')


def test_isotropic_likelihood():
    residual, raw = normal(40, 2), normal(40, seed=1)
    sigma_2 = variance(raw, 0.01)
    torch.testing.assert_close(sigma_2, (1 + raw.exp()).log() + 0.01)
    density = MultivariateNormal(
        torch.zeros(2).double(), sigma_2[:, None, None] * torch.eye(2)
    )
    # 2 pi is counted once.
    expected = -density.log_prob(residual) - math.log(2 * math.pi) / 2
    torch.testing.assert_close(isotropic_nll(residual, sigma_2), expected)


def test_anisotropic_likelihood():
    residual, kappa = normal(40, 2), normal(40, 2, seed=1)
    sigma_2 = variance(normal(40, seed=2), 0.01)
    covariance = (
        sigma_2[:, None, None] * torch.eye(2)
        + kappa[:, :, None] * kappa[:, None, :]
    )
    density = MultivariateNormal(torch.zeros(2).double(), covariance)
    expected = -density.log_prob(residual) - math.log(2 * math.pi) / 2
    torch.testing.assert_close(
        anisotropic_nll(residual, sigma_2, kappa), expected
    )
    torch.testing.assert_close(
        anisotropic_nll(residual, sigma_2, kappa * 0),
        isotropic_nll(residual, sigma_2),
    )
