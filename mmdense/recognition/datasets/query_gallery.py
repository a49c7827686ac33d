"""Queries and a gallery as one data set, for identification."""

from collections.abc import Sequence
from typing import Any

from mmengine.dataset import BaseDataset

from mmdense.registry import DATASETS


@DATASETS.register_module()
class QueryGallery:
    """The samples of two data sets, the queries first.

    For :class:`mmdense.IdentificationMetric`. Samples are numbered through
    (`sample_idx`), and labels made common: where both data sets name their
    classes (folders of images do), equal names are one identity, and a query
    whose class the gallery lacks is of nobody in it; without names equal
    numbers are one identity.

    `metainfo` has `num_queries` and, where they have names, `classes`: those
    of the gallery, then those that only queries have.

    Args:
        query: Config of a data set with labels, without its pipeline.
        gallery: Config of another.
        pipeline: Transforms of both; the last must make `data_samples`, as
            `mmpretrain.PackInputs` does.
        lazy_init: Whether to load annotations at the first use only.

    Raises:
        ValueError: A data set is empty or brings a pipeline of its own.
    """

    def __init__(
        self,
        query: dict,
        gallery: dict,
        pipeline: Sequence = (),
        lazy_init: bool = False,
    ) -> None:
        for name, config in (('query', query), ('gallery', gallery)):
            if 'pipeline' in config:
                raise ValueError(
                    f'{name} has a pipeline of its own; give one to '
                    'QueryGallery, since both must see the same'
                )
        self.query, self.gallery = (
            DATASETS.build(dict(config, pipeline=pipeline, lazy_init=True))
            for config in (query, gallery)
        )
        self._initialized = False
        if not lazy_init:
            self.full_init()

    def full_init(self) -> None:
        """Load both and match their classes."""
        if self._initialized:
            return
        for name, part in (('query', self.query), ('gallery', self.gallery)):
            part.full_init()
            if not len(part):
                raise ValueError(f'the {name} data set is empty: {part}')
        self._metainfo: dict[str, Any] = dict(num_queries=len(self.query))
        self._label_of_query: list[int] | None = None
        names = [
            part.metainfo.get('classes') for part in (self.query, self.gallery)
        ]
        if all(name is not None for name in names):
            classes = {name: label for label, name in enumerate(names[1])}
            self._label_of_query = [
                classes.setdefault(name, len(classes)) for name in names[0]
            ]
            self._metainfo['classes'] = tuple(classes)
        self._initialized = True

    @property
    def metainfo(self) -> dict[str, Any]:
        """A copy of what is said about the whole."""
        self.full_init()
        return dict(self._metainfo)

    def __len__(self) -> int:
        self.full_init()
        return len(self.query) + len(self.gallery)

    def __getitem__(self, index: int) -> Any:
        self.full_init()
        border = len(self.query)
        is_query = index < border
        part: BaseDataset = self.query if is_query else self.gallery
        packed = part[index if is_query else index - border]
        samples = packed['data_samples']
        # A list for test-time augmentation.
        for sample in samples if isinstance(samples, list) else [samples]:
            sample.set_field(index, 'sample_idx', field_type='metainfo')
            if is_query and self._label_of_query and 'gt_label' in sample:
                label = self._label_of_query[int(sample.gt_label)]
                sample.set_gt_label(label)
        return packed

    def __repr__(self) -> str:
        return f'QueryGallery(\nquery: {self.query}\ngallery: {self.gallery})'
