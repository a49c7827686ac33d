"""New classes start at the mean of their images."""

import uuid

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset
from mmengine.hooks import Hook
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import nn

from mmdense.registry import DATASETS, HOOKS
from tests.toy_training import train

_OLD, _NEW, _DIM = 5, 9, 4
#: New class 2 was 4 and so on; of class 8 there is no image.
_MAP = [-1, 0, 4, 1, -1, 2, -1, 3, -1]


@MODELS.register_module(force=True)
class TinyBackbone(nn.Module):
    """Not linear, so that means of embeddings are not those of images."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3 * 4 * 4, _DIM)

    def forward(self, x):
        return (self.layer(x.flatten(1)).tanh(),)


@DATASETS.register_module(force=True)
class TinyImages(BaseDataset):
    """Random images; `with_labels` as mmpretrain's data sets have them."""

    def __init__(self, num_classes, num_images=13):
        self.num_classes, self.num_images = num_classes, num_images
        super().__init__(pipeline=[_pack], lazy_init=False)

    def load_data_list(self):
        # The last class has no image.
        return [
            dict(label=i % (self.num_classes - 1), index=i)
            for i in range(self.num_images)
        ]

    def get_gt_labels(self):
        return np.array(
            [self[i]['data_samples'].gt_label.item() for i in range(len(self))]
        )


def _pack(entry):
    generator = torch.Generator().manual_seed(entry['index'])
    image = torch.randint(256, (3, 4, 4), generator=generator)
    sample = DataSample().set_gt_label(entry['label'])
    return dict(inputs=image.byte(), data_samples=sample)


@HOOKS.register_module(force=True)
class KeepStartHook(Hook):
    """Keeps what training starts from, after the hook under test."""

    priority = 'LOWEST'
    found = None

    def before_train(self, runner):
        model = getattr(runner.model, 'module', runner.model)
        KeepStartHook.found = (
            model.head.centers.weight.detach().clone().numpy(),
            model.backbone.layer.weight.detach().clone().double().numpy(),
            model.backbone.layer.bias.detach().clone().double().numpy(),
        )


def _train(work_dir, num_classes, **kwargs):
    head = dict(
        type='mmdense.PartialFCHead',
        num_classes=num_classes,
        in_channels=_DIM,
        sample_rate=0.9,
        init_std=0.3,
        loss=dict(type='mmdense.CosFaceLoss', scale=8.0),
    )
    train(
        work_dir,
        1,
        uuid.uuid4().hex,
        default_scope='mmpretrain',
        model=dict(
            type='mmpretrain.ImageClassifier',
            backbone=dict(type='TinyBackbone'),
            head=head,
            data_preprocessor=dict(
                type='mmpretrain.ClsDataPreprocessor', mean=[0.0], std=[255.0]
            ),
        ),
        train_dataloader=dict(
            batch_size=3,
            num_workers=0,
            collate_fn=dict(type='default_collate'),
            dataset=dict(type='mmdense.TinyImages', num_classes=num_classes),
            sampler=dict(type='DefaultSampler', shuffle=True),
        ),
        **kwargs,
    )


def _start(folder, launcher='none'):
    kwargs = {}
    if launcher != 'none':
        kwargs['model_wrapper_cfg'] = dict(
            type='mmdense.ShardedDistributedDataParallel'
        )
    _train(
        f'{folder}/tuned-{launcher}',
        _NEW,
        load_from=f'{folder}/epoch_1.pth',
        checkpoint=dict(class_map=_MAP),
        custom_hooks=[
            dict(type='mmdense.NewCentersHook'),
            dict(type='mmdense.KeepStartHook'),
        ],
        launcher=launcher,
        **kwargs,
    )
    return KeepStartHook.found


def _expected(found, bare):
    """By float64, from the network that was loaded."""
    _, weight, bias = found
    expected = bare.astype(np.float64)
    loaded = [new for new, old in enumerate(_MAP) if old >= 0]
    length = np.linalg.norm(expected[loaded], axis=1).mean()
    data = TinyImages(_NEW)
    units = {label: [] for label in range(_NEW)}
    for item in data:
        x = item['inputs'].numpy().reshape(-1) / 255.0
        x = np.tanh(weight @ x + bias)
        label = item['data_samples'].gt_label.item()
        units[label].append(x / np.linalg.norm(x))
    for new, old in enumerate(_MAP):
        if old < 0 and units[new]:
            mean = np.mean(units[new], axis=0)
            expected[new] = mean / np.linalg.norm(mean) * length
    return expected


@pytest.fixture
def trained(tmp_path):
    _train(tmp_path, _OLD)
    return tmp_path


def test_new_centers_are_means_of_unit_embeddings(trained):
    _train(
        trained / 'bare',
        _NEW,
        load_from=str(trained / 'epoch_1.pth'),
        checkpoint=dict(class_map=_MAP),
        custom_hooks=[dict(type='mmdense.KeepStartHook')],
    )
    bare = KeepStartHook.found[0]
    found = _start(trained)
    expected = _expected(found, bare)
    np.testing.assert_allclose(found[0], expected, rtol=2e-5, atol=1e-6)
    changed = (found[0] != bare).any(axis=1)
    assert changed.tolist() == [
        old < 0 and new != _NEW - 1 for new, old in enumerate(_MAP)
    ]


@pytest.mark.parametrize('size', [2, 3])
def test_ranks_find_the_same(ranks, trained, size):
    alone = _start(trained)[0]
    parts = ranks(size)(_start, str(trained), 'pytorch')
    together = np.concatenate([part[0] for part in parts])
    np.testing.assert_allclose(together, alone, rtol=1e-6)


def test_a_resumed_run_keeps_its_centers(trained):
    _train(
        trained,
        _OLD,
        resume=True,
        custom_hooks=[
            dict(type='mmdense.NewCentersHook'),
            dict(type='mmdense.KeepStartHook'),
        ],
    )
    from safetensors.torch import load_file

    (file,) = (trained / 'epoch_1.shards').glob('*.safetensors')
    saved = load_file(file)['head.centers.weight'].numpy()
    assert np.array_equal(KeepStartHook.found[0], saved)
