"""Checkpoints to and from insightface's arcface_torch, and publishing."""

import runpy
import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest
import torch

from mmdense.distributed.shard_reading import read_manifest, read_range
from mmdense.recognition.backbones import IResNet
from mmdense.recognition.insightface import from_insightface, to_insightface
from mmdense.recognition.insightface_keys import keys_to_insightface
from mmdense.recognition.necks import EmbeddingNeck
from tests.face_networks import network as build_network
from tests.face_networks import published
from tests.toy_training import CLASSES, final_state, train

_TOOLS = Path(__file__).parents[2] / 'tools/model_converters'


def _run(tool, *args):
    return subprocess.run(
        [sys.executable, _TOOLS / tool, *map(str, args)],
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope='module')
def network():
    """The state of a network, by insightface's names."""
    torch.manual_seed(0)
    parts = dict(backbone=IResNet(18), neck=EmbeddingNeck(512, 1, 8))
    state = torch.nn.ModuleDict(parts).state_dict()
    return keys_to_insightface(state)


def _theirs(folder, network, centers, ranks):
    """What arcface_torch writes with `save_all_states`."""
    folder.mkdir()
    torch.save(network, folder / 'model.pt')
    wrapped = {f'module.{key}': value for key, value in network.items()}
    num_classes, first = len(centers), 0
    for rank in range(ranks):
        # num_local of partial_fc_v2.py.
        length = num_classes // ranks + int(rank < num_classes % ranks)
        torch.save(
            dict(
                epoch=3,
                global_step=77,
                state_dict_backbone=wrapped,
                state_dict_softmax_fc=dict(
                    weight=centers[first : first + length].clone()
                ),
                state_optimizer=dict(state={}, param_groups=[]),
            ),
            folder / f'checkpoint_gpu_{rank}.pt',
        )
        first += length


def _same(a, b):
    assert a.keys() == b.keys()
    for key in a:
        assert torch.equal(a[key], b[key]), key


@pytest.mark.parametrize(('theirs', 'ours', 'back'), [(3, None, 2), (1, 4, 3)])
def test_there_and_back(tmp_path, network, theirs, ours, back):
    centers = torch.randn(11, 8)
    _theirs(tmp_path / 'in', network, centers, theirs)
    out = tmp_path / 'converted' / 'net.pth'
    found = from_insightface([tmp_path / 'in'], out, ours)
    neck = dict(in_channels=512, spatial_size=1, out_channels=8)
    assert found == dict(
        backbone=dict(type='mmdense.IResNet', depth=18),
        neck=dict(type='mmdense.EmbeddingNeck', **neck),
        num_classes=11,
    )
    checkpoint = torch.load(out, weights_only=True)
    folder = out.with_suffix('.shards')
    manifest = read_manifest(
        folder, checkpoint['meta']['shards']['manifest_sha256']
    )
    assert manifest['world_size'] == (ours or theirs)
    rows = read_range(folder, manifest, 'head.centers', 'weight', 0, 11)
    assert torch.equal(rows, centers)

    files = to_insightface(out, tmp_path / 'back', back)
    assert len(files) == 1 + back
    _same(torch.load(files[0], weights_only=True), network)
    parts = [torch.load(path, weights_only=True) for path in files[1:]]
    weights = [part['state_dict_softmax_fc']['weight'] for part in parts]
    assert torch.equal(torch.cat(weights), centers)
    assert [len(w) for w in weights] == [
        11 // back + int(rank < 11 % back) for rank in range(back)
    ]
    _same(parts[-1]['state_dict_backbone'], network)
    assert (parts[0]['epoch'], parts[0]['global_step']) == (3, 77)


def test_the_network_alone(tmp_path, network):
    path = tmp_path / 'model.pt'
    torch.save(network, path, _use_new_zipfile_serialization=False)
    done = _run('insightface_to_mmdense.py', path, tmp_path / 'net.pth')
    assert done.returncode == 0, done.stderr
    assert 'depth=18' in done.stdout
    assert 'no class centers' in done.stdout
    assert not (tmp_path / 'net.shards').exists()
    done = _run(
        'mmdense_to_insightface.py', tmp_path / 'net.pth', tmp_path / 'back'
    )
    assert done.returncode == 0, done.stderr
    _same(torch.load(tmp_path / 'back/model.pt', weights_only=True), network)


@pytest.mark.parametrize(
    ('name', 'backbone', 'printed'),
    [
        ('mbf', {}, "backbone=dict(type='mmdense.MobileFaceNet'),"),
        (
            'vit_t',
            dict(img_size=27),
            "backbone=dict(type='mmdense.FaceViT', arch='t', img_size=27),",
        ),
    ],
    ids=['mbf', 'vit_t'],
)
def test_other_networks(
    tmp_path, monkeypatch, capsys, name, backbone, printed
):
    parts = published(name)
    parts['backbone'] |= backbone
    if backbone:
        parts['neck']['spatial_size'] = 3
    torch.manual_seed(0)
    theirs = keys_to_insightface(build_network(parts).state_dict())
    centers = torch.randn(11, 512)
    _theirs(tmp_path / 'in', theirs, centers, 2)
    out = tmp_path / 'net.pth'
    tool = str(_TOOLS / 'insightface_to_mmdense.py')
    monkeypatch.setattr(sys, 'argv', [tool, str(tmp_path / 'in'), str(out)])
    runpy.run_path(tool, run_name='__main__')
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == printed
    assert parts['neck']['type'] in lines[2]
    assert 'num_classes=11, in_channels=512' in lines[3]
    # What is printed is a config, and its network takes the file.
    printed_parts = eval(f'dict({"".join(lines[1:3])})')
    net = build_network(printed_parts)
    net.load_state_dict(torch.load(out, weights_only=True)['state_dict'])
    files = to_insightface(out, tmp_path / 'back', 1)
    _same(torch.load(files[0], weights_only=True), theirs)
    last = torch.load(files[1], weights_only=True)
    assert torch.equal(last['state_dict_softmax_fc']['weight'], centers)


def test_errors_say_what_is_wrong(tmp_path, network):
    out = tmp_path / 'net.pth'
    with pytest.raises(FileNotFoundError, match=r'expected model\.pt'):
        from_insightface([tmp_path], out)
    _theirs(tmp_path / 'in', network, torch.randn(11, 8), 3)
    last = tmp_path / 'in' / 'checkpoint_gpu_2.pt'
    last.rename(tmp_path / 'last')
    # The rest would be consistent with 8 classes of two ranks.
    from_insightface([tmp_path / 'in'], out)
    (tmp_path / 'last').rename(last)
    (tmp_path / 'in' / 'checkpoint_gpu_1.pt').rename(tmp_path / 'middle')
    with pytest.raises(FileNotFoundError, match=r'gpu_1\.pt is missing'):
        from_insightface([tmp_path / 'in'], out)
    other = torch.load(last, weights_only=True)
    other['state_dict_softmax_fc']['weight'] = torch.zeros(9, 8)
    torch.save(other, tmp_path / 'in' / 'checkpoint_gpu_1.pt')
    with pytest.raises(ValueError, match='of different runs'):
        from_insightface([tmp_path / 'in'], out)
    torch.save({'x.weight': torch.zeros(1)}, tmp_path / 'other.pt')
    with pytest.raises(ValueError, match='expected an iresnet'):
        from_insightface([tmp_path / 'other.pt'], out)
    torch.save({'x': Path('a')}, tmp_path / 'pickled.pt')
    with pytest.raises(ValueError, match='cannot be read safely'):
        from_insightface([tmp_path / 'pickled.pt'], out)
    state = {f'backbone.{key}': value for key, value in network.items()}
    torch.save(dict(state_dict=state | {'neck.a.b': torch.zeros(1)}), out)
    with pytest.raises(ValueError, match=r'got neck\.a\.b'):
        to_insightface(out, tmp_path / 'back', 1)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp('trained')
    return folder, train(folder, 2, uuid.uuid4().hex)


def test_published_files_hold_what_is_needed(tmp_path, trained):
    folder, runner = trained
    done = _run(
        'publish_model.py', folder / 'epoch_2.pth', tmp_path / 'net.pth'
    )
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.iterdir()
    assert str(path) == done.stdout.strip()
    checkpoint = torch.load(path, weights_only=True)
    assert set(checkpoint) == {'meta', 'state_dict'}
    assert 'shards' not in checkpoint['meta']
    _same(checkpoint['state_dict'], dict(runner.model.state_dict()))


def test_published_halves(tmp_path, trained):
    folder, runner = trained
    done = _run(
        'publish_model.py',
        *(folder / 'epoch_2.pth', tmp_path / 'net.pth', '--half'),
    )
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip())
    weights = torch.load(path, weights_only=True)['state_dict']
    for name, whole in runner.model.state_dict().items():
        if whole.is_floating_point():
            assert torch.equal(weights[name], whole.half()), name
        else:
            assert torch.equal(weights[name], whole), name

    checkpoint = torch.load(folder / 'epoch_2.pth', weights_only=True)
    name = next(iter(checkpoint['state_dict']))
    checkpoint['state_dict'][name].view(-1)[0] = 1e5
    torch.save(checkpoint, tmp_path / 'large.pth')
    done = _run(
        'publish_model.py',
        *(tmp_path / 'large.pth', tmp_path / 'net.pth', '--half'),
    )
    assert done.returncode != 0
    assert f'{name} has a value of 1e+05, which is too large' in done.stderr


def test_published_centers_can_be_fine_tuned(tmp_path, trained):
    folder, runner = trained
    done = _run(
        'publish_model.py',
        folder / 'epoch_2.pth',
        tmp_path / 'net.pth',
        '--with-centers',
    )
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip())
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [path.name, f'{path.stem}.shards']
    )
    manifest = read_manifest(path.with_suffix('.shards'))
    assert manifest['tables']['head.centers']['slots'] == []
    tuned = train(
        tmp_path / 'tuned',
        1,
        uuid.uuid4().hex,
        load_from=str(path),
        optimizer=dict(lr=0.0, momentum=0.0, weight_decay=0.0),
    )
    name = 'head.centers.weight'
    expected = final_state(runner)[name]
    assert len(expected) == CLASSES
    assert np.array_equal(final_state(tuned)[name], expected)
