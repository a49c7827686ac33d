"""Imports every model of recognition, for the registry's `locations`."""

from mmdense.compat.missing import register_missing
from mmdense.compat.versions import is_available
from mmdense.registry import MODELS

from . import backbones, embedding_tta, losses, necks  # noqa: F401

if is_available('mmpretrain'):
    from . import heads  # noqa: F401
else:
    register_missing(MODELS, 'mmpretrain', ['PartialFCHead'])
