"""AdaFace."""

import torch
from torch import Tensor

from mmdense.recognition.functional.margins import straight_through
from mmdense.recognition.functional.norm_margins import adaface, adaface_scaler
from mmdense.registry import MODELS

from .arcface_loss import check_gradient
from .margin_loss import MarginLoss


@MODELS.register_module()
class AdaFaceLoss(MarginLoss):
    r"""A margin that adapts to the quality of the image.

    Kim et al., "AdaFace: Quality Adaptive Margin for Face Recognition",
    CVPR 2022, equations 12 to 14:
    :math:`t = \cos(\theta - m\hat z) - (m + m\hat z)`, where
    :math:`\hat z` in [-1, 1] is the norm of the embedding relative to the
    running mean and deviation of norms. Both are buffers, taken from the
    global batch and so equal on all ranks.

    Args:
        scale: s, the factor of all logits.
        margin: m.
        concentration: h in the paper.
        momentum: Weight of a new batch in the running statistics.
        gradient: `'exact'`, or `'straight_through'` for the gradient of the
            plain cosine, without the guards at angles 0 and pi, as CVLface
            trains.
    """

    def __init__(
        self,
        scale: float = 64.0,
        margin: float = 0.4,
        concentration: float = 0.333,
        momentum: float = 0.01,
        gradient: str = 'exact',
    ) -> None:
        super().__init__(scale)
        self.margin = margin
        self.concentration = concentration
        self.momentum = momentum
        self.gradient = check_gradient(gradient)
        # The authors' starting values.
        self.register_buffer('norm_mean', torch.tensor(20.0))
        self.register_buffer('norm_std', torch.tensor(100.0))

    def update(self, cosine: Tensor, norm: Tensor) -> None:
        norm = norm.detach().clamp(1e-3, 100)
        self.norm_mean.lerp_(norm.mean().to(self.norm_mean), self.momentum)
        if len(norm) > 1:  # a single norm has no deviation
            self.norm_std.lerp_(norm.std().to(self.norm_std), self.momentum)

    def target(self, cosine: Tensor, norm: Tensor) -> Tensor:
        scaler = adaface_scaler(
            norm, self.norm_mean, self.norm_std, self.concentration
        )
        if self.gradient == 'straight_through':
            value = adaface(cosine.detach(), scaler, self.margin, eps=0.0)
            return straight_through(value, cosine)
        return adaface(cosine, scaler, self.margin)

    def extra_repr(self) -> str:
        return (
            f'{super().extra_repr()}, margin={self.margin}, '
            f'concentration={self.concentration}, '
            f'momentum={self.momentum}, gradient={self.gradient!r}'
        )
