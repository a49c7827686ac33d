"""MagFace."""

from torch import Tensor

from mmdense.recognition.functional.norm_margins import (
    magface,
    magface_regularizer,
)
from mmdense.registry import MODELS

from .margin_loss import MarginLoss


@MODELS.register_module()
class MagFaceLoss(MarginLoss):
    r"""ArcFace whose margin grows with the norm of the embedding.

    Meng et al., "MagFace: A Universal Representation for Face Recognition
    and Quality Assessment", CVPR 2021: :math:`t = \cos(\theta + m(a))` with
    m linear in the clipped norm a, and
    :math:`\lambda_g\,\overline{a / u_a^2 + 1 / a}` added to the loss. The
    gradient flows into the norm through both.

    Args:
        scale: s, the factor of all logits.
        norm_range: (l_a, u_a), to which norms are clipped.
        margin_range: (l_m, u_m), the margins at both ends, in radians.
        regularizer_weight: :math:`\lambda_g`.
        easy_margin: Apply the margin only where the cosine is positive, the
            authors' default.
        continuation: Without `easy_margin`, continue beyond pi - m as
            ArcFace does; False keeps the plain cosine there, as FaceX-Zoo.

    Raises:
        ValueError: A range is empty, or norms are not positive.
    """

    def __init__(
        self,
        scale: float = 64.0,
        norm_range: tuple[float, float] = (10.0, 110.0),
        margin_range: tuple[float, float] = (0.45, 0.8),
        regularizer_weight: float = 35.0,
        easy_margin: bool = True,
        continuation: bool = True,
    ) -> None:
        super().__init__(scale)
        if not 0 < norm_range[0] < norm_range[1]:
            raise ValueError(
                'norm_range must be two positive ascending numbers, got '
                f'{norm_range}'
            )
        self.norm_range = tuple(norm_range)
        self.margin_range = tuple(margin_range)
        self.regularizer_weight = regularizer_weight
        self.easy_margin = easy_margin
        self.continuation = continuation

    def target(self, cosine: Tensor, norm: Tensor) -> Tensor:
        return magface(
            cosine,
            norm,
            self.norm_range,
            self.margin_range,
            self.easy_margin,
            self.continuation,
        )

    def regularizer(self, norm: Tensor) -> Tensor:
        terms = magface_regularizer(norm, self.norm_range)
        return self.regularizer_weight * terms.mean()

    def extra_repr(self) -> str:
        return (
            f'{super().extra_repr()}, norm_range={self.norm_range}, '
            f'margin_range={self.margin_range}, '
            f'regularizer_weight={self.regularizer_weight}, '
            f'easy_margin={self.easy_margin}, '
            f'continuation={self.continuation}'
        )
