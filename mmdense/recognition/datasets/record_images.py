"""The images of a record file, as the samples of a data set."""

import numpy as np
import torch
from torch.utils.data import get_worker_info

from .recordio import RecordReader, decode_image, read_labels, read_layout

_WORKERS = 255


class RecordImages:
    """A source of samples for :class:`.lazy_list.LazyList`.

    Args:
        reader: The record file.

    Attributes:
        reader: The record file.
        positions: Of the images in its index.
        identities: See :class:`.recordio.Layout`.
        skipped: Damaged records met, by the main process and by worker; the
            memory is shared with workers.
    """

    def __init__(self, reader: RecordReader) -> None:
        self.reader = reader
        layout = read_layout(reader)
        self.positions, self.identities = layout.positions, layout.identities
        # A worker has a place of its own, so that no count is lost.
        self.skipped = torch.zeros(
            1 + _WORKERS, dtype=torch.int64
        ).share_memory_()

    def __len__(self) -> int:
        return len(self.positions)

    def sample(self, number: int) -> dict:
        """Name, class and encoded image."""
        position = int(self.positions[number])
        label, image = self.reader.read_labelled(position)
        return {
            'img_path': f'{self.reader.rec_file}/{self.reader.keys[position]}',
            'gt_label': label,
            'img_bytes': image.content,
        }

    def image(self, number: int, content: bytes) -> np.ndarray:
        """The image of a sample, decoded."""
        with self.reader.naming(int(self.positions[number])):
            return decode_image(content)

    def labels(self) -> np.ndarray:
        """The classes of all images; -1 where a record is damaged."""
        return self.reader.cached(
            'labels', lambda: read_labels(self.reader, self.positions)
        )

    def count_skipped(self) -> int:
        """Count a damaged record; returns the count of this process."""
        worker = get_worker_info()
        place = 0 if worker is None else 1 + worker.id % _WORKERS
        self.skipped[place] += 1
        return int(self.skipped[place])
