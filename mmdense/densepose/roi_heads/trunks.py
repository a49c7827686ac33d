"""What the features of a RoI go through before the predictors."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from mmcv.cnn import NonLocal2d
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdense.registry import MODELS

from .layers import conv_block, init_convs


@MODELS.register_module()
class ConvTrunk(BaseModule):
    """3 x 3 convolutions with ReLU.

    Güler et al., "DensePose: Dense Human Pose Estimation in the Wild", CVPR
    2018; detectron2's `DensePoseV1ConvXHead`.

    Args:
        in_channels: Of the features of a RoI.
        channels: Of each convolution.
        num_convs: How many.
        groups: Of group norm after each; None: no norm.
        init_cfg: As for `mmengine.model.BaseModule`.

    Attributes:
        out_channels: Channels that go out.
    """

    def __init__(
        self,
        in_channels: int = 256,
        channels: int = 512,
        num_convs: int = 8,
        groups: int | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        widths = [in_channels, *[channels] * num_convs]
        self.convs = _convs(widths, groups)
        self.out_channels = widths[-1]

    def init_weights(self) -> None:
        init_convs(self)
        super().init_weights()

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, h, w) to (N, out_channels, h, w)."""
        return self.convs(x)


@MODELS.register_module()
class ASPPTrunk(BaseModule):
    """Atrous spatial pyramid, non-local attention if wanted, convolutions.

    As it stands, detectron2's DeepLab head (`R_50_FPN_DL`), whose dilation of
    56 on 28 x 28 cells is no more than the center tap. With
    `dilations=(6, 12, 18), aspp_out_channels=512, non_local=True,
    num_convs=4` the geometric and context encoding (GCE) of Yang et al.,
    "Parsing R-CNN for Instance-Level Human Analysis", CVPR 2019.

    Args:
        in_channels: Of the features of a RoI.
        channels: Of each convolution after the pyramid.
        num_convs: How many.
        dilations: Of the 3 x 3 branches; there are a 1 x 1 and a pooled
            branch too.
        aspp_channels: Of each branch.
        aspp_out_channels: Of the pyramid.
        non_local: Attention over the RoI between pyramid and convolutions;
            Wang et al., "Non-local Neural Networks", CVPR 2018.
        groups: Of group norm; None: no norm.
        init_cfg: As for `mmengine.model.BaseModule`.

    Attributes:
        out_channels: Channels that go out.

    Raises:
        ValueError: Groups of one channel, which leave nothing of the pooled
            branch.
    """

    def __init__(
        self,
        in_channels: int = 256,
        channels: int = 512,
        num_convs: int = 8,
        dilations: Sequence[int] = (6, 12, 56),
        aspp_channels: int = 256,
        aspp_out_channels: int = 256,
        non_local: bool = False,
        groups: int | None = 32,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if groups == aspp_channels:
            raise ValueError(
                'the pooled branch has one cell, so group norm needs more '
                f'than one channel in a group: got groups={groups} with '
                f'aspp_channels={aspp_channels}'
            )
        self.branches = nn.ModuleList(
            [
                conv_block(in_channels, aspp_channels, 1, groups=groups),
                *[
                    conv_block(
                        in_channels,
                        aspp_channels,
                        dilation=dilation,
                        groups=groups,
                    )
                    for dilation in dilations
                ],
            ]
        )
        self.pooled = conv_block(in_channels, aspp_channels, 1, groups=groups)
        self.project = nn.Sequential(
            nn.Conv2d(
                aspp_channels * (len(dilations) + 2),
                aspp_out_channels,
                1,
                bias=False,
            ),
            nn.ReLU(inplace=True),
        )
        self.non_local = nn.Identity()
        if non_local:
            norm = dict(type='GN', num_groups=groups) if groups else None
            self.non_local = NonLocal2d(aspp_out_channels, norm_cfg=norm)
        widths = [aspp_out_channels, *[channels] * num_convs]
        self.convs = _convs(widths, groups)
        self.out_channels = widths[-1]

    def init_weights(self) -> None:
        for module in (self.branches, self.pooled, self.project, self.convs):
            init_convs(module)
        super().init_weights()

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, h, w) to (N, out_channels, h, w)."""
        return self.convs(self.non_local(self.pyramid(x)))

    def pyramid(self, x: Tensor) -> Tensor:
        """(N, in_channels, h, w) to (N, aspp_out_channels, h, w)."""
        mean = self.pooled(F.adaptive_avg_pool2d(x, 1))
        branches = [branch(x) for branch in self.branches]
        branches.append(mean.expand(-1, -1, *x.shape[2:]))
        return self.project(torch.cat(branches, dim=1))


def _convs(widths: list[int], groups: int | None) -> nn.Sequential:
    return nn.Sequential(
        *[
            conv_block(before, after, groups=groups)
            for before, after in pairwise(widths)
        ]
    )
