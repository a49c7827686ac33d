"""From a backbone's features to one embedding per image."""

from .bottleneck_embedding_neck import BottleneckEmbeddingNeck
from .depthwise_embedding_neck import DepthwiseEmbeddingNeck
from .embedding_neck import EmbeddingNeck

__all__ = [
    'BottleneckEmbeddingNeck',
    'DepthwiseEmbeddingNeck',
    'EmbeddingNeck',
]
