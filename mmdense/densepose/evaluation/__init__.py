"""Evaluation of dense pose."""

from mmdense.compat.missing import register_missing
from mmdense.compat.versions import is_available
from mmdense.registry import METRICS

if is_available('mmdet'):
    from .densepose_coco_metric import (
        DensePoseCocoMetric as DensePoseCocoMetric,
    )
    from .densepose_uv_metric import DensePoseUVMetric as DensePoseUVMetric
else:
    register_missing(
        METRICS, 'mmdet', ['DensePoseCocoMetric', 'DensePoseUVMetric']
    )
