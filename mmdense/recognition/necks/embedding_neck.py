"""The neck that turns any backbone into an embedding network."""

import torch
from mmengine.model import BaseModule
from mmengine.utils import to_2tuple
from torch import Tensor, nn

from mmdense.registry import MODELS

from .features import last_map


@MODELS.register_module()
class EmbeddingNeck(BaseModule):
    """BN - flatten - dropout - FC - BN, the output layer of face networks.

    Deng et al., "ArcFace", CVPR 2019, section 3.1 ("option E"): unlike
    global pooling it keeps where in the aligned image a feature was found.
    The scale of the last normalisation is fixed at 1, as the norm of an
    embedding carries no identity.

    Under autocast the FC layer and the last BN are computed in full
    precision: the FC layer adds up tens of thousands of products, and
    embeddings are what the margin is taken of.

    Args:
        in_channels: Channels of the backbone's last output.
        spatial_size: Height and width of that output, in cells; one number
            for a square. 1 for backbones that give vectors.
        out_channels: Length of the embedding, d.
        dropout: Probability to drop an input of the FC layer.
        init_cfg: mmengine's initialisation config.
    """

    def __init__(
        self,
        in_channels: int,
        spatial_size: int | tuple[int, int],
        out_channels: int = 512,
        dropout: float = 0.0,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels
        self.spatial_size = to_2tuple(spatial_size)
        self.out_channels = out_channels
        cells = self.spatial_size[0] * self.spatial_size[1]
        self.bn = nn.BatchNorm2d(in_channels)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(in_channels * cells, out_channels)
        self.features = nn.BatchNorm1d(out_channels)
        self.features.weight.requires_grad_(False)

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
            feats, self.in_channels, self.spatial_size, 'EmbeddingNeck'
        )
        x = self.dropout(self.bn(x).flatten(1))
        with torch.autocast(x.device.type, enabled=False):
            return (self.features(self.fc(x.to(self.fc.weight.dtype))),)
