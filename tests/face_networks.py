"""Configs of face networks: the published ones by name, and tiny ones."""

from torch import nn

from mmdense.registry import MODELS

_VIT_CHANNELS = dict(t=256, s=512, b=512, l=768, h=1024)


def published(name: str) -> dict[str, dict] | None:
    """Backbone and neck of a network of arcface_torch; None if unknown."""
    map_512 = dict(in_channels=512, spatial_size=7, out_channels=512)
    kind, _, size = name.partition('_')
    if name[0] == 'r' and name[1:].isdigit():
        return dict(
            backbone=dict(type='mmdense.IResNet', depth=int(name[1:])),
            neck=dict(type='mmdense.EmbeddingNeck', **map_512),
        )
    if kind == 'mbf':
        large = dict(blocks=(2, 8, 12, 4), scale=4) if size else {}
        return dict(
            backbone=dict(type='mmdense.MobileFaceNet', **large),
            neck=dict(type='mmdense.DepthwiseEmbeddingNeck', **map_512),
        )
    if kind == 'vit' and size in _VIT_CHANNELS:
        return dict(
            backbone=dict(type='mmdense.FaceViT', arch=size),
            neck=dict(
                type='mmdense.BottleneckEmbeddingNeck',
                in_channels=_VIT_CHANNELS[size],
                spatial_size=12,
                out_channels=512,
            ),
        )
    return None


def tiny(name: str, **backbone) -> nn.ModuleDict:
    """A small network of each kind for 32 x 32 images, embeddings of 16.

    Args:
        name: A key of :data:`TINY`.
        backbone: Further arguments of the backbone.
    """
    parts = TINY[name]
    return network(
        dict(
            backbone=parts['backbone'] | backbone,
            neck=parts['neck'] | dict(out_channels=16),
        )
    )


def network(parts: dict[str, dict]) -> nn.ModuleDict:
    """Backbone and neck, by our names of parameters."""
    return nn.ModuleDict(
        {name: MODELS.build(config) for name, config in parts.items()}
    )


def embed(parts: nn.ModuleDict, images):
    """(b, d) embeddings."""
    return parts['neck'](parts['backbone'](images))[0]


TINY = {
    'IResNet': dict(
        backbone=dict(type='mmdense.IResNet', depth=18),
        neck=dict(
            type='mmdense.EmbeddingNeck', in_channels=512, spatial_size=2
        ),
    ),
    'MobileFaceNet': dict(
        backbone=dict(
            type='mmdense.MobileFaceNet', blocks=(2, 1, 2, 1), scale=1
        ),
        neck=dict(
            type='mmdense.DepthwiseEmbeddingNeck',
            in_channels=512,
            spatial_size=2,
        ),
    ),
    'FaceViT': dict(
        backbone=dict(
            type='mmdense.FaceViT',
            arch=dict(embed_dims=32, num_layers=3, num_heads=4),
            img_size=32,
            patch_size=9,
            drop_path_rate=0.3,
            mask_ratio=0.3,
        ),
        neck=dict(
            type='mmdense.BottleneckEmbeddingNeck',
            in_channels=32,
            spatial_size=3,
        ),
    ),
}
