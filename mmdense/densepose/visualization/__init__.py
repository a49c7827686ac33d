"""Pictures of dense pose."""

from mmdense.compat.missing import register_missing
from mmdense.compat.versions import is_available
from mmdense.registry import VISUALIZERS

if is_available('mmdet'):
    from .densepose_visualizer import (
        DensePoseVisualizer as DensePoseVisualizer,
    )
else:
    register_missing(VISUALIZERS, 'mmdet', ['DensePoseVisualizer'])
