"""Equal to insightface's networks: names, sizes and outputs."""

import numpy as np
import pytest
import torch
from torch import nn

from mmdense.recognition.insightface_keys import (
    keys_to_insightface,
    keys_to_mmdense,
    network_configs,
)
from tests.face_networks import embed, network, published
from tests.golden import max_rel, read_arrays, read_json
from tests.golden_weights import uniforms, weights

_CASES = read_json('partial_fc/backbone/backbones.json') or {}
_NAMES = [
    name
    for name, case in _CASES.items()
    if isinstance(case, dict) and 'num_keys' in case and published(name)
]


@pytest.mark.golden
@pytest.mark.parametrize('name', _NAMES)
def test_counts(name):
    parts = published(name)
    if name.startswith('vit'):
        # Else the mask token is not trained.
        parts['backbone']['mask_ratio'] = 0.1
    with torch.device('meta'):
        net = network(parts)
    case = _CASES[name]
    parameters = list(net.parameters())
    assert sum(p.numel() for p in parameters) == case['num_parameters']
    trainable = sum(p.numel() for p in parameters if p.requires_grad)
    assert trainable == case['num_trainable']
    assert len(net.state_dict()) == case['num_keys']


@pytest.mark.parametrize(
    ('name', 'millions'),
    [('r34', 34.1), ('r200', 118.8), ('mbf_large', 6.31)],
)
def test_published_counts(name, millions):
    with torch.device('meta'):
        net = network(published(name))
    count = sum(p.numel() for p in net.parameters()) / 1e6
    assert count == pytest.approx(millions, abs=0.05)


@pytest.mark.golden
@pytest.mark.parametrize('name', _NAMES)
def test_names_shapes_and_outputs(name):
    layout = read_json(f'partial_fc/backbone/{name}_keys.json')
    if layout is None:
        pytest.skip(f'no keys of {name}')
    outputs = read_arrays('partial_fc/backbone/outputs.npz')
    seed = _CASES['seed']
    shapes = {key: torch.empty(shape) for key, shape, _ in layout}
    # The network is told from the names and shapes alone.
    parts = network_configs(shapes)
    assert parts == published(name)
    net = network(parts).eval()
    own = keys_to_insightface(net.state_dict())
    assert {key: x.shape for key, x in own.items()} == {
        key: x.shape for key, x in shapes.items()
    }

    state = weights(layout, seed, _prelus(net))
    net.load_state_dict(keys_to_mmdense(state))
    image = uniforms('input', 2 * 3 * 112 * 112, seed)
    found = [image.sum(), (image**2).sum()]
    np.testing.assert_allclose(found, outputs['input_checksum'], rtol=1e-5)
    x = torch.from_numpy(image).view(2, 3, 112, 112)
    expected = outputs[f'{name}_output_f64']
    with torch.no_grad():
        single = embed(net, x.float())
        double = embed(net.double(), x)
    assert max_rel(single, expected) < 1e-4
    cosines = torch.cosine_similarity(
        single.double(), torch.from_numpy(expected)
    )
    assert cosines.min() > 1 - 1e-6
    assert max_rel(double, expected) < 1e-10


def _prelus(net):
    """Names of PReLU's weights: in backbones only, which have no others."""
    return {
        f'{path}.weight'.removeprefix('backbone.')
        for path, module in net.named_modules()
        if isinstance(module, nn.PReLU)
    }


@pytest.mark.golden
def test_the_fill_is_that_of_the_set():
    for name, first in _CASES['fill_check_first_6_uniforms'].items():
        assert uniforms(name, 6, _CASES['seed']).tolist() == first
