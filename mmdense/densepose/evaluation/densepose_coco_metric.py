"""AP and AR of dense pose as a metric of mmengine."""

from collections.abc import Sequence

from mmdense.registry import METRICS

from ..surface import build_surface
from ..surface.build import SurfaceConfig
from .densepose_metric import DensePoseMetric


@METRICS.register_module()
class DensePoseCocoMetric(DensePoseMetric):
    """AP and AR of dense pose, the protocol of the COCO DensePose challenges.

    In percent, `gps_AP`, `gps_AP50`, `gps_AP75`, `gps_APm`, `gps_APl`,
    `gps_AR` and so on by geodesic point similarity, the same of `gpsm_`, its
    geometric mean with the overlap of masks, and of `segm_`, that overlap
    alone; -1 where there is nobody to be found. They are those of
    detectron2's evaluator, its matching rules included. Beyond these, of the
    points of people whose box was found, `mean_cm`, `median_cm`,
    `within_5cm`, `within_10cm`, `within_20cm`, `covered`, `part_accuracy` and
    `uv_error`, and `mask_iou`; the log has them by size and occlusion.

    The images that are visited are evaluated, each rank its own; rank 0 only
    adds them up.

    Güler et al., "DensePose", 2018; see docs/densepose_evaluation.md.

    Args:
        ann_file: Annotations in DensePose-COCO's format.
        surface: What they were annotated on; see
            :func:`~mmdense.densepose.surface.build_surface`. None: the body
            that ships.
        kappa: Tolerance in metres; 0.255 for the first paper's. None: the
            surface's, by part, as in the challenges.
        lowest_threshold: Where AP starts; the highest is 0.95.
        max_detections: How many of an image and category are scored, by
            falling score.
        strict: Correct what is wrong in the published evaluator; the scores
            are no longer comparable with its.
        classes: Names of categories in the order of the labels. None: those
            of the data set.
        by_part: Log errors by part, and which parts are confused, too.
        outfile_prefix: Save all detections in
            `<outfile_prefix>.densepose.json`, in the layout of the
            challenges. Until the end they are held in memory, as PNGs.
        format_only: Do nothing else.
        collect_device: As in mmengine.
        prefix: As in mmengine.

    Raises:
        ValueError: An argument is out of its range.
        FileNotFoundError: The surface is missing.
    """

    default_prefix = 'densepose'

    def __init__(
        self,
        ann_file: str,
        surface: SurfaceConfig = None,
        kappa: float | None = None,
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
            build_surface(surface),
            kappa,
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
