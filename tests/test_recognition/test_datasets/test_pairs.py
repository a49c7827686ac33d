"""Pair making, checked against a brute-force list of all pairs."""

import contextlib
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdense.recognition.datasets.pairs import make_pairs


def grid(identities, groups, copies=1):
    labels = np.repeat(np.arange(identities), groups * copies)
    return labels, np.tile(np.arange(groups), identities * copies)


def check(labels, groups, num_pairs, num_folds, result):
    pairs, issame, fold = result
    first, second = pairs.T
    assert pairs.shape == (num_pairs, 2)
    assert (first < second).all()
    assert len(np.unique(pairs, axis=0)) == num_pairs
    np.testing.assert_array_equal(issame, labels[first] == labels[second])
    assert (groups[first] != groups[second]).all()
    owner = {}
    for f in range(num_folds):
        inside = fold == f
        assert issame[inside].sum() * 2 == inside.sum()
        assert inside.sum() == num_pairs // num_folds
        for label in np.unique(labels[pairs[inside]]):
            assert owner.setdefault(label, f) == f


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-5, 30), st.integers(-2, 3)),
        min_size=1,
        max_size=150,
    ),
    st.integers(2, 4),
    st.integers(1, 6),
    st.integers(0, 2**32 - 1),
)
def test_invariants_hold_or_it_says_why_not(samples, folds, per_kind, seed):
    labels, groups = np.array(samples).T
    num_pairs = 2 * folds * per_kind
    with contextlib.suppress(ValueError):
        result = make_pairs(labels, groups, num_pairs, folds, seed)
        check(labels, groups, num_pairs, folds, result)
        return
    with pytest.raises(ValueError, match=r'pairs of samples|identities'):
        make_pairs(labels, groups, num_pairs, folds, seed)


def brute_force(labels, groups, members):
    kinds = {True: set(), False: set()}
    for i, j in itertools.combinations(members, 2):
        if groups[i] != groups[j]:
            kinds[bool(labels[i] == labels[j])].add((i, j))
    return kinds


def test_can_use_up_every_pair_there_is_and_no_more():
    # Two identities a fold: as many genuine as impostor pairs exist when the
    # groups are 2 x 2 copies: 4 + 4 genuine, 8 impostor.
    labels, groups = grid(4, 2, copies=2)
    result = make_pairs(labels, groups, num_pairs=32, num_folds=2, seed=3)
    check(labels, groups, 32, 2, result)
    for fold in range(2):
        inside = result.fold == fold
        members = np.unique(result.pairs[inside])
        expected = brute_force(labels, groups, members.tolist())
        for same in (True, False):
            got = result.pairs[inside & (result.issame == same)]
            assert {tuple(pair) for pair in got.tolist()} == expected[same]
    with pytest.raises(ValueError, match=r'needs 9 genuine .* only 8 exist'):
        make_pairs(labels, groups, num_pairs=36, num_folds=2)


def test_impostor_shortage_is_counted():
    # An identity in groups 0 to 3 has 6 genuine pairs; one in group 0 has
    # none, and 3 impostor pairs with it. Seeds deal one of each to a fold.
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 3])
    groups = np.array([0, 1, 2, 3, 0, 1, 2, 3, 0, 0])
    messages = []
    for seed in range(8):
        with pytest.raises(ValueError, match='needs 4') as caught:
            make_pairs(labels, groups, 16, num_folds=2, seed=seed)
        messages.append(str(caught.value))
    assert any('4 impostor' in m and 'only 3 exist' in m for m in messages)


def test_genuine_pairs_are_drawn_uniformly():
    # One identity with group sizes 3, 1, 1 has 3 + 3 + 1 = 7 pairs.
    labels = np.array([0, 0, 0, 0, 0, 1, 2, 3, 1, 2, 3])
    groups = np.array([0, 0, 0, 1, 2, 0, 0, 0, 1, 1, 1])
    counts: dict = {}
    for seed in range(600):
        pairs, issame, _ = make_pairs(labels, groups, 4, 2, seed)
        for pair in pairs[issame].tolist():
            if labels[pair[0]] == 0:
                counts[tuple(pair)] = counts.get(tuple(pair), 0) + 1
    assert len(counts) == 7
    share = np.array(list(counts.values())) / sum(counts.values())
    np.testing.assert_allclose(share, 1 / 7, atol=0.04)


def test_is_a_function_of_its_arguments():
    labels, groups = grid(60, 4)
    one = make_pairs(labels, groups, 400, seed=5)
    two = make_pairs(labels.tolist(), groups.tolist(), 400, seed=5)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
    other = make_pairs(labels, groups, 400, seed=6)
    assert (one.pairs != other.pairs).any()
    # What identities and groups are called does not matter, only their order.
    renamed = make_pairs(labels * 7 - 3, groups + 100, 400, seed=5)
    np.testing.assert_array_equal(one.pairs, renamed.pairs)


def test_is_laid_out_fold_by_fold():
    labels, groups = grid(40, 3)
    result = make_pairs(labels, groups, 40)
    np.testing.assert_array_equal(result.fold, np.repeat(np.arange(10), 4))
    np.testing.assert_array_equal(
        result.issame, np.tile([True, True, False, False], 10)
    )
    assert result.pairs.dtype == np.int64
    assert result.issame.dtype == bool


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        ({'num_pairs': 30}, 'multiple of 20'),
        ({'num_pairs': 0}, 'multiple of 20'),
        ({'num_folds': 1, 'num_pairs': 2}, 'at least 2'),
        ({'num_folds': 50, 'num_pairs': 100}, 'got 40 identities'),
        ({'groups': [0]}, r'shape \(N,\)'),
        ({'groups': np.zeros(120, int)}, 'only 0 exist'),
    ],
)
def test_refuses(kwargs, message):
    labels, groups = grid(40, 3)
    args = {'labels': labels, 'groups': groups, 'num_pairs': 40, **kwargs}
    with pytest.raises(ValueError, match=message):
        make_pairs(**args)
