"""Pictures of dense annotations and predictions."""

from collections.abc import Sequence

import numpy as np
from mmdet.structures.bbox import get_box_tensor
from mmdet.visualization import DetLocalVisualizer
from mmengine.structures import InstanceData

from mmdense.registry import VISUALIZERS

from ..structures import DensePoseInstances, DensePoseResults
from . import drawing, shrinking, textures

PANELS = ('image', 'boxes', 'parts', 'U', 'V', 'texture')


@VISUALIZERS.register_module()
class DensePoseVisualizer(DetLocalVisualizer):
    """Draws dense pose in panels beside each other.

    ========= ===================================== =========================
    panel     of annotations                        of predictions
    ========= ===================================== =========================
    `image`   the image                             the same
    `boxes`   boxes and masks as mmdet draws them   the same
    `parts`   part masks, points colored by part    pixels colored by part
    `U`, `V`  points colored by value               pixels colored by value
    `texture` (not drawn)                           a texture on the person
    ========= ===================================== =========================

    Where people overlap, the one with the higher score is in front. Instances
    without `densepose` are drawn as mmdet does.

    Args:
        name: Of the instance.
        *args: As for `mmdet.DetLocalVisualizer`.
        panels: What to draw, of the above.
        point_radius: Of the discs, px; None: by the size of the image.
        texture: Path of an atlas image in DensePose's layout; None: squares
            in the colors of the parts.
        dense_alpha: Opacity of predicted parts, U, V and texture.
        max_size: Of a panel, the longer side in px: larger images are
            drawn smaller. None: as they are.
        alpha: Opacity of boxes and instance masks.
        **kwargs: As for `mmdet.DetLocalVisualizer`.

    Raises:
        FileNotFoundError: There is no such texture.
        ValueError: A panel is not known, the texture cannot be used, or
            `max_size` is below 1.
    """

    def __init__(
        self,
        name: str = 'visualizer',
        *args,
        panels: Sequence[str] = ('boxes', 'parts', 'U', 'V'),
        point_radius: float | None = None,
        texture: str | None = None,
        dense_alpha: float = 0.8,
        max_size: int | None = None,
        alpha: float = 0.5,
        **kwargs,
    ) -> None:
        if not panels or not set(panels) <= set(PANELS):
            raise ValueError(
                f'panels must be some of {", ".join(PANELS)}, got '
                f'{list(panels)}'
            )
        if max_size is not None and max_size < 1:
            raise ValueError(
                f'max_size must be at least 1 px, or None, got {max_size}'
            )
        super().__init__(name, *args, alpha=alpha, **kwargs)
        self.panels = tuple(panels)
        self.point_radius, self.dense_alpha = point_radius, dense_alpha
        self.max_size = max_size
        if texture is None:
            self.texture = textures.checkers()
        else:
            self.texture = textures.read_atlas(texture)

    def get_image(self) -> np.ndarray:
        """The picture, with what was drawn since it was set."""
        axes = self.ax_save
        over = (axes.lines, axes.patches, axes.collections, axes.texts)
        if self._image is None or any(map(len, over)) or len(axes.images) > 1:
            return super().get_image()
        # A canvas takes many times the memory of a wide picture.
        return self._image.copy()

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
        is_prediction = isinstance(instances.densepose, DensePoseResults)
        if is_prediction:
            iuv = _join(instances, *image.shape[:2])
        limit = self.max_size
        if limit is not None and max(image.shape[:2]) > limit:
            large = image
            image = shrinking.shrink_image(large, limit)
            height, width = image.shape[:2]
            scale = width / large.shape[1], height / large.shape[0]
            instances = shrinking.shrink_people(instances, scale)
            if is_prediction:
                iuv = shrinking.shrink_iuv(iuv, height, width)
        drawn = []
        for panel in self.panels:
            if panel == 'image':
                picture = image
            elif panel == 'boxes':
                picture = super()._draw_instances(
                    image, instances, classes, palette
                )
            elif is_prediction:
                picture = self._draw_iuv(image, iuv, panel)
            elif panel == 'texture':
                continue
            else:
                dense = instances.densepose.cpu()
                picture = self._draw_dense(image, dense, panel)
            drawn.append(
                drawing.write_caption(picture, panel, panel in ('U', 'V'))
            )
        picture = drawing.place_side_by_side(drawn) if drawn else image
        self.set_image(picture)
        return picture

    def _draw_iuv(
        self, image: np.ndarray, iuv: np.ndarray, panel: str
    ) -> np.ndarray:
        where = iuv[0] > 0
        pixels = iuv[:, where]
        if panel == 'parts':
            colors = drawing.PART_COLORS[pixels[0]]
        elif panel == 'texture':
            colors = textures.look_up(self.texture, pixels)
        else:
            values = pixels['IUV'.index(panel)]
            colors = drawing.value_colors(values / 255)
        return drawing.paint_where(image, colors, where, self.dense_alpha)

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


def _join(people: InstanceData, height: int, width: int) -> np.ndarray:
    """The IUV of an image; the surest person in front."""
    order = people.scores.argsort()
    return drawing.place_iuvs(
        [iuv.cpu().numpy() for iuv in people.densepose[order]],
        people.bboxes[order].cpu().numpy(),
        height,
        width,
    )
