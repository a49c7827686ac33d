"""The test pipeline of a config, for image files and arrays."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from torch import Tensor

from mmdense.registry import plain_name

_LOADER = 'LoadImageFromFile'


class UnreadableImageError(ValueError):
    """An image file that is missing, damaged or no image."""


def test_dataset(cfg: Config) -> ConfigDict:
    """The config of the test data set, without what is wrapped around it.

    Raises:
        ValueError: The config has none, or one without pipeline.
    """
    loader = cfg.get('test_dataloader') or cfg.get('val_dataloader') or {}
    dataset = loader.get('dataset') or {}
    while 'dataset' in dataset:
        dataset = dataset.dataset
    if 'pipeline' not in dataset:
        raise ValueError(
            'expected a test_dataloader whose dataset has a `pipeline` in '
            'the config: it says how images are made ready for the network'
        )
    return dataset


class ImagePipeline:
    """Makes one image ready as the test pipeline of a config does.

    A file is read by the pipeline's own `LoadImageFromFile`; if it has none,
    as for a data set that holds its images, in colour. An array takes the
    place of a file that was read.

    Args:
        cfg: The config.

    Attributes:
        transforms: Configs of the transforms between reading and packing.
    """

    def __init__(self, cfg: Config) -> None:
        from mmpretrain.registry import TRANSFORMS

        pipeline = [deepcopy(step) for step in test_dataset(cfg).pipeline]
        loaders = [step for step in pipeline if _name(step) == _LOADER]
        rest = [step for step in pipeline if _name(step) != _LOADER]
        self.transforms = [
            step for step in rest if _name(step) != 'PackInputs'
        ]
        scope = cfg.get('default_scope')
        with DefaultScope.overwrite_default_scope(scope):
            self._load = TRANSFORMS.build(
                loaders[0] if loaders else dict(type=_LOADER)
            )
            self._rest = Compose([TRANSFORMS.build(step) for step in rest])
        self._is_gray = self._load.color_type.startswith('gray')

    def __call__(self, image: str | Path | np.ndarray) -> Tensor:
        """Read and transform one image.

        Args:
            image: Path of a file, or a uint8 array (h, w, 3) in BGR order,
                as `cv2.imread` gives it, or (h, w) of grey values.

        Returns:
            (c, h, w), raw pixels; with three channels in BGR order.

        Raises:
            UnreadableImageError: The file cannot be read.
            TypeError: `image` is neither a path nor a uint8 array.
            ValueError: The array has another shape.
        """
        if isinstance(image, str | Path):
            data = self._read(str(image))
        else:
            pixels = self._check(image)
            size = pixels.shape[:2]
            data = dict(img=pixels, img_shape=size, ori_shape=size)
        return self._rest(data)['inputs']

    def _read(self, path: str) -> dict[str, Any]:
        try:
            data = self._load(dict(img_path=path))
        except Exception as error:
            # The libraries that decode raise whatever they like.
            reason = str(error) or type(error).__name__
            if path not in reason:
                reason = f'{path}: {reason}'
            raise UnreadableImageError(reason) from error
        if data is None:  # ignore_empty=True
            raise UnreadableImageError(f'{path}: cannot be read')
        return data

    def _check(self, image: Any) -> np.ndarray:
        dtype = getattr(image, 'dtype', None)
        if not isinstance(image, np.ndarray) or dtype != np.uint8:
            raise TypeError(
                'an image must be a path or a uint8 array, got '
                f'{type(image).__name__}{f" of {dtype}" if dtype else ""}'
            )
        if image.ndim == 2:
            # In colour, as reading a file of grey values gives it.
            return image if self._is_gray else np.stack([image] * 3, axis=2)
        if self._is_gray or image.ndim != 3 or image.shape[2] != 3:
            expected = '(h, w)' if self._is_gray else '(h, w, 3)'
            raise ValueError(
                f'got an array of shape {image.shape}, expected {expected}: '
                'one image, as cv2.imread gives it'
            )
        return image

    def fixed_shape(self) -> tuple[int, tuple[int, int] | None]:
        """Number of channels, and the size that every image is brought to.

        Returns:
            Channels and (height, width); None if it depends on the image.
        """
        shapes = [
            tuple(self(np.zeros(size, np.uint8)).shape)
            for size in [(307, 211), (199, 401)]
        ]
        channels, height, width = shapes[0]
        return channels, (height, width) if shapes[0] == shapes[1] else None


def stack_images(images: list[Tensor], names: list[str]) -> Tensor:
    """One batch of images.

    Args:
        images: b tensors (c, h, w).
        names: What they are called in an error.

    Returns:
        (b, c, h, w).

    Raises:
        ValueError: They differ in size.
    """
    for image, name in zip(images, names, strict=True):
        if image.shape != images[0].shape:
            raise ValueError(
                f'{name} is (c, h, w) = {tuple(image.shape)} after the test '
                f'pipeline, expected {tuple(images[0].shape)} as {names[0]}; '
                'images of a batch must be of one size: resize them in the '
                'test pipeline, or use batch size 1'
            )
    return torch.stack(images)


def _name(step: ConfigDict) -> str:
    return plain_name(step['type'])
