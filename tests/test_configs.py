"""Every shipped config: parsed, checked, shrunk to two training steps."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from mmengine.config import Config
from mmengine.runner import Runner

import mmdense  # noqa: F401  (before configs: makes `mmdense::` known)
from mmdense.apis.config_check import check_file
from mmdense.recognition.datasets.recordio import RecordWriter, pack_image

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(
    path
    for pattern in ('configs/*/*.py', 'projects/*/configs/*.py')
    for path in ROOT.glob(pattern)
    if '_base_' not in path.parts
)
# Those of dense pose are trained in test_densepose/test_configs.py, those of
# studies by the tests of the studies.
TRAINED = [
    path
    for path in CONFIGS
    if path.parent.name not in ('densepose_rcnn', 'uv_rcnn')
    and not path.parents[1].name.endswith('_study')
]


def ids(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize('path', CONFIGS, ids=ids)
def test_types_and_arguments_are_known(path, monkeypatch):
    monkeypatch.chdir(ROOT)  # where `projects` can be imported from
    # Faces cannot be shipped.
    ships = 'glyphs' in path.stem
    assert check_file(str(path), check_data=ships) == []


@pytest.fixture(scope='session')
def faces(tmp_path_factory) -> Path:
    """Eight images of 32 x 32, of four identities, in a RecordIO file."""
    folder = tmp_path_factory.mktemp('faces')
    rng = np.random.default_rng(0)
    with RecordWriter(folder / 'train.rec', folder / 'train.idx') as writer:
        for key in range(8):
            image = rng.integers(256, size=(32, 32, 3), dtype=np.uint8)
            content = cv2.imencode('.jpg', image)[1].tobytes()
            writer.write(key, pack_image(key // 2, content, key))
    return folder


def shrink_faces(cfg: Config, faces: Path) -> None:
    """A small network of the same kind, few classes, images that are there."""
    cfg.train_dataloader.dataset.data_root = str(faces)
    cfg.model.head.num_classes = 40
    backbone, neck = cfg.model.backbone, cfg.model.neck
    neck.spatial_size = 2
    if backbone.type == 'mmdense.IResNet':
        backbone.depth = 18
    elif backbone.type == 'mmdense.FaceViT':
        backbone.arch = dict(embed_dims=32, num_layers=2, num_heads=4)
        backbone.img_size = 32
        neck.update(in_channels=32, spatial_size=3)


def shrink(cfg: Config, work_dir: Path) -> None:
    """Two steps of four images, without validation."""
    cfg.work_dir = str(work_dir)
    cfg.train_dataloader.update(
        batch_size=4, num_workers=0, persistent_workers=False
    )
    cfg.train_dataloader.dataset.indices = 8
    cfg.train_cfg.max_epochs = 1
    for key in ('cfg', 'dataloader', 'evaluator'):
        cfg[f'val_{key}'] = cfg[f'test_{key}'] = None
    cfg.default_hooks.logger.interval = 1


@pytest.mark.parametrize('path', TRAINED, ids=ids)
def test_trains_two_steps(path, tmp_path, monkeypatch, faces):
    monkeypatch.chdir(ROOT)
    cfg = Config.fromfile(path)
    if cfg.train_dataloader.dataset.type == 'mmdense.RecordIODataset':
        shrink_faces(cfg, faces)
    shrink(cfg, tmp_path)
    cfg.experiment_name = path.stem
    runner = Runner.from_cfg(cfg)
    before = {
        name: p.detach().clone() for name, p in runner.model.named_parameters()
    }
    runner.train()
    assert runner.iter == 2
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(losses) == 2
    changed = 0
    for name, parameter in runner.model.named_parameters():
        assert parameter.isfinite().all(), name
        changed += not parameter.equal(before[name])
        if parameter.requires_grad:
            # The first step has warm-up's 1 % of the learning rate: enough.
            assert not parameter.equal(before[name]), name
    assert changed


def test_metafiles_name_every_config():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    named = []
    for metafile in index['Import']:
        for model in yaml.safe_load((ROOT / metafile).read_text())['Models']:
            assert Path(model['Config']).stem == model['Name']
            named.append(ROOT / model['Config'])
    assert sorted(named) == [p for p in CONFIGS if 'projects' not in p.parts]


def test_readmes_name_every_config():
    for path in CONFIGS:
        folder = path.parent
        readme = folder / 'README.md'
        if not readme.exists():
            readme = folder.parent / 'README.md'
        assert path.name in readme.read_text(), path
