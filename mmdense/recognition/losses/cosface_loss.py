"""CosFace."""

from torch import Tensor

from mmdense.recognition.functional.margins import cosface
from mmdense.registry import MODELS

from .margin_loss import MarginLoss


@MODELS.register_module()
class CosFaceLoss(MarginLoss):
    r"""Additive cosine margin, :math:`t = \cos\theta - m`.

    Wang et al., "CosFace: Large Margin Cosine Loss for Deep Face
    Recognition", CVPR 2018, equation 4.

    Args:
        scale: s, the factor of all logits.
        margin: m, without unit. 0.4 is what the published Partial FC
            models use, 0.35 what the paper does.
    """

    def __init__(self, scale: float = 64.0, margin: float = 0.4) -> None:
        super().__init__(scale)
        self.margin = margin

    def target(self, cosine: Tensor, norm: Tensor) -> Tensor:
        return cosface(cosine, self.margin)

    def extra_repr(self) -> str:
        return f'{super().extra_repr()}, margin={self.margin}'
