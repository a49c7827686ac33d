"""Pictures of recognition results."""

from .verification_hook import VerificationVisualizationHook

__all__ = ['VerificationVisualizationHook']
