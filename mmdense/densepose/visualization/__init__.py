"""Pictures of dense pose."""
