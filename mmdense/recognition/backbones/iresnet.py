"""The residual network of ArcFace."""

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdense.registry import MODELS

from .checkpointing import run_blocks

_DEPTHS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 14, 3),
    100: (3, 13, 30, 3),
    200: (6, 26, 60, 6),
}
_CHANNELS = (64, 128, 256, 512)


class IBasicBlock(nn.Module):
    """BN - conv - BN - PReLU - conv - BN, added to the input.

    Args:
        in_channels: Channels of the input.
        channels: Channels of the output.
        stride: Stride of the second convolution.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.prelu = nn.PReLU(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.downsample = None
        # The first block of a stage, which halves the map.
        if stride != 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False),
                nn.BatchNorm2d(channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """From (b, in_channels, h, w) to (b, channels, h', w')."""
        y = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        y = self.bn3(self.conv2(y))
        return y + (x if self.downsample is None else self.downsample(x))


@MODELS.register_module()
class IResNet(BaseModule):
    """ResNet for aligned faces: no early pooling, PReLU, BN first.

    Deng et al., "ArcFace", CVPR 2019, section 3.1, after Han et al., "Deep
    pyramidal residual networks", CVPR 2017. The map of a 112 x 112 image is
    7 x 7: `mmdense.EmbeddingNeck(in_channels=512, spatial_size=7)` makes it
    the network of insightface's arcface_torch, with the same names of
    parameters but for the neck's; see
    `tools/model_converters/insightface_to_mmdense.py`.

    Args:
        depth: 18, 34, 50, 100 or 200.
        with_cp: Gradient checkpointing of each block: less memory, about a
            third more time, the same gradients.
        init_cfg: mmengine's initialisation config; by default convolutions
            are drawn from N(0, 0.1), as published.

    Raises:
        ValueError: Another depth.
    """

    def __init__(
        self,
        depth: int,
        with_cp: bool = False,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(
            init_cfg or dict(type='Normal', layer='Conv2d', std=0.1)
        )
        if depth not in _DEPTHS:
            raise ValueError(
                f'depth must be one of {tuple(_DEPTHS)}, got {depth}'
            )
        self.depth = depth
        self.with_cp = with_cp
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.prelu = nn.PReLU(64)
        before = 64
        for number, (channels, blocks) in enumerate(
            zip(_CHANNELS, _DEPTHS[depth], strict=True), 1
        ):
            stage = [IBasicBlock(before, channels, 2)]
            stage += [
                IBasicBlock(channels, channels, 1) for _ in range(blocks - 1)
            ]
            self.add_module(f'layer{number}', nn.Sequential(*stage))
            before = channels

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """The last map.

        Args:
            x: (b, 3, h, w) images.

        Returns:
            A tuple of one (b, 512, h / 16, w / 16) tensor.
        """
        x = self.prelu(self.bn1(self.conv1(x)))
        for number in range(1, 5):
            x = run_blocks(getattr(self, f'layer{number}'), x, self.with_cp)
        return (x,)
