"""Equal to insightface's iresnet: names, sizes and outputs."""

import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS
from torch import nn

from mmdense.recognition.backbones import IResNet
from mmdense.recognition.insightface import (
    keys_to_insightface,
    keys_to_mmdense,
)
from mmdense.recognition.necks import EmbeddingNeck
from tests.golden import max_rel, read_arrays, read_json
from tests.golden_weights import uniforms, weights

_CASES = read_json('partial_fc/backbone/backbones.json') or {}
_DEPTHS = {
    name: int(name[1:])
    for name in _CASES
    if name[0] == 'r' and name[1:].isdigit()
}


def _network(depth):
    backbone = dict(type='mmdense.IResNet', depth=depth)
    neck = dict(type='mmdense.EmbeddingNeck', in_channels=512, spatial_size=7)
    head = dict(
        type='mmdense.PartialFCHead',
        num_classes=3,
        in_channels=512,
        loss=dict(type='mmdense.CosFaceLoss'),
    )
    return MODELS.build(
        dict(
            type='mmpretrain.ImageClassifier',
            backbone=backbone,
            neck=neck,
            head=head,
        )
    )


@pytest.mark.golden
@pytest.mark.parametrize('name', _DEPTHS)
def test_counts(name):
    network = _network(_DEPTHS[name])
    case = _CASES[name]
    parts = [network.backbone, network.neck]
    parameters = [p for part in parts for p in part.parameters()]
    assert sum(p.numel() for p in parameters) == case['num_parameters']
    trainable = sum(p.numel() for p in parameters if p.requires_grad)
    assert trainable == case['num_trainable']
    assert len(network.state_dict()) == case['num_keys']


@pytest.mark.golden
@pytest.mark.parametrize('name', _DEPTHS)
def test_names_shapes_and_outputs(name):
    layout = read_json(f'partial_fc/backbone/{name}_keys.json')
    if layout is None:
        pytest.skip(f'no keys of {name}')
    outputs = read_arrays('partial_fc/backbone/outputs.npz')
    network = _network(_DEPTHS[name]).eval()
    own = keys_to_insightface(network.state_dict())
    expected = {key: tuple(shape) for key, shape, _ in layout}
    assert {key: tuple(x.shape) for key, x in own.items()} == expected

    prelus = {
        f'{path}.weight'.removeprefix('backbone.')
        for path, module in network.named_modules()
        if isinstance(module, nn.PReLU)
    }
    state = weights(layout, _CASES['seed'], prelus)
    network.load_state_dict(keys_to_mmdense(state))
    count = 2 * 3 * 112 * 112
    image = uniforms('input', count, _CASES['seed'])
    found = [image.sum(), (image**2).sum()]
    np.testing.assert_allclose(found, outputs['input_checksum'], rtol=1e-5)
    x = torch.from_numpy(image.astype(np.float32)).view(2, 3, 112, 112)
    with torch.no_grad():
        embeddings = network.extract_feat(x)[-1].numpy()
    assert max_rel(embeddings, outputs[f'{name}_output_f64']) < 1e-4


def test_the_fill_is_that_of_the_set():
    for name, first in _CASES['fill_check_first_6_uniforms'].items():
        assert uniforms(name, 6, _CASES['seed']).tolist() == first


def test_another_depth_is_refused():
    with pytest.raises(ValueError, match=r'one of \(18, 34, 50, 100, 200\)'):
        IResNet(101)


def test_trains_with_other_sizes_of_images():
    network = nn.Sequential(IResNet(18), EmbeddingNeck(512, 2, 16)).train()
    network(torch.randn(3, 3, 32, 32))[0].square().sum().backward()
    grads = [p.grad for p in network.parameters() if p.requires_grad]
    assert all(grad is not None and grad.isfinite().all() for grad in grads)
