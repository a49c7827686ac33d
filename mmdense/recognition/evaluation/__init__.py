"""Metrics of recognition."""

from .identification_metric import IdentificationMetric
from .ijb_metric import IJBMetric
from .verification_metric import VerificationMetric

__all__ = ['IJBMetric', 'IdentificationMetric', 'VerificationMetric']
