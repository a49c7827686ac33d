"""Metrics of recognition."""

from .verification_metric import VerificationMetric

__all__ = ['VerificationMetric']
