r"""Losses at annotated points: how far (U, V) is off, and which are counted.

With the residuals :math:`d_p = (\hat u_p - u_p, \hat v_p - v_p)` of P points,
a loss is :math:`\sum_p w_p\,\ell(d_p) / N`: the shape :math:`\ell` of
:func:`penalty`, the weights :math:`w_p` and what N is the sum of of
:func:`point_weights`.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SHAPES = ('smooth_l1', 'l1', 'l2', 'power')
REDUCTIONS = ('point', 'instance', 'sum')


def penalty(
    size: Tensor, shape: str, beta: float = 1.0, power: float = 2.5
) -> Tensor:
    r"""What a residual costs.

    ========= ==================================== =======================
    smooth_l1 :math:`r^2 / 2\beta`                 :math:`r - \beta/2`
    power     :math:`\beta/2\,(r/\beta)^p`         C1, of slope :math:`p/2`
    l2        :math:`r^2 / 2`                      the same
    l1        :math:`r`                            the same
    ========= ==================================== =======================

    on the left for :math:`r < \beta`, on the right beyond. `power` with p = 2
    is `smooth_l1`.

    Args:
        size: r >= 0, of any shape.
        shape: One of the above.
        beta: Of `smooth_l1` and `power`, in units of U and V.
        power: p.

    Raises:
        ValueError: The shape is not known.
    """
    if shape == 'l1':
        return size
    if shape == 'l2':
        return size.square() / 2
    if shape == 'smooth_l1':
        power = 2
    elif shape != 'power':
        raise ValueError(f'shape must be one of {SHAPES}, got {shape!r}')
    slope = power / 2
    # Beyond beta the unused branch must not overflow, or its gradient is NaN.
    inner = beta / 2 * (size.clamp(max=beta) / beta) ** power
    outer = slope * (size - beta) + beta / 2
    return torch.where(size < beta, inner, outer)


def residual_size(residual: Tensor, joint: bool) -> Tensor:
    """|du| and |dv|, or the length of (du, dv).

    Args:
        residual: (P, 2).
        joint: Take U and V together.

    Returns:
        (P, 2), or (P, 1) if joint.
    """
    if joint:  # its gradient is 0, not NaN, where the residual is
        return torch.linalg.vector_norm(residual, dim=1, keepdim=True)
    return residual.abs()


def point_weights(instance: Tensor, reduction: str) -> Tensor:
    """The weight of each point in the sum; what they sum to normalises it.

    Args:
        instance: (P,) int64, the RoI of each point.
        reduction: `point`: all points count the same; `instance`: all RoIs
            do; `sum`: as `point`, and the sum is not normalised.

    Returns:
        (P,) float32.

    Raises:
        ValueError: The reduction is not known.
    """
    if reduction not in REDUCTIONS:
        raise ValueError(
            f'reduction must be one of {REDUCTIONS}, got {reduction!r}'
        )
    weights = torch.ones(len(instance), device=instance.device)
    if reduction == 'instance' and len(instance):
        weights /= instance.bincount()[instance]
    return weights


def variance(raw: Tensor, epsilon: float) -> Tensor:
    """The predicted variance, softplus(raw) + epsilon, in units of U, V."""
    return F.softplus(raw) + epsilon


def isotropic_nll(residual: Tensor, sigma_2: Tensor) -> Tensor:
    r"""Negative log-likelihood under one variance for U and V.

    :math:`\log 2\pi\sigma^2 + |d|^2 / \sigma^2`, halved, where the first
    logarithm is of :math:`2\pi` once and of :math:`\sigma^2` twice, as
    detectron2 has it (a constant apart from the density's). Neverova et al.,
    "Correlated Uncertainty for Learning Dense Correspondences from Noisy
    Labels", NeurIPS 2019.

    Args:
        residual: (P, 2).
        sigma_2: (P,), the variance.

    Returns:
        (P,).
    """
    distance = residual.square().sum(1)
    constant = math.log(2 * math.pi)
    return (constant + 2 * sigma_2.log() + distance / sigma_2) / 2


def anisotropic_nll(
    residual: Tensor, sigma_2: Tensor, kappa: Tensor
) -> Tensor:
    r"""The same with a direction in which the point may be further off.

    Of a normal distribution with covariance
    :math:`\sigma^2 I + \kappa\kappa^T`, whose determinant is
    :math:`\sigma^2(\sigma^2 + |\kappa|^2)`. The same paper.

    Args:
        residual: (P, 2).
        sigma_2: (P,).
        kappa: (P, 2).

    Returns:
        (P,).
    """
    determinant = sigma_2 * (sigma_2 + kappa.square().sum(1))
    distance = residual.square().sum(1)
    along = (residual * kappa).sum(1).square()
    constant = math.log(2 * math.pi)
    return (
        constant + determinant.log() + distance / sigma_2 - along / determinant
    ) / 2
