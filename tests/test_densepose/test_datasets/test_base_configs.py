"""The base configs on a data set that is laid out as they say."""

import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmdense.apis.config_check import check_file
from mmdense.densepose.structures import DensePoseInstances
from tests.densepose_data import write_data_set, write_symmetry

ROOT = Path(__file__).parents[3]
BASES = {
    path.stem: path
    for path in sorted((ROOT / 'configs/_base_/datasets').glob('*.py'))
    if 'mmdense.DensePoseCocoDataset' in path.read_text()
}


@pytest.fixture
def cfg(request, tmp_path, monkeypatch):
    """A base, with the tiny data set at each place it reads from."""
    monkeypatch.chdir(tmp_path)
    init_default_scope('mmdet')
    cfg = Config.fromfile(BASES[request.param])
    source = tmp_path / 'source'
    write_data_set(source)
    train = cfg.train_dataloader.dataset
    for dataset in (
        *train.get('datasets', [train]),
        cfg.val_dataloader.dataset,
    ):
        root = tmp_path / dataset.data_root
        file = root / dataset.ann_file
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / 'annotations.json', file)
        images = root / dataset.data_prefix.img
        shutil.copytree(source / 'images', images, dirs_exist_ok=True)
    if cfg.symmetry is not None:
        Path(cfg.symmetry).parent.mkdir(parents=True)
        shutil.move(write_symmetry(tmp_path), cfg.symmetry)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.update(num_workers=0, persistent_workers=False)
    return cfg


def test_there_are_bases():
    assert BASES.keys() >= {'densepose_coco', 'synthetic_bodies'}


@pytest.mark.parametrize('name', BASES)
def test_types_and_arguments_are_known(name, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(
        f"_base_ = {str(BASES[name])!r}\ndefault_scope = 'mmdet'"
    )
    assert check_file(str(config), check_data=False) == []


@pytest.mark.parametrize('cfg', BASES, indirect=True)
def test_pipelines(cfg):
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    images = 0
    for batch in loader:
        for image, sample in zip(*batch.values(), strict=True):
            instances = sample.gt_instances
            height, width = image.shape[1:]
            assert sample.img_shape == (height, width)
            assert isinstance(instances.densepose, DensePoseInstances)
            assert len(instances.densepose) == len(instances) > 0
            limit = torch.tensor([width, height])
            xy = instances.densepose.xy
            assert len(xy)
            assert (xy >= 0).all()
            assert (xy < limit).all()
            images += 1
    datasets = len(cfg.train_dataloader.dataset.get('datasets', [0]))
    assert images == 3 * datasets  # the fourth has nobody in it
    batches = list(Runner.build_dataloader(cfg.val_dataloader, seed=0))
    assert len(batches) == 4
    assert batches[0]['data_samples'][0].img_id == 1


@pytest.mark.parametrize('cfg', ['densepose_coco'], indirect=True)
def test_without_the_symmetry(cfg):
    Path(cfg.symmetry).unlink()
    with pytest.raises(FileNotFoundError, match='UV_symmetry_transforms'):
        Runner.build_dataloader(cfg.train_dataloader, seed=0)
