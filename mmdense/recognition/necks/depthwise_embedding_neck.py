"""The output layer of small networks for faces."""

import torch
from mmengine.model import BaseModule
from mmengine.utils import to_2tuple
from torch import Tensor, nn

from mmdense.registry import MODELS

from .features import last_map


@MODELS.register_module()
class DepthwiseEmbeddingNeck(BaseModule):
    """Global depthwise convolution - BN - flatten - FC - BN.

    Chen et al., "MobileFaceNets", CCBR 2018, section 3.1: one learned weight
    per cell and channel, so the corners of an aligned face may count less
    than its middle, at a small part of the cost of an FC layer from all
    cells. Under autocast it is computed in full precision, as in
    insightface's arcface_torch.

    Args:
        in_channels: Channels of the backbone's last output.
        spatial_size: Height and width of that output, in cells; one number
            for a square.
        out_channels: Length of the embedding, d.
        init_cfg: mmengine's initialisation config; by default both layers
            are drawn from He's normal distribution (fan out).
    """

    def __init__(
        self,
        in_channels: int,
        spatial_size: int | tuple[int, int],
        out_channels: int = 512,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(
            init_cfg
            or dict(
                type='Kaiming',
                layer=['Conv2d', 'Linear'],
                mode='fan_out',
                nonlinearity='relu',
            )
        )
        self.in_channels = in_channels
        self.spatial_size = to_2tuple(spatial_size)
        self.out_channels = out_channels
        self.conv = nn.Conv2d(
            in_channels,
            in_channels,
            self.spatial_size,
            groups=in_channels,
            bias=False,
        )
        self.bn = nn.BatchNorm2d(in_channels)
        self.fc = nn.Linear(in_channels, out_channels, bias=False)
        self.features = nn.BatchNorm1d(out_channels)

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
            'DepthwiseEmbeddingNeck',
        )
        with torch.autocast(x.device.type, enabled=False):
            x = self.bn(self.conv(x.to(self.conv.weight.dtype)))
            return (self.features(self.fc(x.flatten(1))),)
