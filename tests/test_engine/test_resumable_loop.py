"""A run that stops anywhere, even between micro-batches, ends alike."""

import random
import uuid

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from torch import nn

from mmdense.recognition.heads import PartialFCHead
from mmdense.registry import DATASETS, HOOKS, MODELS
from tests.toy_training import CLASSES, final_state, train


@MODELS.register_module(force=True)
class NoisyRecognizer(BaseModel):
    """Draws in every step, and keeps statistics of its rank's batches."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Linear(6, 8),
            nn.BatchNorm1d(8),
            nn.Dropout(0.3),
            nn.Linear(8, 4),
        )
        self.head = PartialFCHead(
            CLASSES,
            4,
            dict(type='mmdense.AdaFaceLoss', scale=16.0),
            0.3,
            init_std=0.3,
        )

    def forward(self, inputs, label, mode='tensor'):
        return self.head.loss_by_feat(self.backbone(inputs), label)


@DATASETS.register_module(force=True)
class NoisyVectors(torch.utils.data.Dataset):
    """Augmented with all three generators that transforms use."""

    def __len__(self):
        return 48

    def __getitem__(self, index):
        x = torch.randn(6) + random.random() + float(np.random.rand())
        return dict(inputs=x + index, label=torch.tensor(index % CLASSES))


@HOOKS.register_module(force=True)
class StopHook(Hook):
    """Ends the run as a crash would, after the checkpoint hook."""

    priority = 'LOWEST'

    def __init__(self, iteration):
        self.iteration = iteration

    def after_train_iter(self, runner, *args, **kwargs):
        if runner.iter + 1 == self.iteration:
            raise KeyboardInterrupt


def _train(work_dir, resume=False, stop=None, workers=0, counts=1, **kwargs):
    """Three epochs; twelve steps each with one process."""
    options = dict(
        model=dict(type='mmdense.NoisyRecognizer'),
        train_dataloader=dict(
            batch_size=4,
            num_workers=workers,
            persistent_workers=workers > 0,
            collate_fn=dict(type='default_collate'),
            dataset=dict(type='mmdense.NoisyVectors'),
            sampler=dict(type='DefaultSampler', shuffle=True),
        ),
        train_cfg=dict(type='mmdense.ResumableEpochLoop', max_epochs=3),
        checkpoint=dict(by_epoch=False, interval=5),
        custom_hooks=[dict(type='mmdense.StopHook', iteration=stop)],
        optim_wrapper=dict(
            constructor='mmdense.ShardedOptimWrapperConstructor',
            accumulative_counts=counts,
            optimizer=dict(
                type='mmdense.RowSparseSGD',
                lr=0.1,
                momentum=0.9,
                weight_decay=1e-3,
            ),
            clip_grad=dict(max_norm=5.0),
        ),
        resume=resume,
    )
    options.update(kwargs)
    try:
        runner = train(work_dir, 3, uuid.uuid4().hex, **options)
    except KeyboardInterrupt:
        return None
    state = final_state(runner)
    for name, buffer in runner.model.named_buffers():
        state[f'buffer {name}'] = buffer.numpy()
    history = runner.message_hub.get_scalar('train/loss').data[0]
    state['losses'] = np.asarray(history)
    state['schedule'] = np.asarray(runner.param_schedulers[0].get_last_value())
    return state


def _equal(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert np.array_equal(a[name], b[name]), name


# An epoch has 12 steps: within the first, on its last, within the second.
@pytest.mark.parametrize('stop', [5, 12, 17])
@pytest.mark.parametrize('counts', [1, 3])
def test_a_run_stopped_within_an_epoch_ends_bit_for_bit_alike(
    tmp_path, stop, counts
):
    interval = dict(by_epoch=False, interval=stop)
    straight = _train(tmp_path / 'a', counts=counts, checkpoint=interval)
    kwargs = dict(counts=counts, checkpoint=interval)
    assert _train(tmp_path / 'b', stop=stop + 2, **kwargs) is None
    _equal(straight, _train(tmp_path / 'b', resume=True, **kwargs))
    assert len(straight['losses']) == 36


@pytest.mark.parametrize('workers', [1, 2])
def test_workers_do_not_matter(tmp_path, workers):
    straight = _train(tmp_path / 'a')
    _train(tmp_path / 'b', stop=17, workers=2)
    _equal(straight, _train(tmp_path / 'b', resume=True, workers=workers))


def test_the_order_follows_the_seed_of_the_checkpoint(tmp_path):
    """Without one in the config a seed is drawn, anew after a restart."""
    unseeded = dict(randomness=dict(seed=None))
    _train(tmp_path / 'a', stop=16, **unseeded)
    checkpoint = torch.load(tmp_path / 'a/iter_15.pth', weights_only=True)
    seed = checkpoint['meta']['seed']
    resumed = _train(tmp_path / 'a', resume=True, **unseeded)
    straight = _train(tmp_path / 'b', randomness=dict(seed=seed))
    _equal(straight, resumed)


def _run_rank(work_dir, resume, stop, counts):
    return _train(
        work_dir,
        resume,
        stop,
        counts=counts,
        launcher='pytorch',
        model_wrapper_cfg=dict(type='mmdense.ShardedDistributedDataParallel'),
    )


@pytest.mark.parametrize('counts', [1, 2])
def test_ranks_keep_what_is_their_own(ranks, tmp_path, counts):
    """Statistics, accumulated gradients and rows of each."""
    straight = ranks(2)(_run_rank, str(tmp_path / 'a'), False, None, counts)
    folder = str(tmp_path / 'b')
    assert ranks(2)(_run_rank, folder, False, 12, counts) == [None, None]
    resumed = ranks(2)(_run_rank, folder, True, None, counts)
    for a, b in zip(straight, resumed, strict=True):
        _equal(a, b)
    name = 'buffer module.backbone.1.running_mean'
    assert not np.array_equal(straight[0][name], straight[1][name])


def test_another_number_of_ranks_goes_on_at_the_same_share(ranks, tmp_path):
    """Of 12 steps of one rank 5 are done: 2 of the 6 of two ranks."""
    assert _train(tmp_path, stop=6) is None
    states = ranks(2)(_run_rank, str(tmp_path), True, None, 1)
    # 5 steps of one rank, 4 + 6 + 6 of two.
    assert len(states[0]['losses']) == 5 + 4 + 6 + 6


def test_attributes_are_those_of_the_data_set():
    from mmdense.engine.seeded_dataset import SeededDataset

    dataset = SeededDataset(dict(type='mmdense.NoisyVectors'))
    dataset.set_place(3, 1)
    first, other = dataset[5]['inputs'], dataset[6]['inputs']
    assert torch.equal(first, dataset[5]['inputs'])
    assert not torch.equal(first + 1, other)
    dataset.set_place(3, 2)
    assert not torch.equal(first, dataset[5]['inputs'])
    dataset.pipeline = 'switched'
    assert dataset.dataset.pipeline == 'switched'
    with pytest.raises(AttributeError):
        _ = dataset.nothing
