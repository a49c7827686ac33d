"""Metrics of recognition."""

from .identification_metric import IdentificationMetric
from .verification_metric import VerificationMetric

__all__ = ['IdentificationMetric', 'VerificationMetric']
