"""The combined margin and SphereFace."""

from torch import Tensor

from mmdense.recognition.functional.margins import combined_margin
from mmdense.registry import MODELS

from .margin_loss import MarginLoss


@MODELS.register_module()
class CombinedMarginLoss(MarginLoss):
    r"""All three margins, :math:`t = \cos(m_1\theta + m_2) - m_3`.

    Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face
    Recognition", CVPR 2019, equation 4. The formula is computed as it
    stands; insightface's class of this name ignores m1 and m2 where m3 > 0,
    and has no form with m1 other than 1.

    Args:
        scale: s, the factor of all logits.
        m1: Factor of the angle (SphereFace).
        m2: Added to the angle, in radians (ArcFace).
        m3: Subtracted from the cosine (CosFace).
    """

    def __init__(
        self,
        scale: float = 64.0,
        m1: float = 1.0,
        m2: float = 0.3,
        m3: float = 0.2,
    ) -> None:
        super().__init__(scale)
        self.m1, self.m2, self.m3 = m1, m2, m3

    def target(self, cosine: Tensor, norm: Tensor) -> Tensor:
        return combined_margin(cosine, self.m1, self.m2, self.m3)

    def extra_repr(self) -> str:
        return (
            f'{super().extra_repr()}, m1={self.m1}, m2={self.m2}, m3={self.m3}'
        )


@MODELS.register_module()
class SphereFaceLoss(CombinedMarginLoss):
    r"""Multiplicative angular margin, :math:`t = \cos(m\theta)`.

    Liu et al., "SphereFace: Deep Hypersphere Embedding for Face
    Recognition", CVPR 2017, equation 6, with normalised embeddings and the
    formula kept beyond :math:`\pi`, as large-scale trainers use it.

    Args:
        scale: s, the factor of all logits.
        margin: m, the factor of the angle.
    """

    def __init__(self, scale: float = 64.0, margin: float = 1.35) -> None:
        super().__init__(scale, m1=margin, m2=0.0, m3=0.0)
