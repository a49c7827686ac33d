"""Average precision and recall over the images of a data set."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .matching import Matches

RECALL_LEVELS = np.linspace(0.0, 1.0, 101)
# Sizes of people, by annotated area in px; COCO has small ones, too.
AREA_RANGES = {
    'all': (0.0, 1e5**2),
    'medium': (32.0**2, 96.0**2),
    'large': (96.0**2, 1e5**2),
}
#: What is undefined, as there is nobody to be found.
UNDEFINED = -1.0


def similarity_thresholds(
    lowest: float = 0.5, highest: float = 0.95
) -> NDArray[np.float64]:
    """Thresholds 0.05 apart.

    Raises:
        ValueError: Not 0 < lowest <= highest < 1.
    """
    if not 0 < lowest <= highest < 1:
        raise ValueError(
            f'thresholds must be in (0, 1), got {lowest} to {highest}'
        )
    count = round((highest - lowest) / 0.05) + 1
    return np.linspace(lowest, highest, count).astype(np.float64)


@dataclass(frozen=True)
class PrecisionRecall:
    """How precision falls as more is found.

    Attributes:
        precision: (T, 101) at each threshold and each of `RECALL_LEVELS`.
        recall: (T,) the highest reached.

    All are `UNDEFINED` if there was nobody to be found.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]


def precision_recall(
    matches: Sequence[Matches],
    scores: Sequence[NDArray[np.float64]],
    num_thresholds: int,
) -> PrecisionRecall:
    """Precision over recall of all images together.

    Of equal scores those of earlier images come first.

    Args:
        matches: Of each image.
        scores: (D,) of each image, falling, as in its matches.
        num_thresholds: T.
    """
    num_people = sum(match.num_people for match in matches)
    shape = (num_thresholds, len(RECALL_LEVELS))
    if not num_people:
        return PrecisionRecall(
            np.full(shape, UNDEFINED), np.full(num_thresholds, UNDEFINED)
        )
    order = np.argsort(-np.concatenate(scores), kind='stable')
    found = np.concatenate([m.is_found for m in matches], axis=1)[:, order]
    ignored = np.concatenate([m.is_ignored for m in matches], axis=1)
    ignored = ignored[:, order]
    precision, recall = np.zeros(shape), np.zeros(num_thresholds)
    if not len(order):
        return PrecisionRecall(precision, recall)
    right = np.cumsum(found & ~ignored, axis=1, dtype=np.float64)
    wrong = np.cumsum(~found & ~ignored, axis=1, dtype=np.float64)
    ratio = right / (right + wrong + np.spacing(1))
    # The best that can be had at this recall or a higher one.
    ratio = np.maximum.accumulate(ratio[:, ::-1], axis=1)[:, ::-1]
    recalls = right / num_people
    for level in range(num_thresholds):
        at = np.searchsorted(recalls[level], RECALL_LEVELS, side='left')
        reached = at < len(order)
        precision[level, reached] = ratio[level, at[reached]]
    return PrecisionRecall(precision, recalls[:, -1])


def summarize(
    curves: Sequence[dict[str, PrecisionRecall]],
    thresholds: NDArray[np.float64],
) -> dict[str, float]:
    """The table of numbers of the published evaluator, in percent.

    Args:
        curves: Of each category, by the names of `AREA_RANGES`.
        thresholds: (T,).

    Returns:
        AP, AP20 to AP40 where thresholds start so low, AP50, AP75, APm, APl,
        AR, AR50, AR75, ARm, ARl; -1 where there was nobody to be found.
    """
    low = [k for k in (20, 30, 40) if 100 * thresholds[0] <= k + 0.1]
    result = {}
    for kind in ('precision', 'recall'):
        values = {
            name: np.stack([getattr(curve[name], kind) for curve in curves])
            for name in AREA_RANGES
        }
        head = 'AP' if kind == 'precision' else 'AR'
        result[head] = _mean(values['all'])
        for level in (*(low if head == 'AP' else ()), 50, 75):
            at = np.abs(100 * thresholds - level) < 0.1
            result[f'{head}{level}'] = _mean(values['all'][:, at])
        result[f'{head}m'] = _mean(values['medium'])
        result[f'{head}l'] = _mean(values['large'])
    return result


def _mean(values: NDArray[np.float64]) -> float:
    defined = values[values > UNDEFINED]
    return 100 * float(np.mean(defined)) if defined.size else UNDEFINED
