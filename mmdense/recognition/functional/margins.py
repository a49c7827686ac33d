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


def arcface(
    cosine: Tensor,
    margin: float,
    easy_margin: bool = False,
    straight_through: bool = False,
) -> Tensor:
    r"""Additive angular margin, :math:`\cos(\theta + m)`.

    Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face
    Recognition", CVPR 2019, equation 3. Beyond :math:`\theta = \pi - m`,
    where :math:`\cos(\theta + m)` would rise again, it goes on as
    :math:`\cos\theta - m \sin m`, as in the authors' first implementation.

    Args:
        cosine: Cosines of the target classes. They are clamped to
            1e-7 from +-1, where the gradient is infinite.
        margin: m in radians.
        easy_margin: Apply the margin only where :math:`\cos\theta > 0`, and
            leave the cosine as it is elsewhere.
        straight_through: Give the values of :math:`\cos(\theta + m)`
            everywhere, without continuation, and the gradient of
            :math:`\cos\theta`. This is what insightface's arcface_torch
            has computed since December 2022.

    Returns:
        Tensor of the shape of `cosine`.
    """
    clamped = cosine.clamp(-1 + _EPS, 1 - _EPS)
    sine = (1 - clamped.square()).sqrt()
    shifted = clamped * math.cos(margin) - sine * math.sin(margin)
    if straight_through:
        return cosine + (shifted - cosine).detach()
    if easy_margin:
        return torch.where(clamped > 0, shifted, cosine)
    return torch.where(
        clamped > math.cos(math.pi - margin),
        shifted,
        clamped - margin * math.sin(margin),
    )
