"""What the command line tools and users of the package call."""

from typing import Any

from mmdense.compat.versions import require

__all__ = ['DensePoseInferencer', 'EmbeddingInferencer']


def __getattr__(name: str) -> Any:
    # The tools import modules of this package without needing what all of
    # them import.
    if name == 'EmbeddingInferencer':
        from .embedding_inferencer import EmbeddingInferencer

        return EmbeddingInferencer
    if name == 'DensePoseInferencer':
        require('mmdet', f'mmdense.apis.{name}')
        from .densepose_inferencer import DensePoseInferencer

        return DensePoseInferencer
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
