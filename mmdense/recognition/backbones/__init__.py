"""Backbones of face recognition that mmpretrain has not."""

from .iresnet import IResNet

__all__ = ['IResNet']
