"""What the studies share: running cells, reading results, the report."""
