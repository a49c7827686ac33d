"""Data sets of dense pose."""
