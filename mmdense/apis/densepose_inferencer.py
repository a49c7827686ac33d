"""Dense pose of photos in a few lines of Python."""

import base64
from collections.abc import Sequence
from pathlib import Path

import mmengine
import numpy as np
from mmdet.apis import DetInferencer
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import Compose

from mmdense.densepose.visualization import DensePoseVisualizer
from mmdense.densepose.visualization.densepose_visualizer import PANELS
from mmdense.registry import plain_name

#: The light model that ships with the package; its config is in it.
WEIGHTS = (
    Path(__file__).parents[1] / 'densepose/assets/uv-rcnn_light-8f17860a.pth'
)


class DensePoseInferencer(DetInferencer):
    """mmdet's inferencer for models with dense pose.

    Without arguments it loads the light model that ships with the package,
    which was trained on rendered people alone (docs/uv_rcnn.md says how well
    it does).

    Images are paths, or (H, W, 3) uint8 arrays in BGR order, as `cv2.imread`
    gives them.

    Args:
        model: Path of a config file, or the config; None: that which is in
            the weights.
        weights: Path of a checkpoint; None: that of the light model.
        panels: What pictures show, beside each other; see
            :class:`~mmdense.densepose.visualization.DensePoseVisualizer`.
        texture: See there.
        scale: Longer side that images are scaled to, px, in place of what the
            test pipeline has. People who are small in an image are found at
            a larger one.
        max_size: See there. It is of pictures alone: what is predicted is
            that of the whole image.
        **kwargs: As for `mmdet.apis.DetInferencer`.

    Raises:
        FileNotFoundError: There is no such config, weights or texture.
        ValueError: A panel is not known, a config comes without weights, the
            model predicts no dense pose, or `scale` is below 1 or the test
            pipeline has no `Resize` for it. When called: an array is not of
            the kind above.

    Example:
        >>> predict = DensePoseInferencer()
        >>> found = predict('photo.jpg', out_dir='out')['predictions'][0]
        >>> found['scores'][0], found['bboxes'][0]
    """

    def __init__(
        self,
        model: str | Config | None = None,
        weights: str | Path | None = None,
        panels: Sequence[str] = PANELS,
        texture: str | None = None,
        scale: int | None = None,
        max_size: int | None = 1280,
        **kwargs,
    ) -> None:
        if weights is None:
            if model is not None:
                raise ValueError(
                    'got a config without weights; give both, or neither for '
                    f'the light model that ships ({WEIGHTS})'
                )
            weights = WEIGHTS
        if not Path(weights).is_file():
            raise FileNotFoundError(f'the weights {weights} do not exist')
        # mmengine would look for a model of that name elsewhere.
        if isinstance(model, str) and not Path(model).is_file():
            raise FileNotFoundError(f'the config {model} does not exist')
        self._scale = scale
        self._painter = dict(
            type='mmdense.DensePoseVisualizer',
            panels=panels,
            texture=texture,
            max_size=max_size,
        )
        super().__init__(model, str(weights), **kwargs)
        head = getattr(self.model, 'roi_head', None)
        if not hasattr(head, 'uv_head'):
            raise ValueError(
                'the model predicts no dense pose: expected a detector whose '
                "roi_head is an 'mmdense.UVRoIHead', got "
                f'{type(self.model).__name__} with {type(head).__name__}'
            )

    def _init_pipeline(self, cfg: Config) -> Compose:
        if self._scale is not None:
            pipeline = cfg.test_dataloader.dataset.pipeline
            resizes = [x for x in pipeline if plain_name(x.type) == 'Resize']
            if len(resizes) != 1 or self._scale < 1:
                raise ValueError(
                    f'scale={self._scale} needs to be above 0, and a test '
                    f'pipeline with one Resize, got {len(resizes)} of '
                    f'{[plain_name(x.type) for x in pipeline]}'
                )
            resizes[0].scale = (self._scale, self._scale)
        return super()._init_pipeline(cfg)

    def _init_visualizer(self, cfg: Config) -> DensePoseVisualizer:
        # Whatever the config has: it may not draw dense pose, and pictures go
        # to `out_dir`, not to its backends.
        cfg.visualizer = self._painter
        return super()._init_visualizer(cfg)

    def _inputs_to_list(self, inputs) -> list:
        inputs = super()._inputs_to_list(inputs)
        for x in inputs:
            if isinstance(x, np.ndarray) and not (
                x.dtype == np.uint8
                and x.ndim == 3
                and x.shape[2] == 3
                and x.size
            ):
                raise ValueError(
                    'expected images as (height, width, 3) uint8 arrays in '
                    f'BGR order, got {x.shape} {x.dtype}; cv2.imread makes '
                    'such arrays of all kinds of files'
                )
        return inputs

    def visualize(self, inputs, preds, **kwargs) -> list[np.ndarray] | None:
        """As mmdet, which takes arrays for RGB when it draws."""
        inputs = [
            x[..., ::-1] if isinstance(x, np.ndarray) else x for x in inputs
        ]
        return super().visualize(inputs, preds, **kwargs)

    def pred2dict(
        self, data_sample: DetDataSample, pred_out_dir: str = ''
    ) -> dict:
        """As mmdet, with `densepose`: of each box the PNG of its IUV, base64.

        Red is the part, green 255 U, blue 255 V;
        :func:`~mmdense.densepose.functional.iuv_png.decode_iuv` reads it. All
        boxes are in it, whatever was drawn.

        Args:
            data_sample: What was predicted.
            pred_out_dir: Where to write `preds/NAME.json`; empty: nowhere.
        """
        result = super().pred2dict(data_sample)
        result['densepose'] = [
            base64.b64encode(png).decode()
            for png in data_sample.pred_instances.densepose.pngs()
        ]
        if pred_out_dir:
            name = Path(data_sample.get('img_path') or self._next_name()).stem
            file = Path(pred_out_dir) / 'preds' / f'{name}.json'
            mmengine.dump(result, str(file))
        return result

    def _next_name(self) -> str:
        name = f'{self.num_predicted_imgs:08d}'
        self.num_predicted_imgs += 1
        return name
