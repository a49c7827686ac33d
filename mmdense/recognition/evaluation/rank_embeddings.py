"""Embeddings that stay on the rank that made them."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmdense.distributed.collectives import gather_objects, rank


class RankEmbeddings:
    """The embeddings of this rank's share of a data set.

    mmengine's metrics send everything to rank 0. With millions of images
    that is too much for it, so here each rank keeps what it has computed.

    Args:
        metric: Name of the metric, for its errors.
    """

    def __init__(self, metric: str) -> None:
        self.metric = metric
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self._indices: list[int] = []
        self._rows: list[Tensor] = []
        self._labels: list[int] = []

    def add(self, data_samples: Sequence[dict], labelled: bool) -> None:
        """Keep the embeddings of a batch.

        Args:
            data_samples: Each with `embedding`, (d,), and `sample_idx`.
            labelled: Whether they need and have `gt_label`, too.

        Raises:
            KeyError: A sample lacks one of them.
        """
        keys = ['embedding', 'sample_idx', *['gt_label'] * labelled]
        for sample in data_samples:
            for key in keys:
                if key not in sample:
                    raise KeyError(
                        f'{self.metric} needs {key!r} in each data sample, '
                        f'got {sorted(sample)}; embedding comes from '
                        "PartialFCHead.predict, sample_idx from PackInputs' "
                        'meta_keys, gt_label from the data set'
                    )
            self._indices.append(int(sample['sample_idx']))
            if labelled:
                self._labels.append(int(sample['gt_label']))
        if len(data_samples):
            rows = [sample['embedding'].detach() for sample in data_samples]
            self._rows.append(torch.stack(rows).float().cpu())

    def take(self, size: int) -> tuple[NDArray[np.int64], Tensor, Tensor]:
        """Hand out what this rank answers for, and forget it.

        Each sample of the data set is on one rank. Samplers repeat samples
        so that all ranks have as many; the lowest rank that has one keeps it.

        Args:
            size: Samples in the data set.

        Returns:
            (n,) sample numbers, ascending, (n, d) embeddings and (n,) int64
            labels, empty if not asked for.

        Raises:
            ValueError: Samples are missing; on all ranks.
        """
        numbers, labels, batches = self._indices, self._labels, self._rows
        self.clear()
        indices, first = np.unique(
            np.array(numbers, dtype=np.int64), return_index=True
        )
        owned = self._owned(indices, size)
        indices, first = indices[owned], first[owned]
        lengths = gather_objects(batches[0].shape[1] if batches else 0)
        rows = torch.empty(len(indices), max(lengths))
        # Where each embedding of this rank goes; -1 for nowhere. One copy:
        # a batch is let go as soon as it has been moved.
        places = np.full(len(numbers), -1)
        places[first] = np.arange(len(first))
        start = 0
        for batch in _consume(batches):
            place = torch.from_numpy(places[start : start + len(batch)])
            rows[place[place >= 0]] = batch[place >= 0]
            start += len(batch)
        kept = np.array(labels, dtype=np.int64)
        return indices, rows, torch.from_numpy(kept[first] if labels else kept)

    def _owned(
        self, indices: NDArray[np.int64], size: int
    ) -> NDArray[np.bool_]:
        """Which of the samples of this rank no lower rank has."""
        everyone = gather_objects(indices)
        seen = np.zeros(size, dtype=bool)
        for other in everyone[: rank()]:
            seen[other] = True
        owned = ~seen[indices]
        for other in everyone[rank() :]:
            seen[other] = True
        if not seen.all():
            raise ValueError(
                f'{np.count_nonzero(~seen)} of {size} samples were not '
                f'evaluated, sample {np.flatnonzero(~seen)[0]} for instance; '
                'the loader must visit the whole data set'
            )
        return owned


def _consume(batches: list[Tensor]) -> Iterator[Tensor]:
    """The batches in their order, each freed when the next is asked for."""
    batches.reverse()
    while batches:
        yield batches.pop()
