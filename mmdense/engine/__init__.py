"""What both wings want of the training loop."""

from .progress_bar import ProgressBarHook
from .resumable_loop import ResumableEpochLoop

__all__ = ['ProgressBarHook', 'ResumableEpochLoop']
