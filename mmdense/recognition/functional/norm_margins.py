"""Margins that depend on the norm of the embedding."""

import math

import torch
from torch import Tensor

from .margins import arcface, cosine_of_sum


def adaface_scaler(
    norm: Tensor, mean: Tensor, std: Tensor, concentration: float = 0.333
) -> Tensor:
    r"""How good an image is among those seen of late, in [-1, 1].

    Kim et al., "AdaFace: Quality Adaptive Margin for Face Recognition",
    CVPR 2022, equation 12:
    :math:`\hat z = \mathrm{clip}(h\,(\|z\| - \mu) / (\sigma + 10^{-3}))`.

    Args:
        norm: (B,) norms of the embeddings; clipped to [1e-3, 100] and
            without gradient.
        mean: Running mean of the norms.
        std: Running standard deviation of the norms.
        concentration: h, how much of the distribution is not clipped.

    Returns:
        (B,) tensor.
    """
    norm = norm.detach().clamp(1e-3, 100)
    return (concentration * (norm - mean) / (std + 1e-3)).clamp(-1, 1)


def adaface(
    cosine: Tensor, scaler: Tensor, margin: float = 0.4, eps: float = 1e-3
) -> Tensor:
    r"""Angular for bad images, additive for good ones.

    Kim et al., "AdaFace", CVPR 2022, equations 13 and 14:
    :math:`\cos(\theta - m \hat z) - (m + m \hat z)`.

    Args:
        cosine: (B,) cosines of the target classes.
        scaler: (B,) from :func:`adaface_scaler`.
        margin: m.
        eps: Cosines are kept this far from +-1, angles this far from 0 and
            pi; 0 only where no gradient is wanted.

    Returns:
        (B,) tensor.
    """
    angle = cosine.clamp(-1 + eps, 1 - eps).acos() - margin * scaler
    if eps:
        angle = angle.clamp(eps, torch.pi - eps)
    return angle.cos() - (margin + margin * scaler)


def magface_margin(
    norm: Tensor,
    norm_range: tuple[float, float],
    margin_range: tuple[float, float],
) -> Tensor:
    """The margin of MagFace, linear in the norm.

    Meng et al., "MagFace: A Universal Representation for Face Recognition
    and Quality Assessment", CVPR 2021, section 3.2. The gradient flows into
    the norm, and is 0 where that is clipped.

    Args:
        norm: (B,) norms of the embeddings.
        norm_range: (l_a, u_a), to which norms are clipped.
        margin_range: (l_m, u_m), the margins at both ends, in radians.

    Returns:
        (B,) margins in radians.
    """
    (l_a, u_a), (l_m, u_m) = norm_range, margin_range
    return (u_m - l_m) / (u_a - l_a) * (norm.clamp(l_a, u_a) - l_a) + l_m


def magface(
    cosine: Tensor,
    norm: Tensor,
    norm_range: tuple[float, float] = (10.0, 110.0),
    margin_range: tuple[float, float] = (0.45, 0.8),
    easy_margin: bool = True,
    continuation: bool = True,
) -> Tensor:
    """ArcFace with the margin of :func:`magface_margin`.

    Args:
        cosine: (B,) cosines of the target classes.
        norm: (B,) norms of the embeddings.
        norm_range: (l_a, u_a).
        margin_range: (l_m, u_m) in radians.
        easy_margin: As in :func:`~.margins.arcface`; the authors' default.
        continuation: Without `easy_margin`, whether the target goes on beyond
            pi - m as in :func:`~.margins.arcface`. False keeps the plain
            cosine there, as FaceX-Zoo does; it jumps at pi - m.

    Returns:
        (B,) tensor.
    """
    margin = magface_margin(norm, norm_range, margin_range)
    if easy_margin or continuation:
        return arcface(cosine, margin, easy_margin)
    shifted = cosine_of_sum(cosine, margin)
    return torch.where(cosine > (math.pi - margin).cos(), shifted, cosine)


def magface_regularizer(
    norm: Tensor, norm_range: tuple[float, float]
) -> Tensor:
    r"""What rewards long embeddings, :math:`g(a) = a / u_a^2 + 1 / a`.

    Meng et al., "MagFace", CVPR 2021, section 3.2.

    Args:
        norm: (B,) norms of the embeddings; a is the clipped norm.
        norm_range: (l_a, u_a).

    Returns:
        (B,) tensor.
    """
    clipped = norm.clamp(*norm_range)
    return clipped / norm_range[1] ** 2 + 1 / clipped
