"""Writes the curves of an identification or of IJB after it has run."""

from pathlib import Path

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.runner import BaseLoop

from mmdense.recognition.evaluation.identification_metric import (
    IdentificationMetric,
)
from mmdense.recognition.evaluation.ijb_metric import IJBMetric
from mmdense.recognition.evaluation.ijb_protocol import IJBResult
from mmdense.recognition.functional.identification import Identification
from mmdense.registry import HOOKS

from .curve_plots import plot_cmcs, plot_dets, plot_rocs, plot_tpirs
from .metric_pictures_hook import MetricPicturesHook
from .verification_plots import plot_scores


@HOOKS.register_module()
class CurvesVisualizationHook(MetricPicturesHook):
    """ROC, DET, CMC and open-set curves, whichever the metric has.

    After each validation or test, overwrites in `<work_dir>/<out_dir>`: of
    `IdentificationMetric`, `cmc.png` and, with queries of nobody in the
    gallery, `open_set.png`; of `IJBMetric` besides `roc.png`, `det.png` and
    `scores.png`, a curve for each variant and gallery.

    Args:
        out_dir: Folder below the work dir.
    """

    def __init__(self, out_dir: str = 'curves') -> None:
        super().__init__(out_dir)

    def draw_metric(
        self, metric: BaseMetric, loop: BaseLoop, folder: Path
    ) -> None:
        """Draw an identification or IJB."""
        if isinstance(metric, IdentificationMetric):
            draw_searches({'': metric.found}, folder)
        elif isinstance(metric, IJBMetric):
            draw_ijb(metric.results_of, metric.issame, folder)


def draw_ijb(
    results: dict[str, IJBResult], issame: np.ndarray, folder: Path
) -> None:
    """Draw all pictures of IJB.

    Args:
        results: By variant.
        issame: (P,) bool.
        folder: Where to; made if needed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    curves = {name: (r.fars, r.tars) for name, r in results.items()}
    plot_rocs(curves, folder / 'roc.png')
    plot_dets(curves, folder / 'det.png')
    first = next(iter(results.values()))
    plot_scores(first.scores, issame, folder / 'scores.png')
    searches = {
        f'{name} {gallery}': found
        for name, result in results.items()
        for gallery, found in result.searches.items()
    }
    draw_searches(searches, folder)


def draw_searches(
    searches: dict[str, Identification], folder: Path, max_rank: int = 20
) -> None:
    """Draw the CMC and open-set curves of searches.

    Args:
        searches: By name.
        folder: Where to; made if needed.
        max_rank: The largest rank of the CMC.
    """
    closed = {
        name: found.cmc(max_rank)
        for name, found in searches.items()
        if found.mated.any()
    }
    fpirs = np.logspace(-4, 0, 101)[:-1]
    open_set = {
        name: (fpirs, found.tpir(fpirs))
        for name, found in searches.items()
        if found.mated.any() and not found.mated.all()
    }
    folder.mkdir(parents=True, exist_ok=True)
    if closed:
        plot_cmcs(closed, folder / 'cmc.png')
    if open_set:
        plot_tpirs(open_set, folder / 'open_set.png')
