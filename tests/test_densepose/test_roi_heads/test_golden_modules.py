"""Decoder, pooling, trunks, predictors and the whole model, by weights of
detectron2's names.
"""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdense.densepose.detectron2_checkpoint import from_detectron2
from mmdense.densepose.detectron2_keys import (
    config_name,
    keys_to_mmdense,
    model_options,
)
from mmdense.densepose.structures import DensePoseResults
from mmdense.registry import MODELS
from tests import golden
from tests.golden_densepose import filled, slice_of

pytestmark = pytest.mark.golden

CONFIGS = Path(__file__).parents[3] / 'configs/densepose_rcnn'
BASE = CONFIGS.parent / '_base_/models/densepose-rcnn_r50_fpn.py'
MODULES = golden.read_json('densepose/head_modules.json') or {'stats': {}}
WHOLE = golden.read_json('densepose/whole_model.json') or {'stats': {}}
OURS = {
    'coarse_segm': 'coarse',
    'fine_segm': 'part',
    'fine_segm_confidence': 'part_confidence',
    'coarse_segm_confidence': 'coarse_confidence',
}
MODELS_WITH_PREDICTORS = [
    model
    for model in WHOLE.get('models', ())
    if any(name.startswith(f'predictor_{model}_') for name in MODULES['stats'])
]


def weights(model: str) -> dict[str, torch.Tensor]:
    """A state of detectron2's, whole or the dense part of it."""
    for suffix in ('', '_densepose_part'):
        keys = golden.read_json(f'densepose/d2_keys_{model}{suffix}.json')
        if keys is not None:
            return {name: filled(**fill) for name, fill in keys.items()}
    pytest.skip(f'no keys of {model} in the golden data')


def build_part(model: str, part: str) -> torch.nn.Module:
    """A part of our RoI head, with their weights."""
    state = keys_to_mmdense(weights(model))
    cfg = Config.fromfile(BASE)
    cfg.merge_from_dict(dict(model=model_options(state)))
    prefix = f'roi_head.{part}.'
    state = {
        key.removeprefix(prefix): value
        for key, value in state.items()
        if key.startswith(prefix)
    }
    return build(cfg.model.roi_head[part], state)


def build_whole(model: str, folder: Path) -> torch.nn.Module:
    """The shipped config of a file of theirs, with what it converts to."""
    theirs, ours = folder / 'theirs.pkl', folder / 'ours.pth'
    state = {name: value.numpy() for name, value in weights(model).items()}
    theirs.write_bytes(pickle.dumps({'model': state}))
    name = config_name(from_detectron2(theirs, ours))
    theirs.unlink()  # 250 MB
    cfg = Config.fromfile(CONFIGS / f'{name}.py').model
    cfg.backbone.init_cfg = None
    state = torch.load(ours, weights_only=True)['state_dict']
    ours.unlink()
    return build(cfg, state)


def build(cfg: dict, state: dict[str, torch.Tensor]) -> torch.nn.Module:
    init_default_scope('mmdet')
    module = MODELS.build(cfg).eval()
    wanted = module.state_dict()
    counts = {key for key in wanted if key.endswith('num_batches_tracked')}
    assert wanted.keys() - counts == state.keys()
    module.load_state_dict(state, strict=False)
    return module


def given(name: str) -> torch.Tensor:
    return filled(**MODULES['inputs'][name])


def compare(found: torch.Tensor, name: str, file: dict, arrays: dict) -> None:
    stats, expected = file['stats'][name], arrays[name]
    assert list(found.shape) == stats['shape']
    size = max(abs(stats['min']), abs(stats['max']))
    values = found.numpy()[slice_of(stats)]
    np.testing.assert_allclose(values, expected, atol=1e-4 * size, rtol=0)
    double = found.double()
    for statistic, value in (
        ('mean', double.mean()),
        ('std', double.std(correction=0)),
    ):
        assert value.item() == pytest.approx(stats[statistic], abs=1e-4 * size)


@pytest.fixture(scope='module')
def arrays():
    return golden.read_arrays('densepose/head_modules.npz')


@torch.no_grad()
def test_decoder_and_pooling(arrays):
    init_default_scope('mmdet')
    levels = [given(f'p{i}') for i in range(2, 6)]
    decoded = build_part('s1x', 'uv_decoder')(levels)
    compare(decoded, 'decoder_out', MODULES, arrays)
    boxes = torch.from_numpy(arrays['pool_boxes'])
    rois = torch.cat((torch.zeros(len(boxes), 1), boxes), dim=1)
    cfg = Config.fromfile(BASE)
    head = cfg.model.roi_head
    extractor = MODELS.build(head.uv_roi_extractor)
    compare(extractor((decoded,), rois), 'pooled', MODULES, arrays)
    extractor = MODELS.build(head.bbox_roi_extractor)
    compare(extractor(levels, rois), 'box_pooled', MODULES, arrays)
    options = model_options(keys_to_mmdense(weights('s1x_legacy')))
    cfg.merge_from_dict(dict(model=options))
    head = cfg.model.roi_head
    assert head.uv_decoder is None
    extractor = MODELS.build(head.uv_roi_extractor)
    compare(extractor(levels, rois), 'legacy_pooled', MODULES, arrays)


@torch.no_grad()
def test_trunks(arrays):
    x = given('head_in')
    trunk = build_part('s1x', 'uv_head').trunk
    compare(trunk(x), 'v1convx_out', MODULES, arrays)
    trunk = build_part('DL_s1x', 'uv_head').trunk
    compare(trunk.pyramid(x), 'deeplab_aspp_out', MODULES, arrays)
    compare(trunk(x), 'deeplab_out', MODULES, arrays)


@pytest.mark.parametrize('model', MODELS_WITH_PREDICTORS)
@torch.no_grad()
def test_predictors(model, arrays):
    head = build_part(model, 'uv_head')
    maps = head.full_maps(head.predict_maps(given('predictor_in')))
    compared = 0
    for name in MODULES['stats']:
        field = name.removeprefix(f'predictor_{model}_')
        if field != name and not field.startswith('legacy'):
            compare(maps[OURS.get(field, field)], name, MODULES, arrays)
            compared += 1
    assert compared > 2


@pytest.mark.parametrize('model', ['s1x', 'DL_s1x'])
@torch.no_grad()
def test_whole_model(model, tmp_path):
    if not WHOLE['stats']:
        pytest.skip('no whole model in the golden data')
    arrays = golden.read_arrays('densepose/whole_model.npz')
    detector = build_whole(model, tmp_path)
    image = torch.from_numpy(arrays['image_bgr_chw'])
    batch = detector.data_preprocessor(dict(inputs=[image], data_samples=[]))
    levels = detector.extract_feat(batch['inputs'])

    def check(found, name):
        if name in WHOLE['stats']:
            compare(found, name, WHOLE, arrays)

    head = detector.roi_head
    (decoded,) = head.uv_maps(levels)
    check(decoded, f'{model}_decoder')
    boxes = torch.from_numpy(arrays['boxes'])
    rois = torch.cat((torch.zeros(len(boxes), 1), boxes), dim=1)
    pooled = head.uv_features(levels, rois)
    check(pooled, f'{model}_pooled')
    check(head.uv_head.trunk(pooled), f'{model}_head')
    maps = head.uv_head.full_maps(head.uv_head(pooled))
    for field in ('coarse_segm', 'fine_segm', 'u', 'v'):
        check(maps[OURS.get(field, field)], f'{model}_pred_{field}')
    results = head.uv_head.predict(pooled, boxes)
    assert isinstance(results['densepose'], DensePoseResults)
    if model != 's1x':
        return
    scores, deltas = detector.rpn_head(levels)
    for i, level in enumerate(levels):
        check(level, f'fpn_p{i + 2}')
        check(scores[i], f'rpn_logits_p{i + 2}')
        check(deltas[i], f'rpn_deltas_p{i + 2}')
    anchors = detector.rpn_head.prior_generator.grid_priors(
        [level.shape[2:] for level in levels], device='cpu'
    )
    for i, found in enumerate(anchors):
        expected = arrays[f'anchors_p{i + 2}_first']
        np.testing.assert_allclose(found[: len(expected)], expected, atol=1e-3)
    of_boxes = head._bbox_forward(levels, rois)
    check(of_boxes['bbox_feats'], 'box_pooled')
    check(of_boxes['cls_score'], 'box_scores')
    check(of_boxes['bbox_pred'], 'box_deltas')
    check(of_boxes['cls_score'].softmax(1), 'box_probs')
    check(
        head.bbox_head.bbox_coder.decode(boxes, of_boxes['bbox_pred']),
        'box_decoded',
    )
