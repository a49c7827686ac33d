"""The validation rate (VAL) at a false accept rate, over folds."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .verification import check_pairs


@dataclass(frozen=True)
class ValidationRate:
    """True accepts at a threshold that was set on other pairs.

    Attributes:
        rate: Mean over folds of the true accept rate on the fold held out.
        rate_std: Population standard deviation over folds.
        far: Mean over folds of the false accept rate on the fold held out.
        fold_rates: (F,) true accept rate on each fold.
        fold_fars: (F,) false accept rate on each fold.
        fold_thresholds: (F,) threshold set on the other folds.
    """

    rate: float
    rate_std: float
    far: float
    fold_rates: NDArray[np.float64] = field(repr=False)
    fold_fars: NDArray[np.float64] = field(repr=False)
    fold_thresholds: NDArray[np.float64] = field(repr=False)


def validation_rate(
    distances: ArrayLike,
    issame: ArrayLike,
    folds: ArrayLike,
    far: float = 1e-3,
    thresholds: ArrayLike | None = None,
) -> ValidationRate:
    """VAL at a false accept rate, as the field reports it for LFW.

    Schroff et al., "FaceNet", CVPR 2015, section 4, over folds. The false
    accept rate on the other folds, as a function of the threshold, is taken
    for piecewise linear, and the threshold where it is `far` is applied to
    the fold. Where the function is flat at `far`, the last candidate of the
    flat part is the threshold; where it stays below `far`, nothing is
    accepted.

    :func:`~.verification.tar_at_far` over all pairs needs no folds and is
    the better known figure; this one compares with insightface's logs.

    Args:
        distances: (P,) squared Euclidean distances of unit embeddings.
        issame: (P,) bool, whether the pair shows one identity.
        folds: (P,) int, the fold of each pair.
        far: False accept rate to aim at, in (0, 1).
        thresholds: (T,) candidates, ascending. Defaults to 0, 0.001, ...
            3.999, as the field does.

    Raises:
        ValueError: Shapes differ, a distance is not finite, `far` is not in
            (0, 1), fewer than two folds, or a fold without genuine or
            without impostor pairs.
    """
    if not 0 < far < 1:
        raise ValueError(f'far must be in (0, 1), got {far}')
    distances = np.asarray(distances, dtype=np.float64)
    issame = np.asarray(issame, dtype=bool)
    folds = np.asarray(folds)
    check_pairs(distances, issame, 'distances')
    if folds.shape != distances.shape:
        raise ValueError(
            f'folds must have shape {distances.shape}, got {folds.shape}'
        )
    names = np.unique(folds)
    if len(names) < 2:
        raise ValueError(f'got {len(names)} fold, expected at least two')
    if thresholds is None:
        thresholds = np.arange(0, 4, 0.001)
    thresholds = np.asarray(thresholds, dtype=np.float64)

    rates, fars, chosen = np.empty((3, len(names)))
    for i, name in enumerate(names):
        held_out = folds == name
        genuine = distances[held_out & issame]
        impostor = distances[held_out & ~issame]
        if not len(genuine) or not len(impostor):
            raise ValueError(
                f'fold {name} has {len(genuine)} genuine and {len(impostor)} '
                'impostor pairs; each fold needs both. Pairs sorted by kind '
                'have to be mixed before they are cut into folds'
            )
        others = np.sort(distances[~held_out & ~issame])
        accepted = np.searchsorted(others, thresholds, side='left')
        threshold = _crossing(accepted / len(others), thresholds, far)
        rates[i] = np.mean(genuine < threshold)
        fars[i] = np.mean(impostor < threshold)
        chosen[i] = threshold
    return ValidationRate(
        rate=float(rates.mean()),
        rate_std=float(rates.std()),
        far=float(fars.mean()),
        fold_rates=rates,
        fold_fars=fars,
        fold_thresholds=chosen,
    )


def _crossing(
    rates: NDArray[np.float64], thresholds: NDArray[np.float64], far: float
) -> float:
    """Where the ascending `rates` reach `far`, by linear interpolation."""
    if rates[-1] < far:
        return 0.0
    above = int(np.searchsorted(rates, far, side='right'))
    if above in (0, len(rates)):
        return float(thresholds[max(above - 1, 0)])
    low, high = rates[above - 1], rates[above]
    share = (far - low) / (high - low)
    step = thresholds[above] - thresholds[above - 1]
    return float(thresholds[above - 1] + share * step)
