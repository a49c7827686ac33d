"""Draws that do not depend on those of earlier steps."""

import numpy as np
import pytest
import torch
from scipy import stats

from mmdense.recognition.functional import sampling
from mmdense.recognition.functional.sampling import draw_independent
from mmdense.recognition.heads import PartialFCHead


def _taken(n, m, steps):
    """(steps, n) bool, which classes each step draws."""
    taken = np.zeros((steps, n), dtype=bool)
    for step in range(steps):
        drawn = draw_independent(n, m, 7, step, 1)
        assert drawn.dtype == torch.int64
        taken[step, drawn] = True
    assert np.all(taken.sum(axis=1) == m)
    return taken


@pytest.mark.parametrize(
    ('n', 'm'),
    [(60, 5), (30, 14), (12, 6), (9, 8), (5, 1)],
    ids=['few', 'almost half', 'half', 'most', 'one'],
)
def test_all_sets_are_equally_likely(n, m):
    """Single classes by chi-square, and pairs of them."""
    steps = 5000
    taken = _taken(n, m, steps).astype(int)
    share = m / n
    counts = taken.sum(axis=0)
    # Without replacement: the counts of classes are negatively correlated.
    chi2 = ((counts - steps * share) ** 2).sum()
    chi2 *= (n - 1) / n / (steps * share * (1 - share))
    low, high = stats.chi2.ppf([1e-4, 1 - 1e-4], n - 1)
    assert low < chi2 < high
    if m > 1:
        pairs = (taken.T @ taken)[np.triu_indices(n, 1)]
        share = m * (m - 1) / (n * (n - 1))
        z = (pairs - steps * share) / np.sqrt(steps * share * (1 - share))
        assert np.abs(z).max() < 4.5
        assert 0.5 < (z**2).mean() < 1.5


@pytest.mark.parametrize(('n', 'm'), [(60, 5), (12, 6)])
def test_places_say_nothing_about_the_class(n, m):
    """The last ones are dropped where there are positives."""
    firsts = [draw_independent(n, m, 3, i, 0)[0].item() for i in range(3000)]
    counts = np.bincount(firsts, minlength=n)
    assert stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize(('n', 'm'), [(5000, 400), (5000, 4000)])
def test_draws_depend_on_seed_step_and_rank_alone(n, m):
    key = dict(seed=3, step=5, rank=1)
    drawn = draw_independent(n, m, **key)
    torch.manual_seed(1)
    assert torch.equal(drawn, draw_independent(n, m, **key))
    assert len(set(drawn.tolist())) == m
    for name in key:
        other = draw_independent(n, m, **{**key, name: key[name] + 1})
        common = len(np.intersect1d(drawn, other))
        expected = m * m / n
        assert abs(common - expected) < 5 * np.sqrt(expected)


def test_the_cost_is_that_of_the_sample(monkeypatch):
    """A billion classes: counted are the numbers that are drawn."""
    drawn = []

    def counting(function, size):
        def call(*args, **kwargs):
            drawn.append(size(*args))
            return function(*args, **kwargs)

        return call

    fake = type(torch)('fake_torch')
    fake.__dict__.update(torch.__dict__)
    fake.randint = counting(torch.randint, lambda high, size: size[0])
    fake.randperm = counting(torch.randperm, lambda n: n)
    monkeypatch.setattr(sampling, 'torch', fake)
    got = draw_independent(10**9, 1000, 0, 0, 0)
    assert len(got) == 1000
    assert 0 < sum(drawn) < 4000


def test_the_head_draws_so():
    config = dict(type='mmdense.CosFaceLoss')
    head = PartialFCHead(50, 4, config, 0.2, 'independent', seed=6)
    for step in range(4):
        index, _ = head._sample(torch.tensor([], dtype=torch.int64))
        expected = draw_independent(50, 10, 6, step, 0).sort().values
        assert torch.equal(index, expected)
    index, local = head._sample(torch.tensor([49, 3]))
    assert len(index) == 10
    assert index[local].tolist() == [49, 3]


def test_an_unknown_sampler_is_refused():
    with pytest.raises(ValueError, match="got 'random'"):
        PartialFCHead(9, 4, dict(type='mmdense.CosFaceLoss'), sampler='random')
