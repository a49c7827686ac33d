"""Every config of dense pose: checked, shrunk to two training steps."""

import math
import shutil
import uuid
from pathlib import Path

import pytest
from mmdet.datasets.transforms import Resize
from mmengine.config import Config
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import DefaultScope, init_default_scope
from mmengine.runner import Runner

from mmdense.apis.config_check import check_file
from tests.densepose_data import write_data_set, write_symmetry
from tests.small_uv_rcnn import shrink_model

ROOT = Path(__file__).parents[2]
CONFIGS = sorted(
    path
    for folder in ('densepose_rcnn', 'uv_rcnn')
    for path in (ROOT / 'configs' / folder).glob('*.py')
)


def ids(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize('path', CONFIGS, ids=ids)
def test_types_and_arguments_are_known(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert check_file(str(path), check_data=False) == []


@pytest.fixture(scope='session')
def people(tmp_path_factory) -> Path:
    """Four images, and a symmetry for their points."""
    folder = tmp_path_factory.mktemp('people')
    write_data_set(folder)
    write_symmetry(folder)
    return folder


def use_people(cfg: Config, people: Path) -> None:
    """The data set at the places the config reads from."""
    train = cfg.train_dataloader.dataset
    for dataset in train.get('datasets', [train]):
        root = Path(dataset.data_root)
        file = root / dataset.ann_file
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(people / 'annotations.json', file)
        images = root / dataset.data_prefix.img
        shutil.copytree(people / 'images', images, dirs_exist_ok=True)
        for transform in dataset.pipeline:
            if transform.type == 'RandomChoiceResize':
                transform.scales = [(128, 96)]
    if cfg.symmetry is not None:
        Path(cfg.symmetry).parent.mkdir(parents=True)
        shutil.copy(people / 'UV_symmetry_transforms.mat', cfg.symmetry)


def shrink(cfg: Config) -> None:
    """Two steps of two images, without validation."""
    shrink_model(cfg.model)
    cfg.work_dir = 'work_dirs'
    cfg.train_dataloader.update(
        batch_size=2, num_workers=0, persistent_workers=False
    )
    cfg.train_cfg = dict(
        type='IterBasedTrainLoop', max_iters=2, val_interval=9
    )
    for key in ('cfg', 'dataloader', 'evaluator'):
        cfg[f'val_{key}'] = cfg[f'test_{key}'] = None
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.checkpoint = None


@pytest.mark.parametrize('path', CONFIGS, ids=ids)
def test_trains_two_steps(path, people, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = Config.fromfile(path)
    use_people(cfg, people)
    shrink(cfg)
    cfg.experiment_name = path.stem
    runner = Runner.from_cfg(cfg)
    before = {
        name: p.detach().clone() for name, p in runner.model.named_parameters()
    }
    runner.train()
    assert runner.iter == 2
    scalars = runner.message_hub.log_scalars
    losses = [name for name in scalars if name.startswith('train/loss_')]
    assert {'train/loss_coarse', 'train/loss_part'} <= set(losses)
    assert {'train/loss_u', 'train/loss_uv'} & set(losses)
    for name in losses:
        values = scalars[name].data[0]
        assert len(values) == 2
        assert all(map(math.isfinite, values)), name
    assert (scalars['train/uv_num_points'].data[0] > 0).any()
    for name, parameter in runner.model.named_parameters():
        assert parameter.isfinite().all(), name
        if '.uv_head.predictors.' in name and name.endswith('weight'):
            assert not parameter.equal(before[name]), name


def child_of(path: Path, folder: Path) -> Config:
    """As a config in a project of a user inherits ours."""
    child = folder / 'child.py'
    child.write_text(f"_base_ = 'mmdense::{path.parent.name}/{path.name}'\n")
    return Config.fromfile(child)


@pytest.mark.parametrize('path', CONFIGS, ids=ids)
def test_an_inherited_config_is_the_same(path, tmp_path):
    """Names without a scope, in it and in mmdet, are those of mmdet."""
    init_default_scope('mmdet')
    printed = []
    for cfg in (Config.fromfile(path), child_of(path, tmp_path)):
        shrink_model(cfg.model)
        dataset = cfg.train_dataloader.dataset
        datasets = dataset.get('datasets', [dataset])
        pipelines = [
            MMENGINE_TRANSFORMS.build(transform)
            for one in datasets
            for transform in one.pipeline
            if transform.type != 'mmdense.LoadDensePoseAnnotations'
        ]
        for transform in pipelines:
            resize = getattr(transform, 'resize', None)
            assert resize is None or type(resize) is Resize
        printed.append(str(MMENGINE_MODELS.build(cfg.model)))
    assert printed[0] == printed[1]


def test_an_inherited_config_trains(people, tmp_path, monkeypatch, capfd):
    path = (
        ROOT
        / 'configs/uv_rcnn'
        / ('uv-rcnn_r50_fpn_8xb2-s1x_densepose-coco.py')
    )
    monkeypatch.chdir(tmp_path)
    cfg = child_of(path, tmp_path)
    use_people(cfg, people)
    shrink(cfg)
    cfg.experiment_name = uuid.uuid4().hex
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter == 2
    assert 'scope "mmdense"' not in capfd.readouterr().err


def train_on_a_rank(path: Path, people: Path, folder: Path) -> dict:
    """An epoch of two steps on as many ranks as there are; the end of it."""
    cfg = Config.fromfile(path)
    cfg.train_dataloader.dataset.update(
        data_root=str(people),
        ann_file='annotations.json',
        data_prefix=dict(img='images/'),
    )
    shrink(cfg)
    cfg.train_cfg = dict(by_epoch=True, max_epochs=1)
    cfg.train_dataloader.batch_size = 1
    cfg.work_dir, cfg.launcher = str(folder), 'pytorch'
    cfg.experiment_name = uuid.uuid4().hex
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter == 2
    DefaultScope._instance_dict.clear()  # the process runs other tests too
    return runner.model.module.state_dict()


def test_ranks_end_with_one_model(people, tmp_path, ranks):
    """Statistics of norms too: rank 0 saves for all, each validates."""
    name = 'uv-rcnn_light_fpn_2xb4-10e_synthetic-bodies-192px.py'
    path = ROOT / 'configs/uv_rcnn' / name
    first, second = ranks(2)(train_on_a_rank, path, people, tmp_path)
    for key, value in first.items():
        assert value.equal(second[key]), key
    means = [v for key, v in first.items() if key.endswith('running_mean')]
    assert means
    assert all(mean.any() for mean in means)  # not those they start with


def test_names_of_weights_fit():
    """The converter names configs that are there."""
    from mmdense.densepose.detectron2_keys import config_name

    points = {'isotropic': None, 'anisotropic': None}
    names = []
    for depth in (50, 101):
        for trunk in ({}, {'trunk': {}}):
            for kind in (None, *points):
                for segm in ({}, {'segm_confidence': True}):
                    uv_head = dict(trunk)
                    if kind:
                        uv_head['loss_points'] = dict(confidence=kind)
                        uv_head.update(segm)
                    elif segm:
                        continue
                    options = dict(roi_head=dict(uv_head=uv_head))
                    if depth != 50:
                        options['backbone'] = dict(depth=depth)
                    names.append(config_name(options))
        legacy = dict(
            backbone=dict(depth=depth), roi_head=dict(uv_decoder=None)
        )
        names.append(config_name(legacy))
    assert sorted(names) == [
        path.stem for path in CONFIGS if path.parent.stem == 'densepose_rcnn'
    ]
