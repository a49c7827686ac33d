"""A tiny classification run, and a way to start the real tools."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
TOOLS = REPOSITORY / 'tools'

# Records what each rank saw and what it ended with.
PARTS = """
import json
from pathlib import Path

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class RecordRank(Hook):
    def before_train(self, runner):
        self.seen = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, **kwargs):
        names = [Path(s.img_path).stem for s in data_batch['data_samples']]
        self.seen.append((runner.epoch, names))

    def after_train(self, runner):
        model = getattr(runner.model, 'module', runner.model)
        stem = Path(runner.work_dir) / f'rank{runner.rank}'
        stem.with_suffix('.json').write_text(json.dumps(self.seen))
        torch.save(model.state_dict(), stem.with_suffix('.pt'))
"""

CONFIG = """

custom_imports = dict(imports=['toy_parts'])
default_scope = 'mmpretrain'
randomness = dict(seed=0, deterministic=True)

model = dict(
    type='mmpretrain.ImageClassifier',
    data_preprocessor=dict(
        type='mmpretrain.ClsDataPreprocessor',
        num_classes=3, mean=[128.0], std=[64.0]),
    backbone=dict(type='mmpretrain.LeNet5', num_classes=3),
    neck=None,
    head=dict(
        type='mmpretrain.ClsHead',
        loss=dict(type='mmpretrain.CrossEntropyLoss')))

pipeline = [
    dict(type='LoadImageFromFile', color_type='grayscale'),
    dict(type='mmpretrain.PackInputs'),
]
dataset = dict(
    type='mmpretrain.CustomDataset', data_root=r'DATA', pipeline=pipeline)
train_dataloader = dict(
    batch_size=4, num_workers=0, dataset=dataset,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'))
val_dataloader = test_dataloader = train_dataloader
val_evaluator = test_evaluator = dict(type='mmpretrain.Accuracy', topk=1)
train_cfg = dict(by_epoch=True, max_epochs=2)
val_cfg = test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9))
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=1),
    checkpoint=dict(type='CheckpointHook', interval=1))
custom_hooks = [dict(type='RecordRank')]
env_cfg = dict(dist_cfg=dict(backend='nccl', timeout=60))
"""


def make_toy_run(folder: Path) -> Path:
    """Write images, parts and config; return the path of the config."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(['dark', 'grey', 'light']):
        (folder / 'data' / name).mkdir(parents=True)
        for index in range(4):
            image = rng.integers(0, 60, (32, 32)) + 90 * label
            path = folder / 'data' / name / f'{name}{index}.png'
            cv2.imwrite(str(path), image.astype(np.uint8))
    (folder / 'toy_parts.py').write_text(PARTS)
    config = folder / 'toy config.py'
    config.write_text(CONFIG.replace('DATA', str(folder / 'data')))
    return config


def launch(
    command: list[object], folder: Path, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder` as a user would, with its parts to import."""
    env = {**os.environ, **environ}
    paths = [str(folder), str(REPOSITORY)]
    env['PYTHONPATH'] = os.pathsep.join(paths)
    # `python` of the scripts is the one that runs the tests.
    bin_folder = str(Path(sys.executable).parent)
    env['PATH'] = os.pathsep.join([bin_folder, env['PATH']])
    env['CUDA_VISIBLE_DEVICES'] = ''
    env['OMP_NUM_THREADS'] = '1'
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=180,
    )


@pytest.fixture(scope='session')
def toy_run():
    """`toy_run(folder)` writes a run to a folder; returns its config."""
    return make_toy_run


@pytest.fixture(scope='session')
def start():
    """`start(command, folder)` runs a command as a user would."""
    return launch


@pytest.fixture(scope='session')
def tools():
    """The folder of the tools."""
    return TOOLS
