"""Backbones of face recognition that mmpretrain has not."""

from .face_vit import FaceViT
from .iresnet import IResNet
from .mobile_facenet import MobileFaceNet

__all__ = ['FaceViT', 'IResNet', 'MobileFaceNet']
