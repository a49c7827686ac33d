"""The faces of IJB-B and IJB-C, aligned."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import mmcv
from mmpretrain.datasets import BaseDataset

from mmdense.recognition.functional.alignment import (
    ARCFACE_LANDMARKS,
    similarity_transform,
)
from mmdense.registry import DATASETS

from .ijb_files import read_images


@DATASETS.register_module()
class IJBImages(BaseDataset):
    """Faces cut out of `loose_crop` by their five landmarks.

    For :class:`mmdense.IJBMetric`, which reads templates and pairs from the
    same folder.

    A sample has `img` (uint8 (S, S, 3), BGR), `img_shape`, `ori_shape`,
    `img_path`, `sample_idx`, `flip` and `flip_direction`. `metainfo` has
    `ijb_meta`, the folder of the text files, `ijb_name`, `num_images`, N,
    and `num_views`, 2 if `flip`, else 1. Sample i is a view of image i % N.

    Args:
        name: `'ijbb'` or `'ijbc'`, as the text files are named.
        data_root: Folder with `meta` and `loose_crop`.
        flip: Also give each face mirrored, as samples N to 2 N - 1.
        image_size: S, height and width of an aligned face in pixels.
        pipeline: Transforms, as in mmpretrain.
        **kwargs: Of mmpretrain's `BaseDataset`, but for `ann_file` and
            `data_prefix`.

    Raises:
        FileNotFoundError: A text file is missing.
        ValueError: One is damaged.
    """

    def __init__(
        self,
        name: str,
        data_root: str,
        flip: bool = True,
        image_size: int = 112,
        pipeline: Sequence = (),
        **kwargs: Any,
    ) -> None:
        self.name, self.flip, self.image_size = name, flip, image_size
        super().__init__(
            ann_file='', data_root=data_root, pipeline=pipeline, **kwargs
        )

    def load_data_list(self) -> list[dict]:
        """One dict per sample; the image is its number."""
        meta = Path(self.data_root) / 'meta'
        images = read_images(meta, self.name)
        self._landmarks = images.landmarks
        self._metainfo.update(
            ijb_meta=str(meta),
            ijb_name=self.name,
            num_images=len(images.names),
            num_views=1 + self.flip,
        )
        folder = Path(self.data_root) / 'loose_crop'
        paths = [str(folder / name) for name in images.names]
        samples = [
            dict(image=i, img_path=path, flip=False)
            for i, path in enumerate(paths)
        ]
        if self.flip:
            mirrored = dict(flip=True, flip_direction='horizontal')
            samples += [dict(sample, **mirrored) for sample in samples]
        return samples

    def prepare_data(self, idx: int) -> Any:
        """Read, align and mirror the face of a sample; run the pipeline.

        Raises:
            FileNotFoundError: The image is missing.
            ValueError: It cannot be decoded, or its landmarks are at one
                point.
        """
        info = self.get_data_info(idx)
        image = mmcv.imread(info['img_path'])
        if image is None:
            raise ValueError(
                f'{info["img_path"]} cannot be decoded; it is damaged or no '
                'image'
            )
        try:
            matrix = similarity_transform(
                self._landmarks[info.pop('image')],
                ARCFACE_LANDMARKS * (self.image_size / 112),
            )
        except ValueError as error:
            raise ValueError(f'{info["img_path"]}: {error}') from None
        size = (self.image_size, self.image_size)
        image = cv2.warpAffine(image, matrix, size)
        info['img'] = image[:, ::-1].copy() if info['flip'] else image
        info['img_shape'] = info['ori_shape'] = size
        return self.pipeline(info)
