"""The output layer of the vision transformer for faces."""

import torch
from mmengine.model import BaseModule
from mmengine.utils import to_2tuple
from torch import Tensor, nn

from mmdense.registry import MODELS

from .features import last_map


@MODELS.register_module()
class BottleneckEmbeddingNeck(BaseModule):
    """Flatten - FC - BN - FC - BN, by way of one token's width.

    The output layer of the ViT of insightface's arcface_torch (`vit.py`): it
    keeps where a feature was found, and needs fewer parameters than one FC
    layer from all tokens. Under autocast it is computed in full precision, as
    there.

    Args:
        in_channels: Channels of the backbone's last output.
        spatial_size: Height and width of that output, in cells; one number
            for a square.
        out_channels: Length of the embedding, d.
        hidden_channels: Width between the FC layers; None for `in_channels`.
        init_cfg: mmengine's initialisation config; by default FC layers are
            drawn from a truncated N(0, 0.02).
    """

    def __init__(
        self,
        in_channels: int,
        spatial_size: int | tuple[int, int],
        out_channels: int = 512,
        hidden_channels: int | None = None,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(
            init_cfg or dict(type='TruncNormal', layer='Linear', std=0.02)
        )
        self.in_channels = in_channels
        self.spatial_size = to_2tuple(spatial_size)
        self.out_channels = out_channels
        hidden = hidden_channels or in_channels
        cells = self.spatial_size[0] * self.spatial_size[1]
        self.fc1 = nn.Linear(in_channels * cells, hidden, bias=False)
        self.bn = nn.BatchNorm1d(hidden, eps=2e-5)
        self.fc2 = nn.Linear(hidden, out_channels, bias=False)
        self.features = nn.BatchNorm1d(out_channels, eps=2e-5)

    def forward(self, feats: Tensor | tuple[Tensor, ...]) -> tuple[Tensor]:
        """Embed the last of the backbone's outputs.

        Args:
            feats: (b, in_channels, *spatial_size) maps or (b, in_channels)
                vectors; of a tuple, the last.

        Returns:
            A tuple of one (b, out_channels) tensor, not normalised.

        Raises:
            TypeError: The last output is no tensor.
            ValueError: The features have another shape.
        """
        x = last_map(
            feats,
            self.in_channels,
            self.spatial_size,
            'BottleneckEmbeddingNeck',
        )
        with torch.autocast(x.device.type, enabled=False):
            # Cell by cell, as the tokens of a transformer lie.
            x = x.flatten(2).transpose(1, 2).flatten(1)
            x = self.bn(self.fc1(x.to(self.fc1.weight.dtype)))
            return (self.features(self.fc2(x)),)
