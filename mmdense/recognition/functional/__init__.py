"""The mathematics of recognition: tensors in, tensors out.

Nothing here knows of registries, configs or any OpenMMLab library.
"""

from .gallery_search import search_gallery
from .identification import Identification
from .margins import arcface, cosface
from .sampling import sample_classes
from .sharded_softmax import margin_softmax_loss
from .validation_rate import ValidationRate, validation_rate
from .verification import (
    VerificationResult,
    roc_curve,
    tar_at_far,
    verify_pairs,
)

__all__ = [
    'Identification',
    'ValidationRate',
    'VerificationResult',
    'arcface',
    'cosface',
    'margin_softmax_loss',
    'roc_curve',
    'sample_classes',
    'search_gallery',
    'tar_at_far',
    'validation_rate',
    'verify_pairs',
]
