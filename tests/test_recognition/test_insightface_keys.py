"""Networks told from their parameters, and names there and back."""

import pytest
import torch

from mmdense.recognition.insightface_keys import (
    keys_to_insightface,
    keys_to_mmdense,
    network_configs,
)
from tests.face_networks import network, published

_NAMES = (
    'r18 r34 r50 r100 r200 mbf mbf_large vit_t vit_s vit_b vit_l vit_h'
).split()


def _state(parts):
    with torch.device('meta'):
        return network(parts).state_dict()


@pytest.mark.parametrize('name', _NAMES)
def test_there_and_back(name):
    parts = published(name)
    ours = _state(parts)
    theirs = keys_to_insightface(
        ours | {'head.x': torch.zeros(1), 'data_preprocessor.mean': 0}
    )
    assert not any(key.startswith(('backbone', 'neck')) for key in theirs)
    assert network_configs(theirs) == parts
    wrapped = {f'module.{key}': value for key, value in theirs.items()}
    assert network_configs(wrapped) == parts
    back = keys_to_mmdense(wrapped)
    assert back.keys() == ours.keys()
    assert all(back[key] is ours[key] for key in ours)


def test_other_sizes_are_told_too():
    parts = published('vit_s')
    parts['backbone'] |= dict(patch_size=8, img_size=96)
    parts['neck'] |= dict(out_channels=64)
    assert network_configs(keys_to_insightface(_state(parts))) == parts
    parts = published('mbf')
    parts['backbone'] |= dict(blocks=(3, 1, 2, 1), scale=1)
    parts['neck'] |= dict(spatial_size=4, out_channels=64)
    assert network_configs(keys_to_insightface(_state(parts))) == parts
    parts = published('r34')
    parts['neck'] |= dict(spatial_size=3, out_channels=64)
    assert network_configs(keys_to_insightface(_state(parts))) == parts


def test_files_of_old_versions_have_no_batch_counts():
    theirs = keys_to_insightface(_state(published('mbf')))
    old = {k: v for k, v in theirs.items() if 'num_batches' not in k}
    assert network_configs(old) == published('mbf')


def _theirs(name):
    return keys_to_insightface(_state(published(name)))


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match='has x but none of'):
        network_configs({'x': torch.zeros(1)})
    with pytest.raises(ValueError, match='has no parameters but'):
        keys_to_insightface({})
    state = _theirs('r18')
    state['fc.extra'] = torch.zeros(2)
    with pytest.raises(ValueError, match=r'neck\.fc\.extra is \(2,\)'):
        network_configs(state)
    state = _theirs('vit_t')
    del state['blocks.3.norm1.bias']
    with pytest.raises(ValueError, match=r'3\.norm1\.bias is missing'):
        network_configs(state)
    del state['pos_embed']
    with pytest.raises(ValueError, match='has no pos_embed'):
        network_configs(state)
    state = _theirs('r18')
    state['layer3.2.bn1.weight'] = torch.zeros(256)
    with pytest.raises(ValueError, match='3 blocks in layer3'):
        network_configs(state)
    state = {k: v for k, v in _theirs('vit_t').items() if 'blocks.9' not in k}
    with pytest.raises(ValueError, match='256 channels and 11 blocks'):
        network_configs(state)
    state = _theirs('r18')
    state['fc.weight'] = torch.zeros(512, 512 * 6)
    with pytest.raises(ValueError, match='6 cells, expected a square'):
        network_configs(state)


def test_a_backbone_with_another_neck_is_refused():
    parts = published('mbf')
    parts['neck'] = published('vit_s')['neck'] | dict(spatial_size=7)
    with pytest.raises(ValueError, match=r'got neck\.fc1\.weight, expected'):
        keys_to_insightface(_state(parts))
