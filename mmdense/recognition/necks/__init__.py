"""From a backbone's features to one embedding per image."""

from .embedding_neck import EmbeddingNeck

__all__ = ['EmbeddingNeck']
