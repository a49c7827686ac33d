"""Check that the types of a config exist and take the arguments given."""

from .check import Problem, check_config, check_file

__all__ = ['Problem', 'check_config', 'check_file']
