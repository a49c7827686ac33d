"""Which classes take part: completeness, uniformity, reproducibility."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mmdense.recognition.functional.sampling import (
    cycle_order,
    cycle_slice,
    sample_classes,
)
from mmdense.recognition.heads import PartialFCHead


@settings(deadline=None)
@given(st.data())
def test_set_holds_all_positives_and_has_the_size(data):
    n = data.draw(st.integers(1, 40))
    m = data.draw(st.integers(1, n))
    order = data.draw(st.permutations(range(n)))
    candidates = torch.tensor(order[:m])
    positives = sorted(data.draw(st.sets(st.integers(0, n - 1))))
    got = sample_classes(
        torch.tensor(positives, dtype=torch.int64), candidates, m
    ).tolist()
    assert got == sorted(set(got))
    assert set(positives) <= set(got)
    assert len(got) == max(m, len(positives))
    assert set(got) - set(positives) <= set(order[:m])


def _draws(n, m, positives, steps, seed=0, rank=0):
    """(steps, n) bool, which classes each step takes."""
    taken = np.zeros((steps, n), dtype=bool)
    positives = torch.tensor(positives, dtype=torch.int64)
    for step in range(steps):
        cycle, start, stop = cycle_slice(n, m, step)
        order = cycle_order(n, seed, cycle, rank)
        taken[step, sample_classes(positives, order[start:stop], m)] = True
    return taken


@pytest.mark.slow
@pytest.mark.parametrize(
    ('n', 'm', 'positives'),
    [(12, 4, [0, 7]), (10, 7, [3]), (15, 5, []), (9, 4, [0, 1, 2])],
)
def test_negatives_are_uniform(n, m, positives):
    """Single classes, and pairs of them, by chi-square."""
    steps = 24000
    taken = _draws(n, m, positives, steps, seed=5)
    negatives = np.setdiff1d(np.arange(n), positives)
    take = m - len(positives)
    taken = taken[:, negatives]
    assert np.all(taken.sum(axis=1) == take)
    size = len(negatives)
    # Steps of one cycle exclude each other's classes, which makes the counts
    # more even than independent draws: only the upper tail means anything.
    counts = taken.sum(axis=0)
    expected = steps * take / size
    variance = expected * (1 - take / size)
    chi2 = ((counts - expected) ** 2 / variance).sum() * (size - 1) / size
    assert chi2 < stats.chi2.ppf(1 - 1e-4, size - 1)
    if take > 1:
        first = taken[::3]  # every step of its own kind in the cycle
        pairs = (first.T.astype(int) @ first)[np.triu_indices(size, 1)]
        share = take * (take - 1) / (size * (size - 1))
        expected = len(first) * share
        z = (pairs - expected) / np.sqrt(expected * (1 - share))
        assert np.abs(z).max() < 4.5
        assert (z**2).mean() < 1.5


@pytest.mark.parametrize(('n', 'm'), [(12, 4), (7, 1), (9, 9), (100, 25)])
def test_a_cycle_offers_each_class_once(n, m):
    steps = n // m
    taken = _draws(n, m, [], 3 * steps)
    for cycle in range(3):
        offered = taken[cycle * steps : (cycle + 1) * steps].sum(axis=0)
        assert np.all(offered == 1)


@pytest.mark.parametrize(('n', 'm'), [(11, 3), (10, 6), (1000, 333)])
def test_a_remainder_waits_for_the_next_cycle(n, m):
    steps = n // m
    taken = _draws(n, m, [], 40 * steps)
    for cycle in range(40):
        offered = taken[cycle * steps : (cycle + 1) * steps].sum(axis=0)
        assert offered.max() == 1
        assert (offered == 0).sum() == n % m
    # It is another remainder each time.
    assert np.all(taken.sum(axis=0) > 0)


def test_draws_depend_on_seed_cycle_and_rank_alone():
    key = dict(seed=3, cycle=5, rank=1)
    order = cycle_order(500, **key)
    assert torch.equal(order, cycle_order(500, **key))
    torch.manual_seed(1)
    assert torch.equal(order, cycle_order(500, **key))
    assert sorted(order.tolist()) == list(range(500))
    for name in key:
        other = cycle_order(500, **{**key, name: key[name] + 1})
        # 500 classes in unrelated orders agree in one place on average.
        assert (other == order).sum() < 10


def _head_samples(steps, labels, seed, sample_rate=0.25):
    head = PartialFCHead(
        103, 4, dict(type='mmdense.CosFaceLoss'), sample_rate, seed=seed
    )
    found = []
    for step in range(steps):
        index, local = head._sample(torch.tensor(labels[step]))
        found.append((index.numpy() + head.centers.start, local.numpy()))
    return head.centers.start, head.centers.stop, found


def test_head_samples_on_ranks(ranks):
    rng = np.random.default_rng(0)
    # The last step has more positives than the sample has room for.
    labels = [rng.integers(103, size=9) for _ in range(7)] + [np.arange(103)]
    runs = ranks(3)(_head_samples, 8, labels, 11)
    for start, stop, found in runs:
        for (index, local), batch in zip(found, labels, strict=True):
            mine = batch[(batch >= start) & (batch < stop)]
            assert np.all(np.diff(index) > 0)
            assert np.all((index >= start) & (index < stop))
            assert np.isin(mine, index).all()
            size = int(0.25 * (stop - start))
            assert len(index) == max(size, len(np.unique(mine)))
            assert np.array_equal(index[local[local >= 0]], mine)
            assert np.array_equal(
                local >= 0, (batch >= start) & (batch < stop)
            )
    # Same in another run; another order on every rank, step and seed.
    again = ranks(3)(_head_samples, 8, labels, 11)
    for one, two in zip(runs, again, strict=True):
        for (a, _), (b, _) in zip(one[2], two[2], strict=True):
            assert np.array_equal(a, b)
    locals_ = [
        tuple(index - start) for start, _, found in runs for index, _ in found
    ][:-1]
    assert len(set(locals_)) == len(locals_)
    other = ranks(3)(_head_samples, 8, labels, 12)
    assert not np.array_equal(other[0][2][0][0], runs[0][2][0][0])


def test_one_class_on_a_rank_takes_them_all():
    head = PartialFCHead(1, 4, dict(type='mmdense.CosFaceLoss'), 0.1)
    index, local = head._sample(torch.tensor([0, 0]))
    assert index is None
    assert local.tolist() == [0, 0]
