"""Margin losses: the target's place in the softmax."""

from .arcface_loss import ArcFaceLoss
from .cosface_loss import CosFaceLoss
from .margin_loss import MarginLoss

__all__ = ['ArcFaceLoss', 'CosFaceLoss', 'MarginLoss']
