"""Ranges, initial rows and the table that holds them."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mmdense.distributed.sharding import (
    ShardedTable,
    draw_rows,
    named_sharded_parameters,
    seeded_generator,
    shard_range,
)


@given(st.integers(0, 10**7), st.integers(1, 4096))
def test_ranges_cover_all_rows_in_order(num_rows, size):
    ends = [shard_range(num_rows, rank, size) for rank in range(size)]
    lengths = [stop - start for start, stop in ends]
    assert ends[0][0] == 0
    assert ends[-1][1] == num_rows
    assert all(a[1] == b[0] for a, b in pairwise(ends))
    assert max(lengths) - min(lengths) <= 1
    assert lengths == sorted(lengths, reverse=True)


def test_fewer_rows_than_ranks():
    assert [shard_range(2, rank, 4) for rank in range(4)] == [
        (0, 1),
        (1, 2),
        (2, 2),
        (2, 2),
    ]


@pytest.mark.parametrize(
    ('args', 'named'),
    [((5, 3, 3), '3'), ((5, -1, 3), '-1'), ((-5, 0, 3), '-5')],
)
def test_bad_ranges_are_refused(args, named):
    with pytest.raises(ValueError, match=f'got {named}'):
        shard_range(*args)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 3000),
    st.lists(st.integers(0, 3000), max_size=5),
    st.integers(0, 2**40),
)
def test_rows_do_not_depend_on_the_split(num_rows, cuts, seed):
    cuts = sorted({0, num_rows, *(cut % (num_rows + 1) for cut in cuts)})
    whole = draw_rows(0, num_rows, 3, 0.5, seed)
    parts = [
        draw_rows(start, stop, 3, 0.5, seed) for start, stop in pairwise(cuts)
    ]
    assert torch.equal(whole, torch.cat([whole[:0], *parts]))


@pytest.mark.parametrize('row', [0, 5, 1024, 3000])
def test_an_empty_range_draws_nothing(row):
    assert draw_rows(row, row, 4, 1.0, 0).shape == (0, 4)


def test_rows_are_normal_distinct_and_differ_by_seed():
    rows = draw_rows(0, 20000, 8, 0.01, 7).double().numpy() / 0.01
    n = rows.size
    # Five standard errors of mean, variance and fourth moment.
    assert abs(rows.mean()) < 5 / np.sqrt(n)
    assert abs(rows.var() - 1) < 5 * np.sqrt(2 / n)
    assert abs((rows**4).mean() - 3) < 5 * np.sqrt(96 / n)
    assert len(np.unique(rows.round(6), axis=0)) == len(rows)
    # Blocks have generators of their own, which must be unrelated.
    blocks = rows[: 19 * 1024].reshape(19, -1)
    correlation = np.corrcoef(blocks) - np.eye(19)
    assert abs(correlation).max() < 5 / np.sqrt(blocks.shape[1])
    other = draw_rows(0, 20000, 8, 0.01, 8).double().numpy() / 0.01
    assert abs(np.corrcoef(rows.ravel(), other.ravel())[0, 1]) < 0.02


def test_keys_of_generators_do_not_collide():
    """Swapped, shifted and summed keys must not give one stream."""
    keys = [(a, b, c) for a in range(6) for b in range(6) for c in range(6)]
    keys += [(a, b) for a in range(6) for b in range(6)] + [(-1,), (2**63,)]
    seeds = {seeded_generator(*key).initial_seed() for key in keys}
    assert len(seeds) == len(keys)


def test_state_dict_is_empty_and_loads():
    model = nn.Sequential(nn.Linear(2, 2), ShardedTable(5, 2))
    assert list(model.state_dict()) == ['0.weight', '0.bias']
    before = model[1].weight.clone()
    model.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(before, model[1].weight)
    names = [name for name, _ in named_sharded_parameters(model)]
    assert names == ['1.weight']
    assert [name for name, _ in model.named_parameters()][-1] == '1.weight'
    alone = [name for name, _ in named_sharded_parameters(model[1])]
    assert alone == ['weight']


def _build(num_rows, seed):
    table = ShardedTable(num_rows, 3, std=0.1, seed=seed)
    return table.start, table.stop, table.weight.detach().numpy()


@pytest.mark.parametrize('num_rows', [2, 7, 2500])
def test_table_is_the_same_for_any_number_of_ranks(ranks, num_rows):
    _, _, whole = _build(num_rows, 3)
    for size in (1, 2, 3):
        parts = ranks(size)(_build, num_rows, 3)
        assert [part[:2] for part in parts] == [
            shard_range(num_rows, rank, size) for rank in range(size)
        ]
        together = np.concatenate([part[2] for part in parts])
        assert np.array_equal(together, whole)


class RowsTwice(torch.autograd.Function):
    """Has the gradient of micro-batches that are put after one another."""

    @staticmethod
    def forward(ctx, weight, rows, values):
        ctx.save_for_backward(rows, values)
        ctx.shape = weight.shape
        return weight.new_zeros(())

    @staticmethod
    def backward(ctx, _):
        rows, values = ctx.saved_tensors
        grad = torch.sparse_coo_tensor(rows[None], values, ctx.shape)
        return grad, None, None


def test_an_accumulated_gradient_stays_within_a_dense_one():
    table = ShardedTable(5, 2, sparse=True)
    generator = torch.Generator().manual_seed(0)
    expected = torch.zeros(5, 2)
    for _ in range(4):
        rows = torch.tensor([0, 3, 1, 3, 0, 1])
        values = torch.randn(6, 2, generator=generator)
        RowsTwice.apply(table.weight, rows, values).backward()
        expected.index_add_(0, rows, values)
        assert table.weight.grad._nnz() <= 5
    torch.testing.assert_close(table.weight.grad.to_dense(), expected)
