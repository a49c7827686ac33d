"""Images in mxnet's record files, as InsightFace distributes faces."""

import logging
import os.path as osp
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log
from torch.utils.data import get_worker_info

from mmdense.registry import DATASETS, plain_name

from .lazy_list import LazyList, LazyListDataset
from .record_images import RecordImages
from .recordio import RecordError, RecordReader
from .recordio.layout import read_property

# Of a file of which half is lost, so many in a row are bad luck indeed.
_TRIES = 50


@DATASETS.register_module()
class RecordIODataset(LazyListDataset):
    """The images of a `.rec` file, with its classes.

    A sample has `img` (uint8 `(height, width, 3)`, BGR as of
    `LoadImageFromFile`, which has no place in the pipeline), `img_shape`,
    `ori_shape`, `gt_label`, `img_path` (a readable key,
    `data/train.rec/17`; there is no such file) and `sample_idx`. The data
    preprocessor of networks that were trained on RGB has `to_rgb=True`.

    In InsightFace's layout the samples are the records 1 to n - 1, in that
    order; in files of im2rec all records, in the order of the index. Of
    several labels the first is the class.

    `metainfo['num_classes']` is what `metainfo` says, else the file
    `property` beside the record file, else the number of identity records,
    else the highest label + 1, for which all headers are read once.

    The label of a sample is read with it. Only :meth:`get_gt_labels` reads
    the headers of all records. What it finds and the index are kept as
    arrays in hidden files beside the record file (16 and 4 bytes per record)
    if its folder can be written to; all ranks and workers share them.

    Args:
        rec_file: The `.rec` file.
        idx_file: The `.idx` file; None for the one beside it.
        data_root: Folder of both.
        pipeline: Transforms, without one that loads the image.
        on_error: What to do with a damaged record: `raise`, or `skip`, which
            takes another one in its place, the same one each time, and counts
            it in :attr:`skipped`.
        cache_dir: Folder for the hidden files; None for that of the record
            file.
        **kwargs: Of mmpretrain's `BaseDataset`, but for `ann_file`,
            `data_prefix`, `serialize_data` and `classes`.

    Raises:
        FileNotFoundError: A file is missing.
        RecordError: The index or the meta record is damaged, or, unless
            damaged records are skipped, the record file is cut.
        ValueError: The pipeline loads images, the number of classes is told
            differently by meta record and `property`, or, when it is loaded,
            a sample's label is not below the number of classes.
    """

    def __init__(
        self,
        rec_file: str = 'train.rec',
        idx_file: str | None = None,
        data_root: str = '',
        pipeline: Sequence = (),
        on_error: str = 'raise',
        cache_dir: str | None = None,
        **kwargs: Any,
    ) -> None:
        if on_error not in ('raise', 'skip'):
            raise ValueError(
                f"got on_error={on_error!r}, expected 'raise' or 'skip'"
            )
        for transform in pipeline:
            kind = (
                transform.get('type')
                if isinstance(transform, dict)
                else type(transform)
            )
            if plain_name(kind) == 'LoadImageFromFile':
                raise ValueError(
                    'the pipeline has LoadImageFromFile, but the images are '
                    'in the record file and loaded already; leave it out'
                )
        self.on_error = on_error
        self._idx_file, self._cache_dir = idx_file, cache_dir
        super().__init__(
            ann_file=str(rec_file),
            data_root=osp.expanduser(data_root),
            pipeline=pipeline,
            **kwargs,
        )

    @property
    def skipped(self) -> int:
        """Damaged records met so far, by workers too.

        One that is met in each epoch counts in each.
        """
        self.full_init()
        return int(self.data_list.source.skipped.sum())

    def load_data_list(self) -> LazyList:
        """Open the files; no record is read but for the meta record."""
        rec_file = Path(self.ann_file)
        idx_file = rec_file.with_suffix('.idx')
        if self._idx_file is not None:
            idx_file = Path(
                self.data_root, osp.expanduser(str(self._idx_file))
            )
        reader = RecordReader(
            rec_file, idx_file, self._cache_dir or rec_file.parent
        )
        self._check_size(reader)
        images = RecordImages(reader)
        if 'num_classes' not in self._metainfo:
            self._metainfo['num_classes'] = self._find_num_classes(images)
        return LazyList(images)

    def _check_size(self, reader: RecordReader) -> None:
        """A cut file is better found now than in the middle of an epoch."""
        lost = np.flatnonzero(reader.offsets >= reader.size)
        if not len(lost):
            return
        text = f'{len(lost)} of {len(reader)} records are not in the file'
        if self.on_error == 'raise':
            try:
                reader.read(lost[0])
            except RecordError as error:
                raise reader.error(
                    f'{error.reason}; {text}', lost[0]
                ) from None
        print_log(
            f'{reader.rec_file} is cut: {text}; others take their place',
            logger='current',
            level=logging.WARNING,
        )

    def _find_num_classes(self, images: RecordImages) -> int:
        reader = images.reader
        said = read_property(reader.rec_file.parent)
        counted = images.identities
        if said and counted and said['num_classes'] != counted:
            raise ValueError(
                f'{reader.rec_file.parent / "property"} says '
                f'{said["num_classes"]} identities, the meta record of '
                f'{reader.rec_file} {counted}; give '
                'metainfo=dict(num_classes=...)'
            )
        if said or counted:
            return said['num_classes'] if said else counted
        print_log(
            f'reading the labels of {len(images)} records, as neither '
            'property nor a meta record says how many classes there are',
            logger='current',
        )
        return int(self._all_labels(images).max()) + 1

    def _all_labels(self, images: RecordImages) -> np.ndarray:
        """Of all images; -1 where a record is damaged and skipped."""
        labels = images.labels()
        damaged = np.flatnonzero(labels < 0)
        if len(damaged) and (
            self.on_error == 'raise' or len(damaged) == len(labels)
        ):
            images.sample(int(damaged[0]))
        return labels

    def get_gt_labels(self) -> np.ndarray:
        """The classes of all samples.

        For a damaged record that is skipped, the class of the one in its
        place.

        Returns:
            int32 `(samples,)`.

        Raises:
            RecordError: A record is damaged and not skipped.
        """
        self.full_init()
        labels = self.data_list.select(self._all_labels(self.data_list.source))
        for index in np.flatnonzero(labels < 0):
            for other in self._in_place_of(index):
                if labels[other] >= 0:
                    labels[index] = labels[other]
                    break
        return labels

    def prepare_data(self, idx: int) -> Any:
        """Load a sample and run the pipeline on it."""
        info = self._load(idx)
        if info['gt_label'] >= self._metainfo['num_classes']:
            raise ValueError(
                f'{info["img_path"]} has the label {info["gt_label"]}, '
                f'expected one below num_classes = '
                f'{self._metainfo["num_classes"]}'
            )
        return self.pipeline(info)

    def _load(self, idx: int) -> dict:
        try:
            return self._load_this(idx)
        except RecordError as error:
            if self.on_error == 'raise':
                raise
            self._count(error)
            first = error
        for other in self._in_place_of(idx):
            try:
                return self._load_this(other)
            except RecordError as error:
                self._count(error)
        raise RecordError(
            f'so are {_TRIES} others tried in its place; {first}'
        )

    def _load_this(self, idx: int) -> dict:
        info = self.get_data_info(idx)
        number = int(self.data_list.numbers[idx])
        info['img'] = self.data_list.source.image(
            number, info.pop('img_bytes')
        )
        info['img_shape'] = info['ori_shape'] = info['img'].shape[:2]
        return info

    def _in_place_of(self, idx: int) -> list[int]:
        """Samples to take for a damaged one; a function of its number.

        Not its neighbours: of a file that is cut, one would take the place
        of many.
        """
        generator = np.random.default_rng(int(idx) % len(self))
        return generator.integers(len(self), size=_TRIES).tolist()

    def _count(self, error: RecordError) -> None:
        count = self.data_list.source.count_skipped()
        # Each of the first, then fewer and fewer.
        if count <= 10 or set(str(count)[1:]) == {'0'}:
            worker = get_worker_info()
            who = '' if worker is None else f' by worker {worker.id}'
            print_log(
                f'skipped: {error} (damaged record {count} met{who})',
                logger='current',
                level=logging.WARNING,
            )

    def extra_repr(self) -> list[str]:
        """The lines of the representation that are ours."""
        return [
            f'Record file: \t{self.ann_file}',
            f'Damaged records: \t{self.on_error}',
        ]
