"""Heads for mmpretrain's classifiers and retrievers."""

from .partial_fc_head import PartialFCHead

__all__ = ['PartialFCHead']
