"""The scores of a data set, from the results of its images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..functional.average_precision import (
    AREA_RANGES,
    UNDEFINED,
    PrecisionRecall,
    precision_recall,
    summarize,
)
from ..functional.point_errors import (
    WITHIN_CM,
    PointErrors,
    summarize_errors,
)
from .scorer import DensePoseScorer, ImageResult


@dataclass(frozen=True)
class Evaluation:
    """The scores of a data set.

    Attributes:
        tables: By measure, AP, AP50 and so on, percent; see
            :func:`~..functional.average_precision.summarize`.
        curves: By measure, of people of all sizes, one for each category.
        thresholds: (T,) of the curves.
        errors: Of the points of the people that were found.
        mask_iou: Mean over people that were found, percent, or NaN.
        num_images: How many.
        num_people: How many there were to be found.
        num_detections: How many were taken into account.
    """

    tables: dict[str, dict[str, float]]
    curves: dict[str, list[PrecisionRecall]]
    thresholds: np.ndarray
    errors: PointErrors
    mask_iou: float
    num_images: int
    num_people: int
    num_detections: int

    def metrics(self) -> dict[str, float]:
        """All as plain numbers, those that are undefined left out."""
        result = {
            f'{measure}_{name}': value
            for measure, table in self.tables.items()
            for name, value in table.items()
        }
        summary = summarize_errors(self.errors)
        result |= {
            'covered': summary.covered,
            'part_accuracy': summary.part_accuracy,
            'uv_error': summary.uv_error,
            'mask_iou': self.mask_iou,
            'mean_cm': summary.mean_cm,
            'median_cm': summary.median_cm,
        }
        for limit, share in zip(WITHIN_CM, summary.within, strict=True):
            result[f'within_{limit}cm'] = share
        return {k: v for k, v in result.items() if not np.isnan(v)}


def evaluate_images(
    results: Sequence[ImageResult],
    scorer: DensePoseScorer,
    category_ids: Sequence[Any],
) -> Evaluation:
    """Put the results of images together.

    Args:
        results: Of each image and category, in any order; of those that
            occur twice the first counts.
        scorer: What made them.
        category_ids: All that are evaluated.
    """
    unique: dict[tuple[Any, Any], ImageResult] = {}
    for result in results:
        unique.setdefault((result.category_id, result.image_id), result)
    # Equal scores are ranked in the order of the images.
    of_category = {
        category: sorted(
            (r for (c, _), r in unique.items() if c == category),
            key=lambda result: result.image_id,
        )
        for category in category_ids
    }
    count = len(scorer.thresholds)
    tables, curves = {}, {}
    for measure in scorer.measures:
        by_category = [
            {
                area: precision_recall(
                    [r.matches[measure, area] for r in images],
                    [r.scores for r in images],
                    count,
                )
                for area in AREA_RANGES
            }
            for images in of_category.values()
        ]
        tables[measure] = summarize(by_category, scorer.thresholds)
        curves[measure] = [curve['all'] for curve in by_category]
    images = list(unique.values())
    num_detections = sum(len(result.scores) for result in images)
    if not num_detections and not scorer.strict:
        tables = {
            measure: dict.fromkeys(table, UNDEFINED)
            for measure, table in tables.items()
        }
    overlaps = np.concatenate([r.mask_ious for r in images] or [np.zeros(0)])
    first = scorer.measures[0]
    return Evaluation(
        tables,
        curves,
        scorer.thresholds,
        PointErrors.cat([result.errors for result in images]),
        100 * float(overlaps.mean()) if len(overlaps) else float('nan'),
        len({result.image_id for result in images}),
        sum(result.matches[first, 'all'].num_people for result in images),
        num_detections,
    )
