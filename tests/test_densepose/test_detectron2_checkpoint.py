"""Checkpoints of detectron2's DensePose: read safely, renamed, described."""

import os
import pickle
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from mmdense.densepose.detectron2_checkpoint import (
    from_detectron2,
    read_detectron2,
)
from mmdense.densepose.detectron2_keys import (
    config_name,
    key_to_mmdense,
    keys_to_mmdense,
    model_options,
)
from tests import golden

TOOL = (
    Path(__file__).parents[2]
    / 'tools/model_converters/detectron2_densepose.py'
)
MODELS = [
    's1x',
    'DL_s1x',
    's1x_legacy',
    'WC1_s1x',
    'WC2_s1x',
    'WC1M_s1x',
    'WC2M_s1x',
]
VARIANTS = ['', '-dl', '-legacy', '-wc1', '-wc2', '-wc1m', '-wc2m']


def small_state(model: str) -> dict[str, np.ndarray]:
    """Their names, with a number for each parameter; few have their shape."""
    for suffix in ('', '_densepose_part'):
        keys = golden.read_json(f'densepose/d2_keys_{model}{suffix}.json')
        if keys is not None:
            break
    else:
        pytest.skip(f'no keys of {model} in the golden data')
    state = {}
    for i, (name, entry) in enumerate(keys.items()):
        shape = (
            (1, entry['shape'][1]) if 'ann_index_lowres.weight' in name else ()
        )
        state[name] = np.full(shape, i, dtype=np.float32)
    return state


def write(path: Path, content) -> Path:
    path.write_bytes(pickle.dumps(content))
    return path


@pytest.mark.golden
@pytest.mark.parametrize(
    ('model', 'variant'), zip(MODELS, VARIANTS, strict=True)
)
def test_what_a_model_is(model, variant):
    theirs = small_state(model)
    state = keys_to_mmdense(theirs)
    assert len(state) == len(theirs)
    assert not any(key.startswith('roi_heads') for key in state)
    name = config_name(model_options(state))
    expected = f'densepose-rcnn_r50_fpn{variant}_8xb2-s1x_densepose-coco'
    assert name == expected
    for block in range(6, 23):
        state[f'backbone.layer3.{block}.conv1.weight'] = torch.zeros(1)
    for block in range(6):
        state[f'backbone.layer3.{block}.conv1.weight'] = torch.zeros(1)
    options = model_options(state)
    assert options['backbone'] == dict(depth=101)
    assert config_name(options) == expected.replace('r50', 'r101')


def test_names():
    for theirs, ours in {
        'backbone.bottom_up.res4.22.conv2.norm.running_var': (
            'backbone.layer3.22.bn2.running_var'
        ),
        'backbone.bottom_up.res2.0.shortcut.weight': (
            'backbone.layer1.0.downsample.0.weight'
        ),
        'roi_heads.decoder.p5.4.bias': (
            'roi_head.uv_decoder.levels.3.2.0.bias'
        ),
        'roi_heads.densepose_head.body_conv_fcn8.norm.weight': (
            'roi_head.uv_head.trunk.convs.7.1.weight'
        ),
        'pixel_mean': None,
        'proposal_generator.anchor_generator.cell_anchors.0': None,
    }.items():
        assert key_to_mmdense(theirs) == ours


@pytest.mark.golden
@pytest.mark.parametrize('container', [dict, OrderedDict])
def test_converts_a_file_of_the_zoo(tmp_path, container):
    state = small_state('DL_s1x')
    content = {
        'model': container(state),
        '__author__': 'Detectron2 Model Zoo',
        'matching_heuristics': True,
    }
    source = write(tmp_path / 'model_final.pkl', content)
    out = tmp_path / 'new' / 'model.pth'
    done = subprocess.run(
        [sys.executable, TOOL, source, out], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()[-1]
    assert (Path(__file__).parents[2] / printed).is_file()
    assert '-dl_' in printed
    saved = torch.load(out, weights_only=True)
    assert saved['meta']['dataset_meta']['classes'] == ('person',)
    for name, value in state.items():
        found = saved['state_dict'][key_to_mmdense(name)]
        np.testing.assert_array_equal(found, value)


@pytest.mark.golden
def test_a_checkpoint_of_a_training(tmp_path):
    state = {
        name: torch.from_numpy(value)
        for name, value in small_state('WC1_s1x').items()
    }
    path = tmp_path / 'model_0001.pth'
    torch.save({'model': state, 'iteration': 7}, path)
    options = from_detectron2(path, tmp_path / 'out.pth')
    assert options['roi_head']['uv_head']['loss_points']['confidence'] == (
        'isotropic'
    )


@pytest.mark.parametrize('core', [b'numpy.core', b'numpy._core'])
def test_files_of_either_numpy(tmp_path, core):
    values = np.arange(6.0).reshape(2, 3)
    content = pickle.dumps({'model': {'w': values}}, protocol=2)
    for other in (b'numpy._core', b'numpy.core'):
        content = content.replace(
            b'c' + other + b'.multiarray\n', b'c' + core + b'.multiarray\n'
        )
    assert core in content
    path = tmp_path / 'model.pkl'
    path.write_bytes(content)
    np.testing.assert_array_equal(read_detectron2(path)['w'], values)


class _Evil:
    def __reduce__(self):
        return os.system, ('echo pwned > pwned.txt',)


def test_refuses_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / 'evil.pkl', {'model': {'weight': _Evil()}})
    with pytest.raises(ValueError, match='expected arrays of numbers only'):
        read_detectron2(path)
    torch.save({'model': {'weight': _Evil()}}, tmp_path / 'evil.pth')
    with pytest.raises(ValueError, match='cannot be read safely'):
        read_detectron2(tmp_path / 'evil.pth')
    assert not (tmp_path / 'pwned.txt').exists()


def test_bad_files(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere'):
        read_detectron2(tmp_path / 'nowhere.pkl')
    good = write(tmp_path / 'a.pkl', {'model': {'w': np.zeros(1000)}})
    (tmp_path / 'b.pkl').write_bytes(good.read_bytes()[:500])
    with pytest.raises(ValueError, match=r'b\.pkl is damaged'):
        read_detectron2(tmp_path / 'b.pkl')
    with pytest.raises(ValueError, match='no parameters'):
        read_detectron2(write(tmp_path / 'c.pkl', {'model': {}}))
    with pytest.raises(ValueError, match="'w' is a str"):
        read_detectron2(write(tmp_path / 'd.pkl', {'model': {'w': 'x'}}))


@pytest.mark.parametrize(
    'key',
    [
        'roi_heads.embedder.embedder_smpl_27554.features',
        'backbone.bottom_up.stage2.0.branches.0.0.conv1.weight',
        'roi_heads.mask_head.mask_fcn1.weight',
        'head.weight',
    ],
)
def test_other_models(tmp_path, key):
    path = write(tmp_path / 'other.pkl', {'model': {key: np.zeros(1)}})
    with pytest.raises(ValueError, match=rf'other\.pkl: {key}.*charts'):
        from_detectron2(path, tmp_path / 'out.pth')
    assert not (tmp_path / 'out.pth').exists()
