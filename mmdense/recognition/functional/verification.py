"""Verification: are two samples of the same identity?"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class VerificationResult:
    """Accuracy over folds.

    Attributes:
        accuracy: Mean over folds of the accuracy on the fold held out.
        accuracy_std: Population standard deviation over folds.
        fold_accuracies: (F,) accuracy on each fold.
        fold_thresholds: (F,) threshold chosen on the other folds.
    """

    accuracy: float
    accuracy_std: float
    fold_accuracies: NDArray[np.float64] = field(repr=False)
    fold_thresholds: NDArray[np.float64] = field(repr=False)

    def __str__(self) -> str:
        return (
            f'accuracy {100 * self.accuracy:.2f} +- '
            f'{100 * self.accuracy_std:.2f} % over '
            f'{len(self.fold_accuracies)} folds'
        )


def check_pairs(
    values: NDArray[np.float64], issame: NDArray[np.bool_], name: str
) -> None:
    """Raise a ValueError unless there are pairs of both kinds, all finite."""
    if values.ndim != 1 or values.shape != issame.shape:
        raise ValueError(
            f'{name} and issame must both have shape (P,), got '
            f'{values.shape} and {issame.shape}'
        )
    if not np.isfinite(values).all():
        raise ValueError(
            f'got {np.count_nonzero(~np.isfinite(values))} of {values.size} '
            f'{name} that are NaN or infinite; look for NaN embeddings'
        )
    if issame.all() or not issame.any():
        raise ValueError(
            f'got {np.count_nonzero(issame)} genuine pairs of '
            f'{issame.size}; both genuine and impostor pairs are needed'
        )


def verify_pairs(
    distances: ArrayLike,
    issame: ArrayLike,
    folds: ArrayLike,
    thresholds: ArrayLike | None = None,
) -> VerificationResult:
    """Cross-validated accuracy, the protocol of Labeled Faces in the Wild.

    Huang et al., "Labeled Faces in the Wild", UMass Amherst TR 07-49, 2007,
    section IV. For each fold, the threshold with the best accuracy on the
    other folds (the lowest, if several are best) is applied to it.

    Args:
        distances: (P,) squared Euclidean distances of unit embeddings, in
            [0, 4].
        issame: (P,) bool, whether the pair shows one identity.
        folds: (P,) int, the fold of each pair.
        thresholds: (T,) candidates, ascending. A pair is accepted when its
            distance is below. Defaults to 0, 0.01, ... 3.99, as the field
            does.

    Raises:
        ValueError: Shapes differ, a distance is not finite, only one kind
            of pair, or fewer than two folds.
    """
    distances = np.asarray(distances, dtype=np.float64)
    issame = np.asarray(issame, dtype=bool)
    folds = np.asarray(folds)
    check_pairs(distances, issame, 'distances')
    names = np.unique(folds)
    if folds.shape != distances.shape or len(names) < 2:
        raise ValueError(
            f'folds must name at least two folds in shape '
            f'{distances.shape}, got {len(names)} in shape {folds.shape}'
        )
    if thresholds is None:
        thresholds = np.arange(0, 4, 0.01)
    thresholds = np.asarray(thresholds, dtype=np.float64)

    # How many pairs of each fold are judged right at each threshold, (F, T).
    right = np.empty((len(names), len(thresholds)), dtype=np.int64)
    sizes = np.empty(len(names), dtype=np.int64)
    for i, name in enumerate(names):
        mine = folds == name
        genuine = np.sort(distances[mine & issame])
        impostor = np.sort(distances[mine & ~issame])
        accepted = np.searchsorted(genuine, thresholds, side='left')
        rejected = len(impostor) - np.searchsorted(
            impostor, thresholds, side='left'
        )
        right[i] = accepted + rejected
        sizes[i] = len(genuine) + len(impostor)

    best = np.argmax(right.sum(axis=0) - right, axis=1)
    accuracies = right[np.arange(len(names)), best] / sizes
    return VerificationResult(
        accuracy=float(accuracies.mean()),
        accuracy_std=float(accuracies.std()),
        fold_accuracies=accuracies,
        fold_thresholds=thresholds[best],
    )


def tar_at_far(scores: ArrayLike, issame: ArrayLike, far: float) -> float:
    """True accept rate at a false accept rate of at most `far`.

    Grother and Ngan, "Face Recognition Vendor Test", NIST IR 8009, 2014:
    the threshold is an impostor score, accepted are the scores above it.

    Args:
        scores: (P,) similarities, higher for likelier genuine pairs.
        issame: (P,) bool.
        far: Share of impostor pairs that may be accepted, in (0, 1).

    Returns:
        Share of genuine pairs accepted.

    Raises:
        ValueError: Shapes differ, a score is not finite, only one kind of
            pair, or `far` is not in (0, 1).
    """
    if not 0 < far < 1:
        raise ValueError(f'far must be in (0, 1), got {far}')
    scores = np.asarray(scores, dtype=np.float64)
    issame = np.asarray(issame, dtype=bool)
    check_pairs(scores, issame, 'scores')
    impostor = np.sort(scores[~issame])[::-1]
    # The rounding guards against 0.001 * 3000 = 2.9999999999999996.
    allowed = int(np.floor(round(far * len(impostor), 9)))
    allowed = min(allowed, len(impostor) - 1)  # it guards the upper end too
    return float(np.mean(scores[issame] > impostor[allowed]))


def roc_curve(
    scores: ArrayLike, issame: ArrayLike, corners: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The receiver operating characteristic, one point per distinct score.

    Args:
        scores: (P,) similarities.
        issame: (P,) bool.
        corners: Whether to leave out points on the straight line between
            their neighbours, as scikit-learn does. The curve is the same.

    Returns:
        False and true accept rates, each (K,), both ascending from (0, 0)
        to (1, 1).

    Raises:
        ValueError: Shapes differ, a score is not finite, or only one kind
            of pair.
    """
    scores = np.asarray(scores, dtype=np.float64)
    issame = np.asarray(issame, dtype=bool)
    check_pairs(scores, issame, 'scores')
    order = np.argsort(-scores, kind='stable')
    ranked, genuine = scores[order], issame[order]
    # Pairs of one score are accepted together.
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    true_accepts = np.cumsum(genuine)[last]
    false_accepts = np.cumsum(~genuine)[last]
    if corners and len(last) > 2:
        bends = np.diff(false_accepts, 2).astype(bool)
        bends |= np.diff(true_accepts, 2).astype(bool)
        kept = np.concatenate([[True], bends, [True]])
        false_accepts, true_accepts = false_accepts[kept], true_accepts[kept]
    return (
        np.append(0.0, false_accepts / (~issame).sum()),
        np.append(0.0, true_accepts / issame.sum()),
    )


def tar_nearest_far(fars: ArrayLike, tars: ArrayLike, far: float) -> float:
    """True accept rate at the corner of the ROC nearest to a rate.

    How figures on IJB are made (insightface, `eval_ijbc.py`): of the corners
    of the curve the one whose false accept rate is nearest to `far`, be it
    above or below, and of those at one rate the highest. It can exceed
    :func:`tar_at_far`, which never accepts more than `far`.

    Args:
        fars: (K,) ascending; see :func:`roc_curve` with `corners`.
        tars: (K,).
        far: The rate to be near to.
    """
    backwards = np.asarray(fars)[::-1]
    nearest = np.argmin(np.abs(backwards - far))
    return float(np.asarray(tars)[::-1][nearest])


def area_under_roc(fars: ArrayLike, tars: ArrayLike) -> float:
    """Area under the ROC by trapezoids: 1 perfect, 0.5 by chance.

    Args:
        fars: (K,) ascending, from 0 to 1.
        tars: (K,).
    """
    tars = np.asarray(tars)
    return float(
        np.sum(np.diff(np.asarray(fars)) * (tars[1:] + tars[:-1])) / 2
    )
