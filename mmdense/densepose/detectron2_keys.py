"""Names of parameters in detectron2's DensePose models, and ours."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

State = Mapping[str, Tensor]
_Replacement = str | Callable[[re.Match], str]

# What our models have no use for.
_UNUSED = re.compile(
    r'pixel_(mean|std)$|proposal_generator\.anchor_generator\.'
)
# What is left of their names if no rule knows a parameter.
_UNKNOWN = re.compile(r'backbone\.(bottom_up|fpn_)|proposal_gen|roi_heads\.')


def _numbered(name: str, first: int, step: int = 1) -> _Replacement:
    """A name with their number, which counts from `first`, counted from 0."""
    return lambda match: f'{name}.{(int(match[1]) - first) // step}.'


_PREDICTORS = {
    'ann_index': 'coarse',
    'index_uv': 'part',
    'fine_segm_confidence': 'part_confidence',
    'coarse_segm_confidence': 'coarse_confidence',
}

# Applied one after the other.
_RULES: list[tuple[str, _Replacement]] = [
    (r'^backbone\.bottom_up\.stem\.', 'backbone.'),
    (
        r'^backbone\.bottom_up\.res(\d)\.',
        lambda match: f'backbone.layer{int(match[1]) - 1}.',
    ),
    (r'^(backbone\..*)conv(\d)\.norm\.', r'\1bn\2.'),
    (r'\.shortcut\.norm\.', '.downsample.1.'),
    (r'\.shortcut\.', '.downsample.0.'),
    (r'^backbone\.fpn_lateral(\d)\.', _numbered('neck.lateral_convs', 2)),
    (r'^backbone\.fpn_output(\d)\.', _numbered('neck.fpn_convs', 2)),
    (r'^(neck\.\w+\.\d)\.', r'\1.conv.'),
    (r'^proposal_generator\.rpn_head\.', 'rpn_head.'),
    (r'^rpn_head\.conv\.', 'rpn_head.rpn_conv.'),
    (r'^rpn_head\.objectness_logits\.', 'rpn_head.rpn_cls.'),
    (r'^rpn_head\.anchor_deltas\.', 'rpn_head.rpn_reg.'),
    (
        r'^roi_heads\.box_head\.fc(\d)\.',
        _numbered('roi_head.bbox_head.shared_fcs', 1),
    ),
    (r'^roi_heads\.box_predictor\.cls_score\.', 'roi_head.bbox_head.fc_cls.'),
    (r'^roi_heads\.box_predictor\.bbox_pred\.', 'roi_head.bbox_head.fc_reg.'),
    (
        r'^roi_heads\.decoder\.p(\d)\.',
        _numbered('roi_head.uv_decoder.levels', 2),
    ),
    # Between their convolutions are enlargements.
    (r'(?<=levels\.\d)\.(\d)\.', _numbered('', 0, 2)),
    (r'(?<=levels\.\d\.\d)\.', '.0.'),
    (r'^roi_heads\.decoder\.predictor\.', 'roi_head.uv_decoder.project.'),
    (
        r'^roi_heads\.densepose_head\.(ASPP|body_conv)',
        r'roi_head.uv_head.trunk.\1',
    ),
    (r'\.ASPP\.convs\.4\.(\d)\.', _numbered('.pooled', 1)),
    (r'\.ASPP\.convs\.', '.branches.'),
    (r'\.ASPP\.project\.', '.project.'),
    (r'\.body_conv_fcn(\d)\.', _numbered('.convs', 1)),
    (r'(?<=trunk\.convs\.\d)\.norm\.', '.1.'),
    (r'(?<=trunk\.convs\.\d)\.(?=weight|bias)', '.0.'),
    (
        r'^roi_heads\.densepose_predictor\.(\w+)_lowres\.',
        lambda match: (
            'roi_head.uv_head.predictors.'
            f'{_PREDICTORS.get(match[1], match[1])}.'
        ),
    ),
]


def key_to_mmdense(key: str) -> str | None:
    """Our name of a parameter.

    Args:
        key: Theirs.

    Returns:
        Ours, or None if our models have no such thing and need none.

    Raises:
        ValueError: It is of no model that is known here.
    """
    if _UNUSED.match(key):
        return None
    renamed = key
    for pattern, replacement in _RULES:
        renamed = re.sub(pattern, replacement, renamed)
    if renamed == key or _UNKNOWN.match(renamed):
        raise ValueError(
            f'{key} is a parameter that is not known, expected a DensePose '
            'model of charts (IUV) on a ResNet with FPN; models of continuous '
            'surface embeddings (CSE) and other backbones cannot be converted'
        )
    return renamed


def keys_to_mmdense(state: State) -> dict[str, Tensor]:
    """The state of a model of detectron2's DensePose under our names.

    Args:
        state: By their names.

    Returns:
        The same tensors; those we have no use for are left out.

    Raises:
        ValueError: It is another model.
    """
    renamed = {key: key_to_mmdense(key) for key in state}
    return {ours: state[key] for key, ours in renamed.items() if ours}


def model_options(state: State) -> dict[str, Any]:
    """What a model is, in changes to `densepose-rcnn_r50_fpn.py`.

    Args:
        state: By our names.

    Returns:
        A config to merge into `model`; empty for `R_50_FPN_s1x`.
    """
    options: dict[str, Any] = {}
    blocks = sum(
        key.startswith('backbone.layer3.') and key.endswith('.conv1.weight')
        for key in state
    )
    if blocks == 23:
        options['backbone'] = dict(depth=101)
    uv_head: dict[str, Any] = {}
    if any('.trunk.branches.' in key for key in state):
        uv_head['trunk'] = dict(_delete_=True, type='mmdense.ASPPTrunk')
    prefix = 'roi_head.uv_head.predictors.'
    coarse = state[f'{prefix}coarse.weight'].shape[1]
    if coarse != 2:
        uv_head['coarse_channels'] = coarse
    if f'{prefix}part_confidence.weight' in state:
        uv_head['segm_confidence'] = True
    if f'{prefix}sigma_2.weight' in state:
        is_isotropic = f'{prefix}kappa_u.weight' not in state
        uv_head['loss_points'] = dict(
            _delete_=True,
            type='mmdense.ConfidentPointsLoss',
            confidence='isotropic' if is_isotropic else 'anisotropic',
            reduction='sum',
        )
        uv_head['loss_balancer'] = dict(weights=dict(uv=0.0005))
    if uv_head:
        options['roi_head'] = dict(uv_head=uv_head)
    if not any('.uv_decoder.' in key for key in state):
        options.setdefault('roi_head', {}).update(
            uv_decoder=None,
            uv_roi_extractor=dict(
                roi_layer=dict(output_size=14),
                featmap_strides=[4, 8, 16, 32],
            ),
        )
    return options


def config_name(options: Mapping[str, Any]) -> str:
    """The config in `configs/densepose_rcnn` of a model.

    Args:
        options: As :func:`model_options` returns them.
    """
    roi_head = options.get('roi_head', {})
    uv_head = roi_head.get('uv_head', {})
    depth = options.get('backbone', {}).get('depth', 50)
    variant = ''
    if 'trunk' in uv_head:
        variant += '-dl'
    if 'loss_points' in uv_head:
        kind = uv_head['loss_points']['confidence']
        variant += '-wc1' if kind == 'isotropic' else '-wc2'
    if 'segm_confidence' in uv_head:
        variant += 'm'
    if 'uv_decoder' in roi_head:
        variant += '-legacy'
    return f'densepose-rcnn_r{depth}_fpn{variant}_8xb2-s1x_densepose-coco'
