"""Writes the pictures of a verification after it has run."""

from pathlib import Path

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.runner import BaseLoop

from mmdense.recognition.evaluation.verification_metric import (
    VerificationMetric,
)
from mmdense.registry import HOOKS

from .metric_pictures_hook import MetricPicturesHook
from .verification_plots import plot_pairs, plot_roc, plot_scores


@HOOKS.register_module()
class VerificationVisualizationHook(MetricPicturesHook):
    """ROC, score histogram and hardest pairs of `VerificationMetric`.

    After each validation or test, overwrites `roc.png`, `scores.png`,
    `hardest_genuine.png` and `hardest_impostor.png` in
    `<work_dir>/<out_dir>`, for named packs in a folder of that name below it.
    Needs a data set whose samples have `inputs`.

    Args:
        out_dir: Folder below the work dir.
    """

    def __init__(self, out_dir: str = 'verification') -> None:
        super().__init__(out_dir)

    def draw_metric(
        self, metric: BaseMetric, loop: BaseLoop, folder: Path
    ) -> None:
        """Draw the packs of a verification."""
        if isinstance(metric, VerificationMetric):
            for name, details in metric.details.items():
                _draw_pack(details, loop.dataloader.dataset, folder / name)


def _draw_pack(details: dict, dataset, folder: Path) -> None:
    """The four pictures of one pack."""
    folder.mkdir(parents=True, exist_ok=True)
    plot_roc(details['fars'], details['tars'], folder / 'roc.png')
    plot_scores(details['scores'], details['issame'], folder / 'scores.png')
    for kind in ('genuine', 'impostor'):
        numbers = details[f'hardest_{kind}']
        plot_pairs(
            [
                (_image(dataset, i), _image(dataset, j))
                for i, j in details['pairs'][numbers].tolist()
            ],
            [f'cosine {details["scores"][n]:.2f}' for n in numbers],
            folder / f'hardest_{kind}.png',
            f'{kind} pairs judged worst',
        )


def _image(dataset, index: int) -> np.ndarray:
    """The (H, W, 3) or (H, W) picture of a sample, as the network gets it."""
    packed = dataset[index]
    inputs = packed['inputs']
    if isinstance(inputs, list):  # of test-time augmentation
        flips = [sample.get('flip') for sample in packed['data_samples']]
        inputs = inputs[flips.index(False) if False in flips else 0]
    image = inputs.numpy().transpose(1, 2, 0)
    if image.shape[2] == 1:
        return image[:, :, 0]
    return image[:, :, ::-1]  # the pipelines of the hosts deliver BGR
