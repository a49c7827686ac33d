"""Transforms of dense points."""

from mmdense.compat.missing import register_missing
from mmdense.compat.versions import is_available
from mmdense.registry import TRANSFORMS

if is_available('mmdet'):
    from .formatting import PackDensePoseInputs as PackDensePoseInputs
    from .loading import LoadDensePoseAnnotations as LoadDensePoseAnnotations
else:
    register_missing(
        TRANSFORMS,
        'mmdet',
        ['LoadDensePoseAnnotations', 'PackDensePoseInputs'],
    )
