"""The IJB tool, from embeddings and from a checkpoint."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.golden import FOLDER, read_arrays, read_json

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/eval_ijb.py'

CONFIG = """
default_scope = 'mmpretrain'
model = dict(
    type='mmpretrain.ImageClassifier',
    data_preprocessor=dict(
        type='mmpretrain.ClsDataPreprocessor',
        mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True),
    backbone=dict(
        type='mmpretrain.ResNet', depth=18, stem_channels=8, base_channels=8),
    neck=dict(
        type='mmdense.EmbeddingNeck',
        in_channels=64, spatial_size=1, out_channels=16),
    head=dict(
        type='mmdense.PartialFCHead', num_classes=5, in_channels=16,
        loss=dict(type='mmdense.CosFaceLoss')))
custom_hooks = [dict(type='mmdense.VerificationVisualizationHook')]
"""


@pytest.fixture
def tool(monkeypatch, tmp_path):
    """`tool(*options)` runs the tool and returns what it wrote."""
    monkeypatch.syspath_prepend(str(TOOL.parent))
    import eval_ijb

    def call(*options):
        out = tmp_path / 'out'
        argv = ['eval_ijb.py', *options, '--out-dir', out]
        monkeypatch.setattr('sys.argv', [str(word) for word in argv])
        eval_ijb.main()
        return json.loads((out / 'metrics.json').read_text()), out

    return call


@pytest.fixture
def toy(tmp_path):
    """The golden protocol: folder, name and embeddings on disk."""
    meta = FOLDER / 'partial_fc/ijb/meta'
    if not meta.is_dir():
        pytest.skip('no golden IJB protocol')
    name = next(meta.glob('*_name_5pts_score.txt')).name.split('_')[0]
    features = read_arrays('partial_fc/ijb/ijb.npz')['image_features']
    np.save(tmp_path / 'e.npy', features.reshape(len(features), 2, -1))
    return meta.parent, name, tmp_path / 'e.npy'


@pytest.mark.golden
def test_golden_table_from_embeddings(tool, toy, capsys):
    root, name, embeddings = toy
    expected = read_json('partial_fc/ijb/expected.json')['variants']
    metrics, out = tool(
        root, '--name', name, '--embeddings', embeddings,
        '--variants', *expected,
    )  # fmt: skip
    for variant, facts in expected.items():
        for far, percent in facts['tar_at_far_percent'].items():
            key = f'{name}/{variant}/tar_nearest@far={float(far):g}'
            assert f'{100 * metrics[key]:.2f}' == f'{percent:.2f}'
    for picture in ('roc', 'det', 'scores'):
        assert cv2.imread(str(out / f'{picture}.png')).std() > 1
    printed = capsys.readouterr().out
    assert str(out / 'metrics.json') in printed
    assert all(variant in printed for variant in expected)


@pytest.mark.golden
def test_a_checkpoint_gives_the_figures_of_its_embeddings(tool, toy, tmp_path):
    pytest.importorskip('mmpretrain')
    golden, name, _ = toy
    root = tmp_path / 'root'
    (root / 'loose_crop').mkdir(parents=True)
    (root / 'meta').symlink_to(golden / 'meta')
    rng = np.random.default_rng(0)
    points = root / f'meta/{name}_name_5pts_score.txt'
    for line in points.read_text().splitlines():
        image = cv2.resize(rng.integers(0, 255, (9, 9, 3), np.uint8), (99, 99))
        cv2.imwrite(str(root / 'loose_crop' / line.split()[0]), image)
    config, checkpoint = tmp_path / 'toy.py', tmp_path / 'toy.pth'
    config.write_text(CONFIG)
    model = _model(config)
    torch.save(dict(state_dict=model.state_dict()), checkpoint)

    saved = tmp_path / 'saved.npy'
    metrics, out = tool(
        root, '--name', name, '--config', config, '--checkpoint', checkpoint,
        '--save-embeddings', saved, '--image-size', 32, '--num-workers', 0,
    )  # fmt: skip
    assert (out / 'roc.png').is_file()
    again, _ = tool(root, '--name', name, '--embeddings', saved)
    assert again == metrics

    from mmdense.recognition.datasets import IJBImages

    faces = IJBImages(
        name, str(root), image_size=32, pipeline=[
            dict(type='mmpretrain.PackInputs')
        ],
    )  # fmt: skip
    model.eval()
    embeddings = np.load(saved)
    for i in (0, 5):
        image = faces[i]['inputs']
        both = torch.stack([image, image.flip(-1)]).flip(1).float()
        with torch.no_grad():
            feats = model.extract_feat((both - 127.5) / 127.5)
        np.testing.assert_allclose(
            embeddings[i], feats[-1].numpy(), rtol=1e-3, atol=1e-4
        )


def _model(config):
    from mmengine.config import Config

    from mmdense.registry import MODELS

    cfg = Config.fromfile(config)
    torch.manual_seed(0)
    return MODELS.build(cfg.model)


def test_bad_options_are_refused(tool, tmp_path):
    with pytest.raises(ValueError, match='give either --config'):
        tool('IJBC')
    with pytest.raises(ValueError, match='give either --config'):
        tool('IJBC', '--config', 'a.py')
    with pytest.raises(FileNotFoundError, match=r'e\.npy does not exist'):
        tool('IJBC', '--embeddings', 'e.npy')
    np.save(tmp_path / 'e.npy', np.zeros(3))
    file = ('--embeddings', tmp_path / 'e.npy')
    with pytest.raises(ValueError, match=r'shape \(3,\), expected \(N, d\)'):
        tool('IJBC', *file)
    with pytest.raises(ValueError, match="got variant 'F1'"):
        tool('IJBC', *file, '--variants', 'F1')
    with pytest.raises(ValueError, match='needs a model'):
        tool('IJBC', *file, '--save-embeddings', 'a.npy')
