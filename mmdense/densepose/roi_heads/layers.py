"""Convolutions with what usually follows them."""

from mmengine.model import kaiming_init
from torch import nn


def conv_block(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 3,
    dilation: int = 1,
    groups: int | None = None,
) -> nn.Sequential:
    """A convolution of the same size, group norm if any, ReLU.

    Args:
        in_channels: Channels that come in.
        out_channels: Channels that go out.
        kernel_size: Odd.
        dilation: Of the kernel.
        groups: Of the group norm, which takes the place of the bias; None:
            no norm.
    """
    conv = nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        padding=dilation * (kernel_size // 2),
        dilation=dilation,
        bias=groups is None,
    )
    layers = [conv, nn.ReLU(inplace=True)]
    if groups is not None:
        layers.insert(1, nn.GroupNorm(groups, out_channels))
    return nn.Sequential(*layers)


def init_convs(module: nn.Module) -> None:
    """Normal weights after He et al., by fan-out, as detectron2 does."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            kaiming_init(layer, mode='fan_out')
