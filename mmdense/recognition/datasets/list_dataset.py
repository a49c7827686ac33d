"""Image files named in a list, with their classes."""

import logging
from typing import Any

import numpy as np
from mmengine.fileio import join_path
from mmengine.logging import print_log

from mmdense.registry import DATASETS

from .lazy_list import LazyList, LazyListDataset
from .list_file import ListFile


@DATASETS.register_module()
class ListDataset(LazyListDataset):
    """The images of a `.lst` file of im2rec or InsightFace.

    A sample has `img_path`, `gt_label` and `sample_idx`; the pipeline starts
    with `LoadImageFromFile`. `metainfo['num_classes']` is what `metainfo`
    says, else the highest label + 1. Folders of classes need no list:
    mmpretrain's `CustomDataset` reads them.

    Args:
        ann_file: The list, relative to `data_root`; see :class:`.list_file.
            ListFile`.
        list_format: `im2rec`, `insightface` or `auto`.
        **kwargs: Of mmpretrain's `BaseDataset`, but for `serialize_data`;
            paths in the list are relative to `data_prefix`, which is relative
            to `data_root`.

    Raises:
        FileNotFoundError: There is no such list.
        ValueError: It is damaged, or a label is not below
            `metainfo['num_classes']`.
    """

    def __init__(
        self,
        ann_file: str = 'train.lst',
        list_format: str = 'auto',
        **kwargs: Any,
    ) -> None:
        self.list_format = list_format
        super().__init__(ann_file=ann_file, **kwargs)

    def load_data_list(self) -> LazyList:
        """Read the list."""
        images = ListFile(self.ann_file, self.list_format)
        top = int(images.labels.max())
        classes = self._metainfo.setdefault('num_classes', top + 1)
        if top >= classes:
            raise ValueError(
                f'{self.ann_file} has labels up to {top}, expected labels '
                f'below num_classes = {classes}'
            )
        if images.unaligned:
            print_log(
                f'{images.unaligned} of {len(images)} images of '
                f'{self.ann_file} are not aligned by its first column; they '
                'are used as they are',
                logger='current',
                level=logging.WARNING,
            )
        return LazyList(_Files(images, self.img_prefix))

    def get_gt_labels(self) -> np.ndarray:
        """The classes of all samples, int64 `(samples,)`."""
        self.full_init()
        return self.data_list.select(self.data_list.source.images.labels)


class _Files:
    """The images of a list, as a source of samples."""

    def __init__(self, images: ListFile, prefix: str) -> None:
        self.images, self.prefix = images, prefix

    def __len__(self) -> int:
        return len(self.images)

    def sample(self, number: int) -> dict:
        return {
            'img_path': join_path(self.prefix, self.images.name(number)),
            'gt_label': int(self.images.labels[number]),
        }
