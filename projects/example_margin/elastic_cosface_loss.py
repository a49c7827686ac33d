"""A margin loss registered from outside the package."""

import torch
from torch import Tensor

from mmdense.distributed.sharding import seeded_generator
from mmdense.recognition.losses import MarginLoss
from mmdense.registry import MODELS


@MODELS.register_module()
class ElasticCosFaceLoss(MarginLoss):
    r"""CosFace with a random margin for each sample of each step.

    Boutros et al., "ElasticFace: Elastic Margin Loss for Deep Face
    Recognition", CVPR Workshops 2022, equation 6:
    :math:`t = \cos\theta - m_i`, :math:`m_i \sim N(m, \sigma)`.

    Every rank calls :meth:`target` with the same global batch and must come
    to the same values, so the margins are drawn from a generator that the
    number of the call determines, and that number is a buffer: it is saved,
    and a resumed run draws on.

    Args:
        scale: s, the factor of all logits.
        margin: m, the mean margin.
        std: :math:`\sigma`, the standard deviation of the margin.
        seed: Seed of the margins.
    """

    def __init__(
        self,
        scale: float = 64.0,
        margin: float = 0.35,
        std: float = 0.05,
        seed: int = 0,
    ) -> None:
        super().__init__(scale)
        self.margin = margin
        self.std = std
        self.seed = seed
        self.register_buffer('num_calls', torch.tensor(0))

    def target(self, cosine: Tensor, norm: Tensor) -> Tensor:
        generator = seeded_generator(self.seed, int(self.num_calls))
        self.num_calls += 1
        noise = torch.randn(cosine.shape, generator=generator)
        return cosine - (self.margin + self.std * noise.to(cosine))
