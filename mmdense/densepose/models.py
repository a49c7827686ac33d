"""Imports every model of dense pose, for the registry's `locations`."""

from mmdense.compat.missing import register_missing
from mmdense.compat.versions import is_available
from mmdense.registry import MODELS

from . import losses  # noqa: F401

if is_available('mmdet'):
    from . import roi_heads  # noqa: F401
else:
    register_missing(
        MODELS,
        'mmdet',
        [
            'ASPPTrunk',
            'ConvTrunk',
            'PanopticFPNDecoder',
            'UVHead',
            'UVRoIHead',
        ],
    )
