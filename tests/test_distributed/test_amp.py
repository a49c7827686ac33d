"""Accumulation and fp16's loss scaler with the rows of ranks."""

import itertools
import math
import uuid
from unittest import mock

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from torch import nn
from torch.distributed.fsdp.sharded_grad_scaler import ShardedGradScaler

from mmdense.distributed.collectives import rank, world_size
from mmdense.distributed.model_wrapper import ShardedDistributedDataParallel
from mmdense.recognition.heads import PartialFCHead
from tests.references import dense_step
from tests.toy_training import final_state, train

_CLASSES, _SCALE = 11, 16.0


class _Model(BaseModel):
    def __init__(self, sample_rate=0.4):
        super().__init__()
        torch.manual_seed(4)
        self.backbone = nn.Linear(6, 4, bias=False)
        self.head = PartialFCHead(
            _CLASSES,
            4,
            dict(type='mmdense.CosFaceLoss', scale=_SCALE, margin=0.3),
            sample_rate,
            init_std=0.3,
        )

    def forward(self, inputs, labels, mode='tensor'):
        return self.head.loss_by_feat(self.backbone(inputs), labels)


def _config(**kwargs):
    optimizer = dict(
        type='mmdense.RowSparseSGD', lr=0.5, momentum=0.9, weight_decay=0.1
    )
    return dict(
        constructor='mmdense.ShardedOptimWrapperConstructor',
        optimizer=optimizer,
        **kwargs,
    )


def _wrap(model):
    if not dist.is_initialized():
        return model
    return ShardedDistributedDataParallel(model)


def _accumulate(inputs, labels, candidates):
    """One optimizer step over (micro-batches, ranks, ...) samples."""
    model = _Model().double()
    wrapped = _wrap(model)
    wrapper = build_optim_wrapper(
        wrapped, _config(accumulative_counts=len(inputs))
    )
    wrapper.initialize_count_status(wrapped, 0, len(inputs))
    table = model.head.centers
    for x, y, drawn in zip(inputs, labels, candidates, strict=True):
        mine = drawn[(drawn >= table.start) & (drawn < table.stop)]
        mine = torch.tensor(mine - table.start)
        model.head._candidates = lambda *_, mine=mine: mine
        batch = dict(
            inputs=torch.tensor(x[rank()]), labels=torch.tensor(y[rank()])
        )
        wrapped.train_step(batch, wrapper)
    return [p.detach().numpy() for p in model.parameters()]


@pytest.mark.parametrize('size', [1, 2, 3])
def test_accumulation_is_one_step_on_the_mean(ranks, size):
    """Each micro-batch takes other classes; the rows of all are updated."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(3, size, 2, 6))
    labels = rng.integers(_CLASSES - 2, size=(3, size, 2))
    # So few that all of them fit beside the classes of the batch.
    room = [
        np.setdiff1d(np.arange(_CLASSES), batch.ravel()) for batch in labels
    ]
    candidates = [rng.choice(free, 1) for free in room]
    start = _Model().double()
    weight = start.backbone.weight.detach().numpy()
    centers = start.head.centers.weight.detach().numpy()
    by_weight, by_centers = np.zeros_like(weight), np.zeros_like(centers)
    touched = set()
    for x, y, drawn in zip(inputs, labels, candidates, strict=True):
        x, y = x.reshape(-1, 6), y.ravel()
        kept = np.union1d(y, _taken(y, drawn, size))
        _, by_x, by_rows = dense_step(
            x @ weight.T, centers, y, _SCALE, lambda c: c - 0.3, kept
        )
        by_weight += by_x.T @ x / 3
        by_centers += by_rows / 3
        touched |= set(kept.tolist())
    assert len(touched) < _CLASSES
    rows = sorted(touched)
    expected = centers.copy()
    expected[rows] -= 0.5 * (by_centers[rows] + 0.1 * centers[rows])
    args = inputs, labels, candidates
    parts = [_accumulate(*args)]
    if size > 1:
        parts = ranks(size)(_accumulate, *args)
    for part in parts:
        np.testing.assert_allclose(
            part[0], weight - 0.5 * (by_weight + 0.1 * weight), rtol=1e-10
        )
    got = np.concatenate([part[1] for part in parts])
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-13)


def _taken(labels, drawn, size):
    """The candidates for which their rank has room, at rate 0.4."""
    taken = []
    for part in np.array_split(np.arange(_CLASSES), size):
        room = int(0.4 * len(part)) - len(np.intersect1d(part, labels))
        taken += np.intersect1d(part, drawn)[: max(room, 0)].tolist()
    return np.array(taken, dtype=np.int64)


def _scaled_steps(broken_step, broken_rank, clip, enabled=True):
    """Steps with the scaler; one has an overflow in one rank's rows."""
    model = _Model()
    wrapped = _wrap(model)
    config = _config(
        type='AmpOptimWrapper',
        dtype='bfloat16',
        loss_scale=dict(
            device='cpu',
            init_scale=1024.0,
            growth_interval=3,
            enabled=enabled,
        ),
    )
    if clip:
        config['clip_grad'] = dict(max_norm=1e9)
    # mmengine's wrapper refuses to exist without an accelerator.
    name = 'mmengine.optim.optimizer.amp_optimizer_wrapper.is_cuda_available'
    with mock.patch(name, return_value=True):
        wrapper = build_optim_wrapper(wrapped, config)
    wrapper.initialize_count_status(wrapped, 0, 8)
    rng = np.random.default_rng(rank())
    history, scales = [], []
    table = model.head.centers
    for step in range(6):
        inputs = torch.tensor(rng.normal(size=(3, 6))).float()
        labels = torch.tensor(rng.integers(_CLASSES, size=3))
        wrapper.zero_grad()
        with wrapper.optim_context(wrapped):
            loss = wrapped(inputs, labels)['loss']
        wrapper.loss_scaler.scale(loss).backward()
        assert table.weight.grad.is_sparse
        if (step, rank()) == (broken_step, broken_rank):
            table.weight.grad._values()[0, 0] = math.inf
        wrapper.step()
        history.append(
            [p.detach().clone().numpy() for p in wrapped.parameters()]
        )
        scales.append(wrapper.loss_scaler.get_scale())
    sharded = isinstance(wrapper.loss_scaler, ShardedGradScaler)
    return sharded, history, scales


@pytest.mark.parametrize('clip', [False, True], ids=['plain', 'clip'])
@pytest.mark.parametrize('broken_rank', [0, 1])
def test_an_overflow_in_one_shard_skips_the_step_everywhere(
    ranks, broken_rank, clip
):
    parts = ranks(2)(_scaled_steps, 2, broken_rank, clip)
    for sharded, history, scales in parts:
        assert sharded
        # Halved once, and doubled after three good steps.
        assert scales == [1024, 1024, 512, 512, 512, 1024]
        for step, (a, b) in enumerate(itertools.pairwise(history), 1):
            for before, after in zip(a, b, strict=True):
                assert np.array_equal(before, after) == (step == 2)
                assert np.isfinite(after).all()
    for one, two in zip(parts[0][1], parts[1][1], strict=True):
        assert np.array_equal(one[0], two[0]), 'replicas must be identical'


def test_the_scaler_divides_the_rows():
    """Without overflow, scaled steps equal plain ones."""
    sharded, scaled, _ = _scaled_steps(None, None, False)
    assert not sharded, 'one process has no group for the sharded scaler'
    _, plain, scales = _scaled_steps(None, None, False, enabled=False)
    assert set(scales) == {1}
    for a, b in zip(scaled[-1], plain[-1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def _whole_recipe(work_dir):
    """Clipping, a schedule, own rates for the centers; by the Runner."""
    clip = dict(max_norm=0.5)
    runner = train(
        work_dir,
        2,
        uuid.uuid4().hex,
        launcher='pytorch',
        model_wrapper_cfg=dict(type='mmdense.ShardedDistributedDataParallel'),
        optim_wrapper=_config(
            clip_grad=clip,
            accumulative_counts=2,
            paramwise_cfg=dict(
                custom_keys={'head.centers': dict(lr_mult=5.0)}
            ),
        ),
    )
    lr = {}
    for group in runner.optim_wrapper.optimizer.param_groups:
        for param in group['params']:
            lr[id(param)] = group['lr']
    head = runner.model.module.head
    backbone = runner.model.module.backbone
    rates = lr[id(head.centers.weight)], lr[id(backbone.weight)]
    return rates, final_state(runner), head.step, world_size()


def test_replicas_stay_identical_through_a_whole_recipe(ranks, tmp_path):
    parts = ranks(2)(_whole_recipe, str(tmp_path))
    for rates, state, step, size in parts:
        assert size == 2
        assert step == 6, 'the sampling follows the iterations'
        assert rates[0] == pytest.approx(5 * rates[1])
        assert rates[1] == pytest.approx(0.5 * (1 - 6 / 24), rel=0.1)
        for name in ('backbone.weight', 'backbone.bias'):
            assert np.array_equal(state[name], parts[0][1][name])
            momentum = f'{name}.momentum_buffer'
            assert np.array_equal(state[momentum], parts[0][1][momentum])
            assert np.isfinite(state[name]).all()
