"""One fine feature map out of a pyramid."""

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdense.registry import MODELS

from .layers import conv_block, init_convs


@MODELS.register_module()
class PanopticFPNDecoder(BaseModule):
    """Brings all levels to the size of the finest and adds them up.

    A level that is n times coarser goes through log2(n) convolutions, each
    followed by a bilinear enlargement by 2; the finest through one
    convolution. Kirillov et al., "Panoptic Feature Pyramid Networks", CVPR
    2019, section 3.1, as detectron2's DensePose uses it before its RoI
    pooling.

    Args:
        in_channels: Of each level.
        channels: Of the convolutions.
        out_channels: Of the map.
        num_levels: Levels that are used, the finest first.
        groups: Of group norm; None: no norm.
        init_cfg: As for `mmengine.model.BaseModule`.
    """

    def __init__(
        self,
        in_channels: int = 256,
        channels: int = 256,
        out_channels: int = 256,
        num_levels: int = 4,
        groups: int | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_levels = num_levels
        self.levels = nn.ModuleList()
        for level in range(num_levels):
            widths = [in_channels, *[channels] * max(level, 1)]
            self.levels.append(
                nn.ModuleList(
                    conv_block(before, after, groups=groups)
                    for before, after in pairwise(widths)
                )
            )
        self.project = nn.Conv2d(channels, out_channels, 1)

    def init_weights(self) -> None:
        init_convs(self)
        super().init_weights()

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Decode.

        Args:
            features: (B, in_channels, h, w) of each level, the finest first,
                each half as large as the one before; more than `num_levels`
                are left aside.

        Returns:
            (B, out_channels, h, w) of the finest.

        Raises:
            ValueError: There are fewer levels.
        """
        if len(features) < self.num_levels:
            raise ValueError(
                f'uv_decoder has num_levels={self.num_levels}, but the neck '
                f'makes {len(features)} levels'
            )
        sizes = [level.shape[2:] for level in features]
        total = None
        for level, convs in enumerate(self.levels):
            x = features[level]
            for step, conv in enumerate(convs):
                x = conv(x)
                if level:
                    x = F.interpolate(
                        x,
                        # By size: one that is odd is not half of the next.
                        size=sizes[level - 1 - step],
                        mode='bilinear',
                        align_corners=False,
                    )
            total = x if total is None else total + x
        return self.project(total)
