"""What both wings want of the training loop."""

from .progress_bar import ProgressBarHook

__all__ = ['ProgressBarHook']
