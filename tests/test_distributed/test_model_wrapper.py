"""Training on ranks equals training in one process on all samples."""

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from torch import nn

import mmdense.distributed.optim  # noqa: F401
from mmdense.distributed.collectives import rank, world_size
from mmdense.distributed.model_wrapper import ShardedDistributedDataParallel
from mmdense.distributed.sharding import ShardedTable
from mmdense.recognition.heads import PartialFCHead

_CLASSES = 11


class _Model(BaseModel):
    """Backbone and head; buffers that differ from rank to rank."""

    def __init__(self, loss, sample_rate):
        super().__init__()
        torch.manual_seed(4)
        self.backbone = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4))
        self.head = PartialFCHead(
            _CLASSES, 4, loss, sample_rate, init_std=0.3, seed=9
        )
        self.register_buffer('mine', torch.tensor(float(rank())))

    def forward(self, inputs, labels, mode='tensor'):
        feats = self.backbone(inputs)
        if mode == 'loss':
            return self.head.loss_by_feat(feats, labels)
        return feats


def _data(steps, batch):
    rng = np.random.default_rng(5)
    return (
        rng.normal(size=(steps, batch, 6)).astype('f4'),
        rng.integers(_CLASSES, size=(steps, batch)),
    )


def _wrapper(model, accumulate=1):
    return build_optim_wrapper(
        model,
        dict(
            constructor='mmdense.ShardedOptimWrapperConstructor',
            optimizer=dict(
                type='mmdense.RowSparseSGD',
                lr=0.05,
                momentum=0.9,
                weight_decay=0.01,
            ),
            clip_grad=dict(max_norm=5.0),
            accumulative_counts=accumulate,
        ),
    )


def _train(loss, sample_rate, shares, accumulate=1, all_candidates=False):
    """Several `train_step`s; what this rank has at the end."""
    model = _Model(loss, sample_rate)
    if all_candidates:
        # The ranks' own draws differ from one process's by design; with the
        # positives alone both take the same classes.
        empty = torch.zeros(0, dtype=torch.int64)
        model.head._candidates = lambda *_: empty
    wrapped = model
    if dist.is_initialized():
        wrapped = ShardedDistributedDataParallel(model)
    optim_wrapper = _wrapper(wrapped, accumulate)
    optim_wrapper.initialize_count_status(wrapped, 0, 8)
    inputs, labels = _data(8, sum(shares))
    start = sum(shares[: rank()])
    mine = slice(start, start + shares[rank()])
    if world_size() == 1:
        mine = slice(None)
    logs = []
    for x, y in zip(inputs, labels, strict=True):
        batch = dict(
            inputs=torch.tensor(x[mine]), labels=torch.tensor(y[mine])
        )
        log = wrapped.train_step(batch, optim_wrapper)
        logs.append(
            [
                log[k].item()
                for k in ('loss', 'target_cosine', 'embedding_norm')
            ]
        )
    table = model.head.centers
    momentum = optim_wrapper.optimizer.state[table.weight]['momentum_buffer']
    return dict(
        logs=np.array(logs),
        backbone=[p.detach().numpy() for p in model.backbone.parameters()],
        centers=table.weight.detach().numpy(),
        momentum=momentum.numpy(),
    )


_COS = dict(type='mmdense.CosFaceLoss', scale=16.0, margin=0.3)
_ARC = dict(type='mmdense.ArcFaceLoss', scale=80.0, margin=0.4)


def _compare(parts, alone):
    for part in parts:
        np.testing.assert_allclose(
            part['logs'], alone['logs'], rtol=2e-4, atol=2e-5
        )
        for a, b, c in zip(
            part['backbone'],
            parts[0]['backbone'],
            alone['backbone'],
            strict=True,
        ):
            assert np.array_equal(a, b), 'replicas must be identical'
            np.testing.assert_allclose(a, c, rtol=2e-4, atol=2e-5)
    for key in ('centers', 'momentum'):
        together = np.concatenate([part[key] for part in parts])
        np.testing.assert_allclose(together, alone[key], rtol=5e-4, atol=5e-5)


@pytest.mark.parametrize('loss', [_COS, _ARC], ids=['cos', 'arc'])
@pytest.mark.parametrize('size', [2, 3])
def test_all_classes(ranks, loss, size):
    shares = [4] * size
    alone = _train(loss, 1.0, shares)
    assert alone['logs'][-1, 0] < alone['logs'][0, 0], 'it must learn'
    _compare(ranks(size)(_train, loss, 1.0, shares), alone)


@pytest.mark.parametrize('shares', [(5, 3), (1, 4, 2)])
def test_uneven_batches(ranks, shares):
    """The loss is the mean over all samples, whoever has them."""
    alone = _train(_COS, 1.0, shares)
    _compare(ranks(len(shares))(_train, _COS, 1.0, shares), alone)


@pytest.mark.parametrize('size', [2, 3])
def test_sampled_rows(ranks, size):
    shares = [3] * size
    alone = _train(_COS, 0.3, shares, 1, True)
    _compare(ranks(size)(_train, _COS, 0.3, shares, 1, True), alone)


@pytest.mark.parametrize('sample_rate', [0.3, 1.0])
def test_accumulation_over_micro_batches(ranks, sample_rate):
    shares = [3, 3]
    alone = _train(_COS, sample_rate, shares, 4, True)
    _compare(ranks(2)(_train, _COS, sample_rate, shares, 4, True), alone)


def _wrapped_state():
    model = _Model(_COS, 1.0)
    before = model.head.centers.weight.detach().clone()
    bare = nn.Sequential(nn.BatchNorm1d(4), model)
    wrapped = ShardedDistributedDataParallel(bare, device_ids=[0])
    untouched = torch.equal(before, model.head.centers.weight)
    bare[0].train()
    bare[0](torch.randn(8, 4) + rank())
    mean = bare[0].running_mean.clone()
    inputs = torch.full((2, 6), 1.0 + rank())
    labels = torch.tensor([rank(), 5])
    wrapped.module[1].forward(inputs, labels, mode='loss')['loss'].backward()
    return dict(
        untouched=untouched,
        broadcast=wrapped.broadcast_buffers,
        mine=model.mine.item(),
        mean=mean.numpy(),
        ignored=sorted(wrapped.parameters_to_ignore),
    )


def test_shards_and_buffers_stay_with_their_rank(ranks):
    parts = ranks(2)(_wrapped_state)
    for i, part in enumerate(parts):
        assert part['untouched']
        assert part['broadcast'] is False
        assert part['mine'] == i
        assert part['ignored'] == ['1.head.centers.weight']
    assert not np.allclose(parts[0]['mean'], parts[1]['mean'])


class _WithNorm(_Model):
    def __init__(self):
        super().__init__(_COS, 1.0)
        self.backbone = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4))


def _norm_statistics(broadcast):
    model = _WithNorm()
    kwargs = {} if broadcast is None else dict(broadcast_buffers=broadcast)
    wrapped = ShardedDistributedDataParallel(model, **kwargs)
    inputs, labels = _data(3, 8)
    for x, y in zip(
        inputs[:, rank() :: 2], labels[:, rank() :: 2], strict=True
    ):
        wrapped(torch.tensor(x), torch.tensor(y), mode='loss')
    return model.backbone[1].running_mean.numpy(), model.mine.item()


def test_broadcasting_buffers_is_off_unless_asked_for(ranks):
    (a, i), (b, j) = ranks(2)(_norm_statistics, None)
    assert (i, j) == (0, 1)
    assert not np.allclose(a, b)
    (a, i), (b, j) = ranks(2)(_norm_statistics, True)
    assert (i, j) == (0, 0)


def _wrap_a_bare_table():
    ShardedDistributedDataParallel(ShardedTable(4, 2))


def test_a_table_alone_is_refused(ranks):
    for outcome in ranks(2).outcomes(_wrap_a_bare_table):
        assert isinstance(outcome, ValueError)
        assert 'put it into a module' in str(outcome)
