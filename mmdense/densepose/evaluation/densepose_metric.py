"""What the metrics of dense pose have in common."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from torch import Tensor

from mmdense.distributed.collectives import raise_on_all_ranks, world_size

from ..functional.average_precision import similarity_thresholds
from ..structures import DensePoseResults
from ..surface import BodySurface
from .detections import Detections
from .ground_truth import DensePoseGroundTruth
from .report import report
from .results_file import Detection, write_results
from .scorer import DensePoseScorer, ImageResult
from .summary import Evaluation, evaluate_images


class DensePoseMetric(BaseMetric):
    """A metric of dense pose, with a surface or without.

    Scores each image on the rank that has it; rank 0 adds up.

    Attributes:
        evaluation: After `evaluate`, on rank 0: all that was found out.
    """

    def __init__(
        self,
        ann_file: str,
        surface: BodySurface | None,
        kappa: float | None,
        lowest_threshold: float,
        max_detections: int,
        strict: bool,
        classes: Sequence[str] | None,
        by_part: bool,
        outfile_prefix: str | None,
        format_only: bool,
        collect_device: str,
        prefix: str | None,
    ) -> None:
        super().__init__(collect_device, prefix)
        if format_only and outfile_prefix is None:
            raise ValueError(
                'format_only=True writes results and nothing else: set '
                'outfile_prefix to where they go'
            )
        if kappa is not None and not kappa > 0:
            raise ValueError(f'kappa must be positive metres, got {kappa}')
        if max_detections < 1:
            raise ValueError(
                f'max_detections must be at least 1, got {max_detections}'
            )
        self.ann_file = ann_file
        self.classes, self.by_part = classes, by_part
        self.outfile_prefix, self.format_only = outfile_prefix, format_only
        self.scorer = DensePoseScorer(
            surface,
            kappa,
            similarity_thresholds(lowest_threshold),
            max_detections,
            strict,
        )
        self.evaluation: Evaluation | None = None
        self._ground_truth: DensePoseGroundTruth | None = None
        self._error: Exception | None = None

    @property
    def ground_truth(self) -> DensePoseGroundTruth:
        """The annotations, read when first needed.

        Raises:
            FileNotFoundError, ValueError: As
                :class:`DensePoseGroundTruth`.
        """
        if self._ground_truth is None:
            meta = self.dataset_meta or {}
            self._ground_truth = DensePoseGroundTruth(
                self.ann_file,
                self.classes or meta.get('classes', ('person',)),
                self.scorer.strict,
            )
        return self._ground_truth

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Score the images of a batch; on each rank its own.

        Args:
            data_batch: Ignored.
            data_samples: Each with `img_id` and `pred_instances`: `bboxes`
                (N, 4) as x1, y1, x2, y2 in px, `scores`, `labels` and
                `densepose`, a :class:`DensePoseResults`, all of the image as
                it is in the file. `ori_shape` (height, width), if it is
                there, must be what is annotated.

        Raises:
            KeyError: A sample lacks one of them.
            ValueError: An image is not in the annotation file or of another
                size than it says, an IUV does not fit its box, or an
                annotation cannot be used.

        With several ranks errors wait for :meth:`evaluate`: a rank that
        raised alone would leave the others hanging.
        """
        if self._error is not None:
            return
        try:
            for sample in data_samples:
                self.results.append(self._process_image(sample))
        except Exception as error:
            if world_size() == 1:
                raise
            self._error = error

    def _process_image(
        self, sample: dict
    ) -> tuple[list[ImageResult], list[Detection]]:
        ground_truth = self.ground_truth
        image_id, labels, detections = _predictions(sample)
        self._check_size(sample)
        kept, saved = [], []
        if labels.size and labels.max() >= len(ground_truth.category_ids):
            raise ValueError(
                f'image {image_id}: label {labels.max()} is predicted, but '
                f'{len(ground_truth.category_ids)} classes are evaluated; '
                'set classes in the order of the labels'
            )
        for label, category_id in enumerate(ground_truth.category_ids):
            mine = np.flatnonzero(labels == label)
            chosen = Detections(
                detections.boxes[mine],
                detections.scores[mine],
                [detections.iuvs[k] for k in mine.tolist()],
            )
            if not self.format_only:
                people = ground_truth.people(image_id, category_id)
                kept.append(self._score(image_id, category_id, people, chosen))
            if self.outfile_prefix is not None:
                saved += [
                    Detection(image_id, category_id, *values)
                    for values in zip(
                        chosen.boxes.tolist(),
                        chosen.scores.tolist(),
                        DensePoseResults(chosen.iuvs).pngs(),
                        strict=True,
                    )
                ]
        return kept, saved

    def _check_size(self, sample: dict) -> None:
        """See that the image is the one that was annotated."""
        image_id, shape = sample['img_id'], sample.get('ori_shape')
        if shape is None or not self.ground_truth.has_image(image_id):
            return
        found, expected = tuple(shape[:2]), self.ground_truth.size(image_id)
        if found != expected:
            file = sample.get('img_path')
            name = f'image {image_id}' + (f' ({file})' if file else '')
            raise ValueError(
                f'{name} is {found[0]} x {found[1]} (height x width), but '
                f'{self.ground_truth.name} says {expected[0]} x '
                f'{expected[1]}: detections would be compared in the wrong '
                'place; evaluate the images that were annotated'
            )

    def _score(self, image_id, category_id, people, detections) -> ImageResult:
        try:
            return self.scorer.score(image_id, category_id, people, detections)
        except ValueError as error:
            raise ValueError(f'image {image_id}: {error}') from error

    def evaluate(self, size: int) -> dict[str, float]:
        """As in mmengine, but what fails on one rank raises on all."""
        error, self._error = self._error, None
        if error is not None:
            self.results.clear()
        raise_on_all_ranks(error)
        metrics = super().evaluate(size)
        error, self._error = self._error, None
        raise_on_all_ranks(error)
        return metrics

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Put images together, on rank 0; errors wait for `evaluate`."""
        try:
            return self._summarize(results)
        except Exception as error:
            self._error = error
            return {}

    def _summarize(self, results: list) -> dict[str, float]:
        logger = MMLogger.get_current_instance()
        if self.outfile_prefix is not None:
            path = f'{self.outfile_prefix}.densepose.json'
            write_results(path, (d for _, saved in results for d in saved))
            logger.info(f'wrote the detections to {path}')
            if self.format_only:
                return {}
        self.evaluation = evaluate_images(
            [result for kept, _ in results for result in kept],
            self.scorer,
            self.ground_truth.category_ids,
        )
        logger.info('\n' + report(self.evaluation, self.by_part))
        return self.evaluation.metrics()


def _predictions(sample: dict) -> tuple[Any, np.ndarray, Detections]:
    """Image, labels and detections of a data sample."""
    fields = sample.get('pred_instances', {})
    missing = [
        name
        for name in ('bboxes', 'scores', 'labels', 'densepose')
        if name not in fields
    ]
    if 'img_id' not in sample or missing:
        raise KeyError(
            'dense pose is evaluated from img_id and from bboxes, scores, '
            'labels and densepose of pred_instances; a data sample lacks '
            f'{missing or "img_id"}. densepose comes from UVRoIHead.predict, '
            "img_id from the meta_keys of the pipeline's last transform"
        )
    corners = fields['bboxes'].detach()
    # In their own precision, which the size of an IUV is computed in, too.
    sizes = corners[:, 2:] - corners[:, :2]
    boxes = _array(torch.cat([corners[:, :2], sizes], dim=1))
    iuvs = fields['densepose']
    if not isinstance(iuvs, DensePoseResults):
        raise TypeError(
            f'densepose must be DensePoseResults, got {type(iuvs).__name__}'
        )
    if len(iuvs) != len(boxes):
        raise ValueError(
            f'image {sample["img_id"]}: {len(boxes)} boxes, but densepose of '
            f'{len(iuvs)}'
        )
    detections = Detections(
        boxes.astype(np.float64),
        _array(fields['scores']).astype(np.float64),
        [iuv.cpu().numpy() for iuv in iuvs],
    )
    return sample['img_id'], _array(fields['labels']), detections


def _array(values: Tensor) -> np.ndarray:
    if values.dtype == torch.bfloat16:  # numpy has none
        values = values.float()
    return values.detach().cpu().numpy().copy()
