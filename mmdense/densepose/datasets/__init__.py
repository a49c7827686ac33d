"""Data sets of dense pose."""

from mmdense.compat.missing import register_missing
from mmdense.compat.versions import is_available
from mmdense.registry import DATASETS

if is_available('mmdet'):
    from .densepose_coco import DensePoseCocoDataset as DensePoseCocoDataset
else:
    register_missing(DATASETS, 'mmdet', ['DensePoseCocoDataset'])
