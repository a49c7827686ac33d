"""Margins: from the cosine of the target class to its logit.

All functions work on the cosines of the targets, a tensor of any shape, and
return what stands in the softmax in their place, before the scale s.
"""

import math

import torch
from torch import Tensor

# The derivative of arccos is infinite at +-1; targets are kept this far from
# it. The smallest distance that float32 can tell from 1 is 6e-8.
_EPS = 1e-7


def cosface(cosine: Tensor, margin: float) -> Tensor:
    r"""Additive cosine margin, :math:`\cos\theta - m`.

    Wang et al., "CosFace: Large Margin Cosine Loss for Deep Face
    Recognition", CVPR 2018, equation 4.

    Args:
        cosine: Cosines of the target classes.
        margin: m, without unit.

    Returns:
        Tensor of the shape of `cosine`.
    """
    return cosine - margin


def _cos(x: float | Tensor) -> float | Tensor:
    # A number stays one: as a tensor it would be copied to the GPU at each
    # step.
    return x.cos() if isinstance(x, Tensor) else math.cos(x)


def _sin(x: float | Tensor) -> float | Tensor:
    return x.sin() if isinstance(x, Tensor) else math.sin(x)


def cosine_of_sum(cosine: Tensor, margin: float | Tensor) -> Tensor:
    r""":math:`\cos(\theta + m)` from :math:`\cos\theta`.

    Args:
        cosine: Cosines. They are clamped to 1e-7 from +-1, where the
            gradient is infinite.
        margin: m in radians, a number or a tensor of the same shape.

    Returns:
        Tensor of the shape of `cosine`.
    """
    cosine = cosine.clamp(-1 + _EPS, 1 - _EPS)
    sine = (1 - cosine.square()).sqrt()
    return cosine * _cos(margin) - sine * _sin(margin)


def arcface(
    cosine: Tensor, margin: float | Tensor, easy_margin: bool = False
) -> Tensor:
    r"""Additive angular margin, :math:`\cos(\theta + m)`.

    Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face
    Recognition", CVPR 2019, equation 3. Beyond :math:`\theta = \pi - m`,
    where :math:`\cos(\theta + m)` would rise again, it goes on as
    :math:`\cos\theta - m \sin m`, as in the authors' first implementation.

    Args:
        cosine: Cosines of the target classes.
        margin: m in radians, a number or one for each target.
        easy_margin: Apply the margin only where :math:`\cos\theta > 0`, and
            leave the cosine as it is elsewhere.

    Returns:
        Tensor of the shape of `cosine`.
    """
    shifted = cosine_of_sum(cosine, margin)
    if easy_margin:
        return torch.where(cosine > 0, shifted, cosine)
    return torch.where(
        cosine > _cos(math.pi - margin),
        shifted,
        cosine - margin * _sin(margin),
    )


def straight_through(value: Tensor, cosine: Tensor) -> Tensor:
    """The values of `value` with the gradient of `cosine`.

    This is the gradient that insightface's arcface_torch has computed since
    December 2022, as it applies the margin without recording it.

    Args:
        value: What stands in the softmax.
        cosine: Tensor of the same shape.
    """
    return cosine + (value - cosine).detach()


def combined_margin(
    cosine: Tensor, m1: float = 1.0, m2: float = 0.0, m3: float = 0.0
) -> Tensor:
    r"""All three margins, :math:`\cos(m_1 \theta + m_2) - m_3`.

    Deng et al., "ArcFace", CVPR 2019, equation 4. With m2 = m3 = 0 this is
    the multiplicative margin of SphereFace (Liu et al., CVPR 2017). The
    formula holds as it stands, also beyond :math:`\pi`.

    Args:
        cosine: Cosines of the target classes, clamped to 1e-7 from +-1.
        m1: Factor of the angle.
        m2: Added to the angle, in radians.
        m3: Subtracted from the cosine.

    Returns:
        Tensor of the shape of `cosine`.
    """
    if m1 == 1:
        if m2 == 0:
            return cosine - m3
        return cosine_of_sum(cosine, m2) - m3
    angle = cosine.clamp(-1 + _EPS, 1 - _EPS).acos()
    return (m1 * angle + m2).cos() - m3
