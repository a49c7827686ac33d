"""ArcFace."""

from torch import Tensor

from mmdense.recognition.functional.margins import (
    arcface,
    cosine_of_sum,
    straight_through,
)
from mmdense.registry import MODELS

from .margin_loss import MarginLoss

_GRADIENTS = ('exact', 'straight_through')


def check_gradient(gradient: str) -> str:
    """Refuse what is not the name of a gradient.

    Raises:
        ValueError: `gradient` is not one of those known.
    """
    if gradient not in _GRADIENTS:
        raise ValueError(
            f'gradient must be one of {_GRADIENTS}, got {gradient!r}'
        )
    return gradient


@MODELS.register_module()
class ArcFaceLoss(MarginLoss):
    r"""Additive angular margin, :math:`t = \cos(\theta + m)`.

    Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face
    Recognition", CVPR 2019, equation 3. Beyond :math:`\pi - m` it goes on as
    :math:`\cos\theta - m\sin m`, so that it never rises again.

    Args:
        scale: s, the factor of all logits.
        margin: m in radians (0.5 is 28.6 degrees).
        easy_margin: Apply the margin only where the cosine is positive.
        gradient: `'exact'`, or `'straight_through'` for what insightface's
            arcface_torch computes since December 2022: the gradient of the
            plain cosine, and no continuation.
        num_subcenters: Centers a class; see
            :class:`~mmdense.recognition.losses.SubCenterArcFaceLoss`.

    Raises:
        ValueError: `gradient` is neither, or is combined with
            `easy_margin`, which the straight-through form does not have.
    """

    def __init__(
        self,
        scale: float = 64.0,
        margin: float = 0.5,
        easy_margin: bool = False,
        gradient: str = 'exact',
        num_subcenters: int = 1,
    ) -> None:
        super().__init__(scale, num_subcenters)
        check_gradient(gradient)
        if easy_margin and gradient != 'exact':
            raise ValueError(
                "easy_margin=True needs gradient='exact', got "
                f'gradient={gradient!r}'
            )
        self.margin = margin
        self.easy_margin = easy_margin
        self.gradient = gradient

    def target(self, cosine: Tensor, norm: Tensor) -> Tensor:
        if self.gradient == 'straight_through':
            return straight_through(cosine_of_sum(cosine, self.margin), cosine)
        return arcface(cosine, self.margin, self.easy_margin)

    def extra_repr(self) -> str:
        return (
            f'{super().extra_repr()}, margin={self.margin}, '
            f'easy_margin={self.easy_margin}, gradient={self.gradient!r}'
        )
