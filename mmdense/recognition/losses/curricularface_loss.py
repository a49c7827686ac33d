"""CurricularFace."""

import torch
from torch import Tensor

from mmdense.recognition.functional.hard_negatives import curricular_negatives
from mmdense.recognition.functional.margins import cosine_of_sum
from mmdense.registry import MODELS

from .arcface_loss import ArcFaceLoss


@MODELS.register_module()
class CurricularFaceLoss(ArcFaceLoss):
    r"""ArcFace with hard negatives weighted by the progress of training.

    Huang et al., "CurricularFace: Adaptive Curriculum Learning Loss for
    Deep Face Recognition", CVPR 2020, equations 7, 9 and 10: negatives with
    :math:`\cos\theta_j > \cos(\theta_y + m)` become
    :math:`\cos\theta_j (t + \cos\theta_j)`, and t is the running mean of
    the target cosines of the global batch, a buffer.

    Args:
        scale: s, the factor of all logits.
        margin: m in radians.
        momentum: Weight of a new batch in t.
    """

    changes_negatives = True
    max_negative = 2.0  # t and the cosine are at most 1

    def __init__(
        self, scale: float = 64.0, margin: float = 0.5, momentum: float = 0.01
    ) -> None:
        super().__init__(scale, margin)
        self.momentum = momentum
        self.register_buffer('t', torch.tensor(0.0))

    def update(self, cosine: Tensor, norm: Tensor) -> None:
        self.t.lerp_(cosine.mean().to(self.t), self.momentum)

    def negatives(self, cosine: Tensor, target_cosine: Tensor) -> Tensor:
        threshold = cosine_of_sum(target_cosine, self.margin)
        return curricular_negatives(cosine, threshold, self.t)

    def extra_repr(self) -> str:
        return f'{super().extra_repr()}, momentum={self.momentum}'
