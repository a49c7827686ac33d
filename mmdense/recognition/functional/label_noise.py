"""Wrong labels and skewed data, made on purpose.

The three kinds of An et al., "Killing Two Birds with One Stone: Efficient and
Robust Training of Face Recognition CNNs by Partial FC", CVPR 2022, whose
generators were not released: its sets Conflict, Flip and Longtail.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]
Seed = int | np.random.Generator


@dataclass(frozen=True)
class LabelNoise:
    """What became of N samples of C identities.

    Attributes:
        index: int64 `(M,)`, ascending; the samples that are kept.
        labels: int64 `(M,)`, their new labels, in [0, num_classes).
        true_class: int64 `(num_classes,)`, the identity a new label stands
            for. What a sample really shows is its old label.
    """

    index: Ints
    labels: Ints
    true_class: Ints

    @property
    def num_classes(self) -> int:
        """Number of new labels, those without a sample included."""
        return len(self.true_class)


def inter_class_conflict(
    labels: ArrayLike,
    identities: int | float,
    parts: int = 3,
    seed: Seed = 0,
) -> LabelNoise:
    """Split identities into several that pretend to be different.

    The identities to split are drawn uniformly from those with at least
    `parts` samples. The samples of each are dealt to its parts at random, as
    evenly as they go: parts differ by one sample at most, none is empty. One
    part keeps the label; the others get labels from C on, those of an
    identity side by side, by ascending identity. So C grows by
    `identities * (parts - 1)`.

    WebFace12M-Conflict has 200,000 of 617,970 identities split into 600,000:
    `identities=200000, parts=3`, or as a share 0.324.

    Args:
        labels: `(N,)` identities, in [0, C).
        identities: How many to split: an int is a number, a float a share of
            C in [0, 1], rounded to the nearest number.
        parts: Into how many each is split, at least 2.
        seed: Equal arguments give equal noise, with one version of numpy.

    Raises:
        TypeError: `labels` are not integers, or `identities` no number.
        ValueError: There are not as many identities with `parts` samples, or
            an argument is out of range.
    """
    old = _check_labels(labels)
    if parts < 2:
        raise ValueError(f'parts must be at least 2, got {parts}')
    counts = np.bincount(old)
    number = _number('identities', identities, len(counts))
    able = np.flatnonzero(counts >= parts)
    if number > len(able):
        raise ValueError(
            f'{number} identities cannot be split: only {len(able)} of '
            f'{len(counts)} have the {parts} samples that {parts} parts need'
        )
    rng = np.random.default_rng(seed)
    split = np.sort(rng.choice(able, number, replace=False))
    # Dealt like cards.
    part = _shuffled_places(old, counts, rng) % parts

    place = np.full(len(counts), -1)
    place[split] = np.arange(number)
    moved = (place[old] >= 0) & (part > 0)
    new = old.copy()
    new[moved] = (
        len(counts) + place[old[moved]] * (parts - 1) + part[moved] - 1
    )
    true_class = np.concatenate(
        [np.arange(len(counts)), np.repeat(split, parts - 1)]
    )
    return LabelNoise(np.arange(len(old)), new, true_class)


def label_flip(labels: ArrayLike, share: float, seed: Seed = 0) -> LabelNoise:
    """Give a share of the samples the label of another identity.

    Exactly `round(share * N)` samples, drawn uniformly; each gets a label
    drawn uniformly from the other identities that have samples, never its
    own. The number of classes stays, but an identity can lose all samples.

    WebFace12M-Flip has, by its published name, a share of 0.4.

    Args:
        labels: `(N,)` identities, in [0, C).
        share: Of the samples, in [0, 1].
        seed: Equal arguments give equal noise, with one version of numpy.

    Raises:
        TypeError: `labels` are not integers.
        ValueError: `share` is out of range, or there is no other identity.
    """
    old = _check_labels(labels)
    if not 0 <= share <= 1:
        raise ValueError(
            f'share must be a share of samples in [0, 1], got {share}'
        )
    present, rank = np.unique(old, return_inverse=True)
    number = round(share * len(old))
    if number and len(present) < 2:
        raise ValueError(
            f'labels cannot be flipped with {len(present)} identity: there '
            'is no other'
        )
    rng = np.random.default_rng(seed)
    flipped = rng.choice(len(old), number, replace=False)
    new = old.copy()
    if number:
        # A step of 1 to n - 1 round the circle of n never comes back.
        step = rng.integers(1, len(present), number)
        new[flipped] = present[(rank[flipped] + step) % len(present)]
    return LabelNoise(np.arange(len(old)), new, np.arange(old.max() + 1))


def long_tail(
    labels: ArrayLike,
    head: int | float,
    tail_samples: int,
    seed: Seed = 0,
) -> LabelNoise:
    """Keep all samples of a few identities and few of all the others.

    The head is drawn uniformly from the identities; of every other, its
    `tail_samples` samples drawn uniformly are kept, or all where it has no
    more. Labels do not change and no identity is lost.

    Args:
        labels: `(N,)` identities, in [0, C).
        head: Identities that keep all samples: an int is a number, a float a
            share of C in [0, 1], rounded to the nearest number.
        tail_samples: What is left of each other identity, at least 1.
        seed: Equal arguments give equal noise, with one version of numpy.

    Raises:
        TypeError: `labels` are not integers, or `head` no number.
        ValueError: An argument is out of range.
    """
    old = _check_labels(labels)
    if tail_samples < 1:
        raise ValueError(
            f'tail_samples must be at least 1, got {tail_samples}; an '
            'identity without samples would leave a label without meaning'
        )
    counts = np.bincount(old)
    number = _number('head', head, len(counts))
    rng = np.random.default_rng(seed)
    in_head = np.zeros(len(counts), dtype=bool)
    in_head[rng.choice(len(counts), number, replace=False)] = True
    place = _shuffled_places(old, counts, rng)
    kept = np.flatnonzero(in_head[old] | (place < tail_samples))
    return LabelNoise(kept, old[kept], np.arange(len(counts)))


def _shuffled_places(
    labels: Ints, counts: Ints, rng: np.random.Generator
) -> Ints:
    """The place of each sample when those of its identity are shuffled."""
    shuffled = rng.permutation(len(labels))
    order = shuffled[np.argsort(labels[shuffled], kind='stable')]
    first = np.cumsum(counts) - counts
    place = np.empty_like(labels)
    place[order] = np.arange(len(labels)) - first[labels[order]]
    return place


def _check_labels(labels: ArrayLike) -> Ints:
    array = np.asarray(labels)
    if array.ndim != 1 or not len(array):
        raise ValueError(
            f'labels must have shape (N,) with N > 0, got {array.shape}'
        )
    if not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f'labels must be integers, got {array.dtype}')
    if array.min() < 0:
        raise ValueError(
            f'labels must be in [0, C), got {array.min()}; leave out samples '
            'without an identity first'
        )
    return array.astype(np.int64)


def _number(name: str, value: int | float, total: int) -> int:
    """A number of identities, from a number or a share."""
    if isinstance(value, bool) or not isinstance(
        value, int | float | np.integer | np.floating
    ):
        raise TypeError(
            f'{name} must be an int (a number of identities) or a float (a '
            f'share of them), got {value!r}'
        )
    if isinstance(value, float | np.floating):
        if not 0 <= value <= 1:
            raise ValueError(
                f'{name}={value} is a float and must be a share in [0, 1]; '
                'a number of identities is an int'
            )
        return round(float(value) * total)
    if not 0 <= value <= total:
        raise ValueError(
            f'{name} must be in [0, {total}], the number of identities, got '
            f'{value}'
        )
    return int(value)
