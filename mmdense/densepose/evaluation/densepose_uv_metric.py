"""What can be measured without a surface, as a metric of mmengine."""

from collections.abc import Sequence

from mmdense.registry import METRICS

from .densepose_metric import DensePoseMetric


@METRICS.register_module()
class DensePoseUVMetric(DensePoseMetric):
    """What can be said without geodesic distances.

    For data whose surface is not at hand: `part_accuracy`, the share of points
    whose part is right, `uv_error`, the mean distance in (U, V) of those,
    `covered`, the share of points that are predicted to be of the person, and
    `mask_iou`, of the people whose box was found; and AP and AR by masks
    alone, `segm_AP` and so on. None of it is GPS.

    Args:
        ann_file: As for :class:`DensePoseCocoMetric`, like all others.
        lowest_threshold: Where AP starts.
        max_detections: Of an image and category, that are scored.
        strict: Correct what is wrong in the published evaluator.
        classes: Names of categories in the order of the labels.
        by_part: Log errors by part, too.
        outfile_prefix: Save detections.
        format_only: Do nothing else.
        collect_device: As in mmengine.
        prefix: As in mmengine.

    Raises:
        ValueError: An argument is out of its range.
    """

    default_prefix = 'densepose_uv'

    def __init__(
        self,
        ann_file: str,
        lowest_threshold: float = 0.5,
        max_detections: int = 20,
        strict: bool = False,
        classes: Sequence[str] | None = None,
        by_part: bool = False,
        outfile_prefix: str | None = None,
        format_only: bool = False,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(
            ann_file,
            None,
            None,
            lowest_threshold,
            max_detections,
            strict,
            classes,
            by_part,
            outfile_prefix,
            format_only,
            collect_device,
            prefix,
        )
