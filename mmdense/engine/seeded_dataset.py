"""Data whose augmentation depends on the sample and the epoch alone."""

from typing import Any

import torch
from mmengine.registry import DATASETS
from torch.utils.data import Dataset

from .seeding import seed_generators


class SeededDataset(Dataset):
    """Seeds all generators before each sample is loaded.

    With workers that draw from generators of their own, what augmentation
    does to an image depends on which worker gets it and what that has drawn
    before: it cannot be resumed. Here it is a function of (seed, epoch,
    index), so neither the number of workers or ranks nor an interruption
    matters.

    Everything else is that of the wrapped data set: its attributes are read
    and set through this one.

    Args:
        dataset: Config of a map-style data set.
    """

    def __init__(self, dataset: dict) -> None:
        self.dataset = DATASETS.build(dataset)
        if isinstance(self.dataset, torch.utils.data.IterableDataset):
            raise TypeError(
                f'{type(self.dataset).__name__} has no indices to seed by; '
                "use train_cfg=dict(type='EpochBasedTrainLoop') with it"
            )
        # In shared memory, as workers may live longer than an epoch.
        self._place = torch.zeros(2, dtype=torch.int64).share_memory_()

    def set_place(self, seed: int, epoch: int) -> None:
        """Say what the coming samples are seeded with."""
        self._place[0], self._place[1] = seed, epoch

    def __getitem__(self, index: int) -> Any:
        """The sample, loaded under its own seed."""
        seed, epoch = self._place.tolist()
        seed_generators(seed, epoch, int(index))
        return self.dataset[index]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        # Not `__getitems__`, which would go past the seeding; nor what is
        # asked for before `dataset` is set, while unpickling.
        if name.startswith('__') or name in ('dataset', '_place'):
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ('dataset', '_place'):
            super().__setattr__(name, value)
        else:
            setattr(self.dataset, name, value)
