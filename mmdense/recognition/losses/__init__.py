"""Margin losses: the target's place in the softmax."""

from .adaface_loss import AdaFaceLoss
from .arcface_loss import ArcFaceLoss
from .combined_margin_loss import CombinedMarginLoss, SphereFaceLoss
from .cosface_loss import CosFaceLoss
from .curricularface_loss import CurricularFaceLoss
from .magface_loss import MagFaceLoss
from .margin_loss import MarginLoss
from .mv_softmax_loss import MVSoftmaxLoss
from .subcenter_arcface_loss import SubCenterArcFaceLoss

__all__ = [
    'AdaFaceLoss',
    'ArcFaceLoss',
    'CombinedMarginLoss',
    'CosFaceLoss',
    'CurricularFaceLoss',
    'MVSoftmaxLoss',
    'MagFaceLoss',
    'MarginLoss',
    'SphereFaceLoss',
    'SubCenterArcFaceLoss',
]
