"""Any data set with labels that are wrong on purpose."""

import copy
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from mmdense.recognition.functional.label_noise import (
    LabelNoise,
    inter_class_conflict,
    label_flip,
    long_tail,
)
from mmdense.registry import DATASETS

LABEL = 'gt_label'
NOISES: dict[str, Callable[..., LabelNoise]] = {
    'conflict': inter_class_conflict,
    'flip': label_flip,
    'long_tail': long_tail,
}


def make_noise(labels: Any, kind: str, seed: int = 0, **args) -> LabelNoise:
    """Noise by its name in configs and on the command line.

    Args:
        labels: `(N,)` identities.
        kind: `conflict`, `flip` or `long_tail`.
        seed: Seed of the draw.
        **args: Of :func:`~mmdense.recognition.functional.label_noise.
            inter_class_conflict`, `label_flip` or `long_tail`.

    Raises:
        ValueError: No such kind.
        TypeError: An argument that this kind lacks or does not have.
    """
    if kind not in NOISES:
        raise ValueError(
            f'noise must be of kind {", ".join(NOISES)}, got {kind!r}'
        )
    try:
        inspect.signature(NOISES[kind]).bind(labels, seed=seed, **args)
    except TypeError as error:
        wanted = list(inspect.signature(NOISES[kind]).parameters)[1:-1]
        raise TypeError(
            f'noise of kind {kind!r} takes {", ".join(wanted)}; got '
            f'{", ".join(args) or "nothing"} ({error})'
        ) from None
    return NOISES[kind](labels, seed=seed, **args)


@DATASETS.register_module()
class NoisyLabels(Dataset):
    """A data set with some labels changed or some samples left out.

    For training; evaluate on clean data. It asks little of the data set in
    it: `get_gt_labels()`, as every data set of mmpretrain has it, and items
    with `gt_label` in `data_samples` (what `PackInputs` makes) or in the dict
    itself. The label of an item is replaced after its pipeline, so that how
    the data set keeps its samples does not matter.

    `metainfo` is that of the data set in it, with `num_classes` and, where it
    has `classes`, their names by new label: the parts of a split identity
    have one name. `PartialFCHead` needs the same `num_classes`, which grows
    by `identities * (parts - 1)` for `conflict` and else stays.

    Args:
        dataset: The data set or its config.
        noise: `kind`, one of `conflict`, `flip` and `long_tail`, and the
            arguments of its function in
            :mod:`mmdense.recognition.functional.label_noise`. None leaves
            all as it is.
        seed: Seed of the noise; it does not follow the seed of the run, so
            that runs of several seeds can share one noisy set.
        lazy_init: Load the annotations only when they are needed.

    Attributes:
        noise: After `full_init`, the :class:`~mmdense.recognition.functional.
            label_noise.LabelNoise`.

    Raises:
        TypeError: `noise` has other arguments than its kind, the data set no
            `get_gt_labels`, or its items no label.
        ValueError: An unknown kind, or the noise does not fit the labels.
    """

    def __init__(
        self,
        dataset: Any,
        noise: dict | None,
        seed: int = 0,
        lazy_init: bool = False,
    ) -> None:
        self.dataset = (
            DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        )
        if not hasattr(self.dataset, 'get_gt_labels'):
            raise TypeError(
                f'{type(self.dataset).__name__} has no get_gt_labels(), '
                'which NoisyLabels reads the labels by; see '
                'mmpretrain.datasets.BaseDataset'
            )
        self._config = noise
        self._seed = seed
        self.noise: LabelNoise | None = None
        if not lazy_init:
            self.full_init()

    def full_init(self) -> None:
        """Load the annotations and make the noise."""
        if self.noise is not None:
            return
        if hasattr(self.dataset, 'full_init'):
            self.dataset.full_init()
        labels = np.asarray(self.dataset.get_gt_labels())
        if self._config is None:
            every = np.arange(len(labels))
            identities = np.arange(int(labels.max()) + 1)
            self.noise = LabelNoise(every, labels.astype(np.int64), identities)
        else:
            self.noise = make_noise(labels, seed=self._seed, **self._config)
        # By sample of the data set; those left out keep their labels.
        self._new_labels = labels.astype(np.int64)
        self._new_labels[self.noise.index] = self.noise.labels

    @property
    def metainfo(self) -> dict:
        """A copy of the wrapped one's, with classes by new label."""
        info = copy.deepcopy(dict(getattr(self.dataset, 'metainfo', {})))
        if self.noise is not None:
            info['num_classes'] = self.noise.num_classes
            if 'classes' in info:
                names = info['classes']
                info['classes'] = tuple(
                    names[i] for i in self.noise.true_class.tolist()
                )
        return info

    def get_gt_labels(self) -> np.ndarray:
        """The new labels, int64 `(M,)`."""
        self.full_init()
        return self.noise.labels

    def get_cat_ids(self, idx: int) -> list[int]:
        """The new label of a sample, as samplers ask for it."""
        return [int(self.get_gt_labels()[idx])]

    def get_data_info(self, idx: int) -> dict:
        """What the data set knows of a sample, with its new label."""
        self.full_init()
        info = self.dataset.get_data_info(int(self.noise.index[idx]))
        return {**info, LABEL: int(self.noise.labels[idx])}

    def __len__(self) -> int:
        self.full_init()
        return len(self.noise.index)

    def __getitem__(self, idx: int) -> Any:
        """The item of the data set, with its new label."""
        self.full_init()
        index = int(self.noise.index[idx])
        item = self.dataset[index]
        holder = item
        if isinstance(item, dict):
            holder = item.get('data_samples', item)
        packed = hasattr(holder, 'set_gt_label')
        if not packed and not (isinstance(holder, dict) and LABEL in holder):
            keys = sorted(item) if isinstance(item, dict) else ()
            raise TypeError(
                f'NoisyLabels needs items with {LABEL}, in data_samples or '
                f'beside it; got a {type(item).__name__} of {keys}. End the '
                "pipeline with dict(type='mmpretrain.PackInputs')"
            )
        # Where an image cannot be read, mmengine's data sets give another
        # one: the label must be that of the image.
        label = int(self._new_labels[int(holder.get('sample_idx', index))])
        if packed:
            holder.set_gt_label(label)
        else:
            holder[LABEL] = label
        return item
