"""Transforms of dense points."""
