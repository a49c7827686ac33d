"""Collectives, and the pool of ranks that the tests themselves rely on."""

import os
import time

import numpy as np
import pytest
import torch
import torch.distributed as dist

from mmdense.distributed.collectives import (
    all_reduce_max,
    all_reduce_sum,
    gather_batch,
    gather_sizes,
    object_of_rank_0,
    on_rank_0,
    raise_on_all_ranks,
    rank,
    world_size,
)
from tests.ranks import RankError, RankPool


def _gather(batches, grads, dtype):
    mine = torch.tensor(batches[rank()], dtype=getattr(torch, dtype))
    mine.requires_grad_(mine.is_floating_point())
    sizes = gather_sizes(len(mine), mine.device)
    everyone = gather_batch(mine, sizes)
    if mine.requires_grad:
        everyone.backward(torch.tensor(grads[rank()], dtype=mine.dtype))
        return sizes, everyone.detach().numpy(), mine.grad.numpy()
    return sizes, everyone.numpy(), None


@pytest.mark.parametrize(
    'sizes', [(4,), (3, 3), (2, 5), (0, 3), (1, 0, 4), (0, 0, 2), (2, 2, 2)]
)
def test_gathering_and_its_gradient(ranks, sizes):
    rng = np.random.default_rng(0)
    batches = [rng.normal(size=(size, 2, 3)) for size in sizes]
    k, total = len(sizes), sum(sizes)
    grads = [rng.normal(size=(total, 2, 3)) for _ in sizes]
    expected = np.split(sum(grads) * k, np.cumsum(sizes)[:-1])
    for i, (got_sizes, value, grad) in enumerate(
        ranks(k)(_gather, batches, grads, 'float64')
    ):
        assert got_sizes == list(sizes)
        assert np.array_equal(value, np.concatenate(batches))
        assert grad.shape == batches[i].shape
        np.testing.assert_allclose(grad, expected[i], rtol=1e-14)


def test_gathering_labels(ranks):
    labels = [[2**40, -1], [], [7]]
    for sizes, value, _ in ranks(3)(_gather, labels, None, 'int64'):
        assert sizes == [2, 0, 1]
        assert value.tolist() == [2**40, -1, 7]


def test_without_group_nothing_changes():
    x = torch.randn(3, 2)
    assert (rank(), world_size()) == (0, 1)
    assert gather_sizes(3, x.device) == [3]
    assert gather_batch(x, [3]) is x
    assert torch.equal(all_reduce_sum(x.clone()), x)
    assert torch.equal(all_reduce_max(x.clone()), x)
    raise_on_all_ranks(None)
    with pytest.raises(KeyError, match='mine'):
        raise_on_all_ranks(KeyError('mine'))


def _reduce():
    x = torch.tensor([rank() + 1.0, -rank()])
    return all_reduce_sum(x.clone()).tolist(), all_reduce_max(x).tolist()


def test_reductions(ranks):
    assert ranks(3)(_reduce) == [([6.0, -3.0], [3.0, 0.0])] * 3


def _raise_on(failing):
    mine = ValueError(f'bad on {rank()}') if rank() in failing else None
    raise_on_all_ranks(mine)
    return 'went on'


def test_an_error_on_one_rank_is_raised_on_all(ranks):
    outcomes = ranks(3).outcomes(_raise_on, [1, 2])
    kinds = [type(error) for error in outcomes]
    assert kinds == [RuntimeError, ValueError, ValueError]
    assert str(outcomes[0]) == 'rank 1 failed: ValueError: bad on 1'
    assert str(outcomes[2]) == 'bad on 2'
    assert ranks(3)(_raise_on, []) == ['went on'] * 3


def _on_rank_0(fail):
    def compute():
        if fail:
            raise ValueError('bad on 0')
        return 5

    mine = on_rank_0(compute)
    return mine, object_of_rank_0(mine and {'it': mine})


def test_what_rank_0_computes(ranks):
    assert _on_rank_0(False) == (5, {'it': 5})
    results = ranks(3)(_on_rank_0, False)
    assert results == [(5, {'it': 5}), (None, {'it': 5}), (None, {'it': 5})]
    outcomes = ranks(3).outcomes(_on_rank_0, True)
    kinds = [type(error) for error in outcomes]
    assert kinds == [ValueError, RuntimeError, RuntimeError]
    assert 'bad on 0' in str(outcomes[2])


def _rank_and_size():
    return dist.get_rank(), dist.get_world_size()


def _die():
    if rank() == 1:
        os._exit(3)
    time.sleep(30)


@pytest.mark.slow
def test_a_pool_replaces_dead_ranks():
    pool = RankPool()
    try:
        with pytest.raises(RankError, match='_die: rank 1 of 2 died'):
            pool.outcomes(2, _die)
        assert pool.outcomes(2, _rank_and_size) == [(0, 2), (1, 2)]
    finally:
        pool.close()
