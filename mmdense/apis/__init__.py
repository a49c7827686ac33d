"""What the command line tools and users of the package call."""

from typing import Any

__all__ = ['EmbeddingInferencer']


def __getattr__(name: str) -> Any:
    # The tools import modules of this package without needing what all of
    # them import.
    if name == 'EmbeddingInferencer':
        from .embedding_inferencer import EmbeddingInferencer

        return EmbeddingInferencer
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
