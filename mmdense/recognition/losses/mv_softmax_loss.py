"""MV-Softmax."""

import torch
from torch import Tensor

from mmdense.recognition.functional.hard_negatives import mv_softmax_negatives
from mmdense.recognition.functional.margins import cosface, cosine_of_sum
from mmdense.registry import MODELS

from .margin_loss import MarginLoss

_VARIANTS = ('arc', 'am')


@MODELS.register_module()
class MVSoftmaxLoss(MarginLoss):
    r"""A margin, and more weight on negatives that are mis-classified.

    Wang et al., "Mis-Classified Vector Guided Softmax Loss for Face
    Recognition", AAAI 2020, equations 6 to 8: negatives above the target
    with its margin become :math:`w\cos\theta_j + w - 1`. The target keeps
    its plain cosine where the margin would have no sense: cosine at most 0
    (`'arc'`) or at most m (`'am'`).

    Args:
        scale: s, the factor of all logits.
        margin: m, in radians for `'arc'`.
        weight: w, above 1.
        variant: `'arc'` for :math:`\cos(\theta + m)`, `'am'` for
            :math:`\cos\theta - m`.

    Raises:
        ValueError: `variant` is neither.
    """

    changes_negatives = True

    def __init__(
        self,
        scale: float = 32.0,
        margin: float = 0.35,
        weight: float = 1.12,
        variant: str = 'am',
    ) -> None:
        super().__init__(scale)
        if variant not in _VARIANTS:
            raise ValueError(
                f'variant must be one of {_VARIANTS}, got {variant!r}'
            )
        self.margin = margin
        self.weight = weight
        self.variant = variant
        self.max_negative = 2 * weight - 1

    def _with_margin(self, cosine: Tensor) -> Tensor:
        if self.variant == 'arc':
            return cosine_of_sum(cosine, self.margin)
        return cosface(cosine, self.margin)

    def target(self, cosine: Tensor, norm: Tensor) -> Tensor:
        least = 0.0 if self.variant == 'arc' else self.margin
        return torch.where(cosine > least, self._with_margin(cosine), cosine)

    def negatives(self, cosine: Tensor, target_cosine: Tensor) -> Tensor:
        threshold = self._with_margin(target_cosine)
        return mv_softmax_negatives(cosine, threshold, self.weight)

    def extra_repr(self) -> str:
        return (
            f'{super().extra_repr()}, margin={self.margin}, '
            f'weight={self.weight}, variant={self.variant!r}'
        )
