"""Hooks of recognition."""

from .new_centers_hook import NewCentersHook

__all__ = ['NewCentersHook']
