"""The table of costs against counts of our own."""

import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch import nn

from tests.face_networks import TINY, network, published, tiny

_TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/backbone_costs.py'


@pytest.fixture(scope='module', autouse=True)
def folder_of_the_tool():
    """It imports what lies beside it, as its workers import it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(_TOOL.parent))
        yield


@pytest.fixture(scope='module')
def tool(folder_of_the_tool):
    return runpy.run_path(str(_TOOL))


def _products(module, args, out):
    """Multiply-adds of one layer."""
    if isinstance(module, nn.Conv2d):
        return out.numel() * module.weight[0].numel()
    if isinstance(module, nn.Linear):
        return out.numel() * module.in_features
    return 0


@pytest.mark.parametrize('name', TINY)
def test_multiply_adds(tool, name):
    parts = tiny(name)
    net = nn.Sequential(parts['backbone'], parts['neck']).eval()
    counts = []
    hooks = [
        module.register_forward_hook(
            lambda *args: counts.append(_products(*args))
        )
        for module in net.modules()
    ]
    net(torch.zeros(1, 3, 32, 32))
    for hook in hooks:
        hook.remove()
    if name == 'FaceViT':
        # Two products of 9 x 9 tokens x 32 channels in each of 3 blocks.
        counts.append(3 * 2 * 9 * 9 * 32)
    assert tool['multiply_adds'](net, 32) == pytest.approx(
        sum(counts) / 1e9, rel=1e-12
    )


def test_the_table(tmp_path, monkeypatch, capsys):
    path = tmp_path / 'mbf.py'
    Config(dict(model=published('mbf'))).dump(path)
    monkeypatch.setattr(
        sys,
        'argv',
        ['tool', str(path), '--cfg-options', 'model.neck.out_channels=256'],
    )
    runpy.run_path(str(_TOOL), run_name='__main__')
    row = capsys.readouterr().out.splitlines()[-1]
    count = sum(p.numel() for p in network(published('mbf')).parameters())
    # 256 rows fewer in the last FC layer, and their BN.
    millions = (count - 256 * 514) / 1e6
    assert row == f'| {path} | {millions:.1f} | 0.44 |'


@pytest.mark.slow
def test_checkpointing_saves_memory(tmp_path, monkeypatch, capsys):
    path = tmp_path / 'vit.py'
    Config(dict(model=published('vit_t'))).dump(path)
    options = '--train-step --turns 1 --batch-size 8 --device cpu'.split()
    monkeypatch.setattr(sys, 'argv', ['tool', str(path), *options])
    # Workers import the function by its module's name.
    import backbone_costs

    backbone_costs.main()
    row = capsys.readouterr().out.splitlines()[-1]
    assert 0 < float(row.split('|')[4]) < 0.7
