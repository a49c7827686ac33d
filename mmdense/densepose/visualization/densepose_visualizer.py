"""Pictures of dense annotations."""

from collections.abc import Sequence

import numpy as np
from mmdet.structures.bbox import get_box_tensor
from mmdet.visualization import DetLocalVisualizer
from mmengine.structures import InstanceData

from mmdense.registry import VISUALIZERS

from ..structures import DensePoseInstances
from . import drawing

PANELS = ('boxes', 'parts', 'U', 'V')


@VISUALIZERS.register_module()
class DensePoseVisualizer(DetLocalVisualizer):
    """Draws dense annotations in panels beside each other.

    `boxes` are boxes and instance masks as mmdet draws them, `parts` the
    part masks and the points colored by part, `U` and `V` the points colored
    by value. Instances without `densepose` are drawn as mmdet does.

    Args:
        name: Of the instance.
        *args: As for `mmdet.DetLocalVisualizer`.
        panels: What to draw, of `'boxes'`, `'parts'`, `'U'`, `'V'`.
        point_radius: Of the discs, px; None: by the size of the image.
        alpha: Opacity of boxes and instance masks.
        **kwargs: As for `mmdet.DetLocalVisualizer`.

    Raises:
        ValueError: A panel is not known.
    """

    def __init__(
        self,
        name: str = 'visualizer',
        *args,
        panels: Sequence[str] = PANELS,
        point_radius: float | None = None,
        alpha: float = 0.5,
        **kwargs,
    ) -> None:
        unknown = [panel for panel in panels if panel not in PANELS]
        if unknown or not panels:
            raise ValueError(
                f'panels must be some of {", ".join(PANELS)}, got '
                f'{list(panels)}'
            )
        super().__init__(name, *args, alpha=alpha, **kwargs)
        self.panels = tuple(panels)
        self.point_radius = point_radius

    def _draw_instances(
        self,
        image: np.ndarray,
        instances: InstanceData,
        classes: list[str] | None,
        palette: list[tuple] | None,
    ) -> np.ndarray:
        if 'densepose' not in instances:
            return super()._draw_instances(image, instances, classes, palette)
        # mmdet draws tensors only; ground truth comes as boxes.
        boxes = get_box_tensor(instances.bboxes)
        instances = InstanceData(
            **{**dict(instances.items()), 'bboxes': boxes}
        )
        drawn = []
        for panel in self.panels:
            if panel == 'boxes':
                picture = super()._draw_instances(
                    image, instances, classes, palette
                )
            else:
                picture = self._draw_dense(image, instances.densepose, panel)
            drawn.append(
                drawing.write_caption(picture, panel, panel in ('U', 'V'))
            )
        picture = drawing.place_side_by_side(drawn)
        self.set_image(picture)
        return picture

    def _draw_dense(
        self, image: np.ndarray, dense: DensePoseInstances, panel: str
    ) -> np.ndarray:
        height, width = image.shape[:2]
        if panel == 'parts':
            colors = drawing.PART_COLORS[dense.part.numpy()]
            labels = np.zeros((height, width), dtype=np.uint8)
            for i in dense.has_part_mask.nonzero().flatten().tolist():
                placed = drawing.place_labels(
                    dense.part_masks[i].numpy(),
                    dense.mask_to_image[i].double().numpy(),
                    height,
                    width,
                )
                labels = np.where(placed > 0, placed, labels)
            image = drawing.paint_labels(image, labels)
        else:
            values = dense.uv[:, 'UV'.index(panel)].numpy()
            colors = drawing.value_colors(values)
        radius = self.point_radius or max(1.5, min(height, width) / 200)
        return drawing.paint_points(image, dense.xy.numpy(), colors, radius)
