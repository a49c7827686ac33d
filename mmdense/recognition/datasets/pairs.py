"""Verification pairs: genuine and impostor, in folds of disjoint identities.

The protocol of Labeled Faces in the Wild (Huang et al., 2007): as many
genuine as impostor pairs in each fold, and no identity in two folds. Beyond
it, both samples of a pair come from different groups (cameras, scenes, font
families), so that what a group has in common tells nothing about the answer.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class VerificationPairs(NamedTuple):
    """P pairs of samples, fold by fold, in a fold the genuine ones first.

    Attributes:
        pairs: int64 `(P, 2)`, indices of samples; the first is the lower.
        issame: bool `(P,)`, whether both are of one identity.
        fold: int64 `(P,)`, from 0.
    """

    pairs: NDArray[np.int64]
    issame: NDArray[np.bool_]
    fold: NDArray[np.int64]


def make_pairs(
    labels: ArrayLike,
    groups: ArrayLike,
    num_pairs: int = 12000,
    num_folds: int = 10,
    seed: int = 0,
) -> VerificationPairs:
    """Draw pairs without repetition.

    Identities are dealt to the folds at random, evenly. In each fold the
    genuine pairs are drawn uniformly from all pairs of one identity and two
    groups, the impostor pairs from all of two identities and two groups.

    Args:
        labels: int `(N,)`, identity of each sample; any integers.
        groups: int `(N,)`, group of each sample; any integers.
        num_pairs: P, a multiple of `2 * num_folds`.
        num_folds: At least 2.
        seed: Equal arguments give equal pairs.

    Raises:
        ValueError: Shapes or numbers do not fit, or a fold does not have
            enough pairs.
    """
    labels, groups = np.asarray(labels), np.asarray(groups)
    if labels.ndim != 1 or labels.shape != groups.shape:
        raise ValueError(
            'labels and groups must both have shape (N,), got '
            f'{labels.shape} and {groups.shape}'
        )
    if num_folds < 2:
        raise ValueError(f'num_folds must be at least 2, got {num_folds}')
    if num_pairs < 1 or num_pairs % (2 * num_folds):
        raise ValueError(
            f'num_pairs must be a positive multiple of {2 * num_folds}, so '
            f'that {num_folds} folds have as many genuine as impostor pairs; '
            f'got {num_pairs}'
        )
    identities, labels = np.unique(labels, return_inverse=True)
    _, groups = np.unique(groups, return_inverse=True)
    if len(identities) < 2 * num_folds:
        raise ValueError(
            f'got {len(identities)} identities; {num_folds} folds with an '
            f'impostor pair each need at least {2 * num_folds}'
        )
    # RandomState, whose stream numpy promises never to change.
    rng = np.random.RandomState(seed)
    fold_of_identity = np.empty(len(identities), dtype=np.int64)
    for fold, members in enumerate(
        np.array_split(rng.permutation(len(identities)), num_folds)
    ):
        fold_of_identity[members] = fold

    per_kind = num_pairs // num_folds // 2
    chunks = []
    for fold in range(num_folds):
        samples = np.flatnonzero(fold_of_identity[labels] == fold)
        chunks.append(_genuine(samples, labels, groups, per_kind, rng, fold))
        chunks.append(_impostor(samples, labels, groups, per_kind, rng, fold))
    return VerificationPairs(
        pairs=np.concatenate(chunks),
        issame=np.tile(np.repeat([True, False], per_kind), num_folds),
        fold=np.repeat(np.arange(num_folds), 2 * per_kind),
    )


def _genuine(
    samples: NDArray[np.int64],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    count: int,
    rng: np.random.RandomState,
    fold: int,
) -> NDArray[np.int64]:
    # Sorted so, the partners of a sample are one range (its identity) less
    # one within it (its group there), and can be drawn without rejection.
    order = samples[np.lexsort((groups[samples], labels[samples]))]
    label, group = labels[order], groups[order]
    begin = np.searchsorted(label, label, side='left')
    end = np.searchsorted(label, label, side='right')
    same = label * (groups.max() + 1) + group
    skip = np.searchsorted(same, same, side='left')
    skip_to = np.searchsorted(same, same, side='right')
    partners = (end - begin) - (skip_to - skip)
    cumulative = np.cumsum(partners)
    total = cumulative[-1] if len(order) else 0
    _check_enough('genuine', fold, count, total // 2)

    def draw(size: int) -> NDArray[np.int64]:
        rank = rng.randint(0, total, size=size)
        first = np.searchsorted(cumulative, rank, side='right')
        step = rank - (cumulative - partners)[first]
        second = begin[first] + step
        second += np.where(second >= skip[first], (skip_to - skip)[first], 0)
        return np.stack([order[first], order[second]], axis=1)

    return _draw_distinct(draw, count, len(labels))


def _impostor(
    samples: NDArray[np.int64],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    count: int,
    rng: np.random.RandomState,
    fold: int,
) -> NDArray[np.int64]:
    label, group = labels[samples], groups[samples]

    def squares(keys: NDArray[np.int64]) -> int:
        return int((np.unique(keys, return_counts=True)[1] ** 2).sum())

    # Ordered pairs by inclusion and exclusion.
    total = (
        len(samples) ** 2
        - squares(label)
        - squares(group)
        + squares(label * (groups.max() + 1) + group)
    )
    _check_enough('impostor', fold, count, total // 2)

    def draw(size: int) -> NDArray[np.int64]:
        pair = rng.randint(0, len(samples), size=(size, 2))
        keep = label[pair[:, 0]] != label[pair[:, 1]]
        keep &= group[pair[:, 0]] != group[pair[:, 1]]
        return samples[pair[keep]]

    return _draw_distinct(draw, count, len(labels))


def _check_enough(kind: str, fold: int, count: int, available: int) -> None:
    if available < count:
        raise ValueError(
            f'fold {fold} needs {count} {kind} pairs of samples of different '
            f'groups, but only {available} exist. Lower num_pairs, or use '
            'more identities or groups.'
        )


def _draw_distinct(
    draw: Callable[[int], NDArray[np.int64]], count: int, num_samples: int
) -> NDArray[np.int64]:
    """The first `count` distinct pairs of a random sequence of pairs."""
    codes = np.empty(0, dtype=np.int64)
    while len(codes) < count:
        pair = np.sort(draw(2 * count), axis=1)
        codes = np.concatenate([codes, pair[:, 0] * num_samples + pair[:, 1]])
        _, first = np.unique(codes, return_index=True)
        codes = codes[np.sort(first)]
    codes = codes[:count]
    return np.stack([codes // num_samples, codes % num_samples], axis=1)
