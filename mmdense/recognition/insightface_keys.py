"""Names of parameters in insightface's arcface_torch, and ours.

Backbones have the same names in both; theirs end in their output layer, which
is a neck here.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmdense.registry import MODELS

State = dict[str, Tensor]
_OUR_ONLY = ('head.', 'data_preprocessor.')


@dataclass(frozen=True)
class _Family:
    """Networks of one kind.

    Attributes:
        mark: A name in arcface_torch that only this kind has.
        neck: From the beginnings of their names to ours, for what is not of
            the backbone.
        configs: From their state to the configs of backbone and neck.
    """

    mark: str
    neck: dict[str, str]
    configs: Callable[[State], tuple[dict, dict]]


def keys_to_mmdense(state: State) -> State:
    """The state of a network of arcface_torch under our names.

    Args:
        state: By insightface's names, with or without DDP's `module.`; of an
            iresnet, a MobileFaceNet or a ViT.

    Returns:
        The same tensors as `backbone.` and `neck.`.

    Raises:
        ValueError: It is another network.
    """
    state = _without_ddp(state)
    prefixes = _family(state).neck
    return {
        _renamed(key, prefixes) or f'backbone.{key}': value
        for key, value in state.items()
    }


def keys_to_insightface(state: State) -> State:
    """The inverse of :func:`keys_to_mmdense`.

    Args:
        state: Of an `ImageClassifier`; head and data preprocessor are left
            out.

    Raises:
        ValueError: It is the state of another network.
    """
    backbone = {
        key.removeprefix('backbone.'): value
        for key, value in state.items()
        if key.startswith('backbone.')
    }
    family = _family(backbone)
    prefixes = {ours: theirs for theirs, ours in family.neck.items()}
    found = {}
    for key, value in state.items():
        if key.startswith('backbone.'):
            found[key.removeprefix('backbone.')] = value
        elif not key.startswith(_OUR_ONLY):
            name = _renamed(key, prefixes)
            if name is None:
                raise ValueError(
                    f'got {key}, expected one of {", ".join(prefixes)} beside '
                    'the backbone; arcface_torch knows this backbone only '
                    'with its own output layer: see docs/backbones.md'
                )
            found[name] = value
    return found


def network_configs(state: State) -> dict[str, dict[str, Any]]:
    """The configs of a network of arcface_torch.

    Args:
        state: By insightface's names.

    Returns:
        `backbone` and `neck`. What leaves no trace in the state is not
        there: dropout, `drop_path_rate`, `mask_ratio`, `with_cp`.

    Raises:
        ValueError: It is another network, or one of another size; the error
            names the parameter.
    """
    state = _without_ddp(state)
    try:
        backbone, neck = _family(state).configs(state)
    except KeyError as error:
        raise ValueError(f'the network has no {error.args[0]}') from None
    parts = dict(backbone=backbone, neck=neck)
    _check_fits(keys_to_mmdense(state), parts)
    return parts


def _without_ddp(state: State) -> State:
    return {key.removeprefix('module.'): value for key, value in state.items()}


def _renamed(key: str, prefixes: dict[str, str]) -> str | None:
    for old, new in prefixes.items():
        if key.startswith(f'{old}.'):
            return new + key[len(old) :]
    return None


def _family(state: State) -> _Family:
    for family in _FAMILIES:
        if family.mark in state:
            return family
    raise ValueError(
        f'the network has {next(iter(state), "no parameters")} but none of '
        f'{", ".join(family.mark for family in _FAMILIES)}: expected an '
        'iresnet, a MobileFaceNet or a ViT of arcface_torch; its other '
        'networks cannot be converted'
    )


def _check_fits(state: State, parts: dict[str, dict]) -> None:
    with torch.device('meta'):
        network = nn.ModuleDict(
            {name: MODELS.build(config) for name, config in parts.items()}
        )
    expected = {key: tuple(x.shape) for key, x in network.state_dict().items()}
    for key, value in state.items():
        if expected.get(key) != tuple(value.shape):
            raise ValueError(
                f'{key} is {tuple(value.shape)}, expected '
                f'{expected.get(key, "no such parameter")} in {parts}'
            )
    for key in expected.keys() - state.keys():
        # Only batches counted: files of old PyTorch versions lack them.
        if not key.endswith('.num_batches_tracked'):
            raise ValueError(f'{key} is missing, expected in {parts}')


def _blocks(state: State, stage: str) -> int:
    """The number of blocks `stage`.0, `stage`.1 ..."""
    start = len(stage) + 1
    return len(
        {
            key[start:].partition('.')[0]
            for key in state
            if key.startswith(f'{stage}.')
        }
    )


def _square(cells: int) -> int:
    side = math.isqrt(cells)
    if side**2 != cells:
        raise ValueError(
            f'the output layer is for {cells} cells, expected a square map'
        )
    return side


def _iresnet(state: State) -> tuple[dict, dict]:
    depths = {2: 18, 6: 34, 14: 50, 30: 100, 60: 200}
    blocks = _blocks(state, 'layer3')
    if blocks not in depths:
        raise ValueError(
            f'the iresnet has {blocks} blocks in layer3, expected one of '
            f'{tuple(depths)}, those of depth {tuple(depths.values())}'
        )
    size, inputs = state['fc.weight'].shape
    return (
        dict(type='mmdense.IResNet', depth=depths[blocks]),
        dict(
            type='mmdense.EmbeddingNeck',
            in_channels=512,
            spatial_size=_square(inputs // 512),
            out_channels=size,
        ),
    )


def _mobile_facenet(state: State) -> tuple[dict, dict]:
    # A stage of one block is one convolution, not a row of blocks.
    single = 'layers.1.layers.0.weight' in state
    blocks = [1 if single else _blocks(state, 'layers.1.layers')]
    blocks += [_blocks(state, f'layers.{n}.layers') for n in (3, 5, 7)]
    scale = len(state['layers.0.layers.0.weight']) // 64
    size = len(state['features.layers.2.weight'])
    backbone = dict(type='mmdense.MobileFaceNet')
    if (tuple(blocks), scale) != ((1, 4, 6, 2), 2):
        backbone |= dict(blocks=tuple(blocks), scale=scale)
    return backbone, dict(
        type='mmdense.DepthwiseEmbeddingNeck',
        in_channels=512,
        spatial_size=state['features.layers.0.layers.0.weight'].shape[-1],
        out_channels=size,
    )


def _face_vit(state: State) -> tuple[dict, dict]:
    archs = {
        (256, 12): 't',
        (512, 12): 's',
        (512, 24): 'b',
        (768, 24): 'l',
        (1024, 48): 'h',
    }
    dims, _, _, patch = state['patch_embed.proj.weight'].shape
    layers = _blocks(state, 'blocks')
    if (dims, layers) not in archs:
        # The heads leave no trace: their number is known by these sizes only.
        raise ValueError(
            f'the ViT has {dims} channels and {layers} blocks, expected one '
            f'of {tuple(archs)}'
        )
    side = _square(state['pos_embed'].shape[1])
    backbone = dict(type='mmdense.FaceViT', arch=archs[dims, layers])
    if patch != 9:
        backbone['patch_size'] = patch
    if 112 // patch != side:
        backbone['img_size'] = side * patch
    return backbone, dict(
        type='mmdense.BottleneckEmbeddingNeck',
        in_channels=dims,
        spatial_size=side,
        out_channels=len(state['feature.2.weight']),
    )


_FAMILIES = (
    _Family(
        'layer4.0.conv1.weight',
        {'bn2': 'neck.bn', 'fc': 'neck.fc', 'features': 'neck.features'},
        _iresnet,
    ),
    _Family(
        'conv_sep.layers.0.weight',
        {
            'features.layers.0.layers.0': 'neck.conv',
            'features.layers.0.layers.1': 'neck.bn',
            'features.layers.2': 'neck.fc',
            'features.layers.3': 'neck.features',
        },
        _mobile_facenet,
    ),
    _Family(
        'patch_embed.proj.weight',
        {
            'feature.0': 'neck.fc1',
            'feature.1': 'neck.bn',
            'feature.2': 'neck.fc2',
            'feature.3': 'neck.features',
        },
        _face_vit,
    ),
)
