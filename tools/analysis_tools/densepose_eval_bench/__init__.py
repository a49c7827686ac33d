"""Parts of benchmark_densepose_eval.py."""
