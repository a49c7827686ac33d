"""Pictures of recognition results."""

from .curves_hook import CurvesVisualizationHook
from .verification_hook import VerificationVisualizationHook

__all__ = ['CurvesVisualizationHook', 'VerificationVisualizationHook']
