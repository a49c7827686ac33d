"""What the label noise promises, counted sample by sample."""

from collections import Counter, defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdense.recognition.functional.label_noise import (
    inter_class_conflict,
    label_flip,
    long_tail,
)

# Labels of small ragged sets; identities without samples among them.
LABELS = st.lists(st.integers(0, 12), min_size=1, max_size=80)
SEEDS = st.integers(0, 5)


@settings(max_examples=150, deadline=None)
@given(LABELS, st.integers(2, 4), SEEDS, st.data())
def test_conflict_splits_evenly_and_loses_nothing(labels, parts, seed, data):
    counts = Counter(labels)
    able = [label for label in counts if counts[label] >= parts]
    number = data.draw(st.integers(0, len(able)))
    noise = inter_class_conflict(labels, number, parts, seed)

    classes = max(labels) + 1
    assert noise.num_classes == classes + number * (parts - 1)
    assert noise.index.tolist() == list(range(len(labels)))
    # The map leads back to the truth, for every sample.
    assert noise.true_class[noise.labels].tolist() == labels
    assert noise.true_class[:classes].tolist() == list(range(classes))
    assert (np.diff(noise.true_class[classes:]) >= 0).all()

    sizes = defaultdict(list)
    new_counts = Counter(noise.labels.tolist())
    for new, true in enumerate(noise.true_class.tolist()):
        sizes[true].append(new_counts[new])
    split = [true for true in sizes if len(sizes[true]) > 1]
    assert len(split) == number
    for true in split:
        assert len(sizes[true]) == parts
        assert min(sizes[true]) >= 1
        assert max(sizes[true]) - min(sizes[true]) <= 1
        assert sum(sizes[true]) == counts[true]


@settings(max_examples=150, deadline=None)
@given(LABELS, st.floats(0, 1), SEEDS)
def test_flip_changes_exactly_the_share(labels, share, seed):
    number = round(share * len(labels))
    if number and len(set(labels)) < 2:
        with pytest.raises(ValueError, match='there is no other'):
            label_flip(labels, share, seed)
        return
    noise = label_flip(labels, share, seed)
    assert noise.index.tolist() == list(range(len(labels)))
    assert (noise.labels != labels).sum() == number
    assert set(noise.labels.tolist()) <= set(labels)
    assert noise.true_class.tolist() == list(range(max(labels) + 1))


@settings(max_examples=150, deadline=None)
@given(LABELS, st.integers(1, 5), SEEDS, st.data())
def test_long_tail_keeps_heads_whole_and_all_tails(labels, few, seed, data):
    classes = max(labels) + 1
    number = data.draw(st.integers(0, classes))
    noise = long_tail(labels, number, few, seed)
    assert noise.num_classes == classes
    assert (np.diff(noise.index) > 0).all()
    assert noise.labels.tolist() == np.array(labels)[noise.index].tolist()
    before, after = Counter(labels), Counter(noise.labels.tolist())
    assert set(before) == set(after)
    shortened = [c for c in before if after[c] != before[c]]
    assert all(after[c] == few for c in shortened)
    assert len(shortened) <= classes - number
    # No more than the head is longer than a tail.
    assert sum(after[c] > few for c in after) <= number


def test_flips_are_uniform_over_the_other_identities():
    labels = np.repeat(np.arange(5), 4000)
    noise = label_flip(labels, 0.5, seed=1)
    moved = noise.labels != labels
    table = np.zeros((5, 5))
    np.add.at(table, (labels[moved], noise.labels[moved]), 1)
    assert (np.diag(table) == 0).all()
    others = table[~np.eye(5, dtype=bool)]
    # 20 cells of mean 500: chi-square with 19 degrees of freedom, of which
    # a random table exceeds 43.8 once in a thousand.
    assert ((others - 500) ** 2 / 500).sum() < 43.8


def test_which_identities_and_samples_are_chosen_is_uniform():
    labels = np.repeat(np.arange(6), 4)
    split, kept = np.zeros(6), np.zeros(24)
    for seed in range(1200):
        split[inter_class_conflict(labels, 2, 2, seed).true_class[6:]] += 1
        kept[long_tail(labels, 0, 1, seed).index] += 1
    # Binomial: means 400 and 300, standard deviations 16.3 and 15.
    assert abs(split - 400).max() < 4 * 16.3
    assert abs(kept - 300).max() < 4 * 15


def test_a_seed_or_a_generator_decides_all():
    labels = np.repeat(np.arange(9), 7)
    for make in (
        lambda seed: inter_class_conflict(labels, 4, 3, seed),
        lambda seed: label_flip(labels, 0.4, seed),
        lambda seed: long_tail(labels, 2, 3, seed),
    ):
        one, same, other = make(3), make(3), make(4)
        np.testing.assert_array_equal(one.labels, same.labels)
        np.testing.assert_array_equal(one.index, same.index)
        assert (
            one.labels.tolist() != other.labels.tolist()
            or one.index.tolist() != other.index.tolist()
        )
        drawn = make(np.random.default_rng(3))
        np.testing.assert_array_equal(drawn.labels, one.labels)


def test_a_float_is_a_share_and_an_int_a_number():
    labels = np.repeat(np.arange(10), 6)
    assert inter_class_conflict(labels, 1.0).num_classes == 30
    assert inter_class_conflict(labels, 1).num_classes == 12
    assert len(long_tail(labels, 0.5, 2).index) == 5 * 6 + 5 * 2
    # The published figures of WebFace12M-Conflict, at a hundredth.
    labels = np.repeat(np.arange(6180), 3)
    assert inter_class_conflict(labels, 2000, 3).num_classes == 10180


def test_the_input_stays_as_it_is_and_may_be_a_tensor():
    labels = torch.arange(12) % 4
    before = labels.clone()
    label_flip(labels, 1.0)
    inter_class_conflict(labels, 2)
    assert torch.equal(labels, before)


@pytest.mark.parametrize(
    ('call', 'error', 'match'),
    [
        (lambda: label_flip([0.0, 1.0], 0.1), TypeError, 'integers'),
        (lambda: label_flip([], 0.1), ValueError, 'N > 0'),
        (lambda: label_flip([[0, 1]], 0.1), ValueError, r'\(N,\)'),
        (lambda: label_flip([0, -1], 0.1), ValueError, 'got -1'),
        (lambda: label_flip([0, 1], 40), ValueError, 'got 40'),
        (
            lambda: inter_class_conflict([0, 0, 1], 2, 2),
            ValueError,
            'only 1 of 2 have the 2 samples',
        ),
        (lambda: inter_class_conflict([0, 0], 1, 1), ValueError, 'at least 2'),
        (lambda: inter_class_conflict([0, 0], 3, 2), ValueError, r'\[0, 1\]'),
        (lambda: inter_class_conflict([0, 0], 2.0), ValueError, 'is an int'),
        (lambda: inter_class_conflict([0, 0], True), TypeError, 'True'),
        (lambda: long_tail([0, 1], '3', 1), TypeError, "'3'"),
        (lambda: long_tail([0, 1], 1, 0), ValueError, 'at least 1'),
    ],
)
def test_errors_say_what_is_wrong(call, error, match):
    with pytest.raises(error, match=match):
        call()
