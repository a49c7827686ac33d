"""The small network for faces."""

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdense.registry import MODELS

from .checkpointing import run_blocks


class _Layers(nn.Module):
    """Layers in a row, kept as `layers`: these are insightface's names."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class _ConvBlock(_Layers):
    """conv - BN - PReLU that keeps the size of the map at stride 1."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__(
            nn.Conv2d(
                in_channels,
                channels,
                kernel,
                stride,
                kernel // 2,
                groups=groups,
                bias=False,
            ),
            nn.BatchNorm2d(channels),
            nn.PReLU(channels),
        )


class DepthwiseBlock(_Layers):
    """Inverted bottleneck: 1 x 1, depthwise 3 x 3 and linear 1 x 1.

    Args:
        in_channels: Channels of the input.
        channels: Channels of the output.
        hidden: Channels of the depthwise convolution.
        stride: Its stride. At 1 the output is added to the input.
    """

    def __init__(
        self, in_channels: int, channels: int, hidden: int, stride: int
    ) -> None:
        super().__init__(
            _ConvBlock(in_channels, hidden, 1),
            _ConvBlock(hidden, hidden, 3, stride, groups=hidden),
            _Layers(
                nn.Conv2d(hidden, channels, 1, bias=False),
                nn.BatchNorm2d(channels),
            ),
        )
        self.residual = stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """From (b, in_channels, h, w) to (b, channels, h', w')."""
        return x + self.layers(x) if self.residual else self.layers(x)


class _Stage(_Layers):
    """Residual blocks of the same size."""

    def __init__(self, channels: int, hidden: int, blocks: int) -> None:
        super().__init__(
            *[
                DepthwiseBlock(channels, channels, hidden, 1)
                for _ in range(blocks)
            ]
        )


@MODELS.register_module()
class MobileFaceNet(BaseModule):
    """MobileNetV2 for aligned faces: little pooling, PReLU.

    Chen et al., "MobileFaceNets", CCBR 2018, section 3.2, with the widths of
    insightface's arcface_torch, whose names of parameters it has but for the
    neck's. The map of a 112 x 112 image is 7 x 7:
    `mmdense.DepthwiseEmbeddingNeck(in_channels=512, spatial_size=7)` makes it
    the published network. With the default arguments that is insightface's
    `mbf`; with `blocks=(2, 8, 12, 4), scale=4` it is `mbf_large`.

    Args:
        blocks: Residual blocks of the four stages. One block in the first
            stage is a single grouped convolution.
        scale: Multiple of the channels, 64 in the first two stages and 128 in
            the others; the depthwise convolutions do not widen.
        with_cp: Gradient checkpointing of each block: less memory, about a
            third more time, the same gradients.
        init_cfg: mmengine's initialisation config; by default convolutions
            are drawn from He's normal distribution (fan out).

    Raises:
        ValueError: Not four positive numbers of blocks, or a scale below 1.
    """

    def __init__(
        self,
        blocks: tuple[int, int, int, int] = (1, 4, 6, 2),
        scale: int = 2,
        with_cp: bool = False,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(
            init_cfg
            or dict(
                type='Kaiming',
                layer='Conv2d',
                mode='fan_out',
                nonlinearity='relu',
            )
        )
        if len(blocks) != 4 or min(blocks) < 1:
            raise ValueError(
                f'blocks must be four positive numbers, got {blocks}'
            )
        if scale < 1:
            raise ValueError(f'scale must be at least 1, got {scale}')
        self.with_cp = with_cp
        narrow, wide = 64 * scale, 128 * scale
        first = (
            _ConvBlock(narrow, narrow, 3, groups=64)
            if blocks[0] == 1
            else _Stage(narrow, 128, blocks[0])
        )
        self.layers = nn.ModuleList(
            [
                _ConvBlock(3, narrow, 3, 2),
                first,
                DepthwiseBlock(narrow, narrow, 128, 2),
                _Stage(narrow, 128, blocks[1]),
                DepthwiseBlock(narrow, wide, 256, 2),
                _Stage(wide, 256, blocks[2]),
                DepthwiseBlock(wide, wide, 512, 2),
                _Stage(wide, 256, blocks[3]),
            ]
        )
        self.conv_sep = _ConvBlock(wide, 512, 1)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """The last map.

        Args:
            x: (b, 3, h, w) images.

        Returns:
            A tuple of one (b, 512, h / 16, w / 16) tensor. Under autocast the
            last convolution is still computed in full precision, as published.
        """
        for layer in self.layers:
            blocks = layer.layers if isinstance(layer, _Stage) else [layer]
            x = run_blocks(blocks, x, self.with_cp)
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(self.conv_sep.layers[0].weight.dtype)
            return (self.conv_sep(x),)
