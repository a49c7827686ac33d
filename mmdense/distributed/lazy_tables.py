"""Tables that are read in parts, for those that do not fit into memory."""

from pathlib import Path

import torch
from torch import Tensor

from .shard_reading import read_range


class ConcatenatedRows:
    """Rows of several tensors, one after the other, joined when sliced.

    Args:
        parts: (n_i, ...) tensors, such as memory-mapped ones.
    """

    def __init__(self, parts: list[Tensor]) -> None:
        self.parts = parts
        self.shape = torch.Size(
            [sum(len(part) for part in parts), *parts[0].shape[1:]]
        )

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> Tensor:
        start, stop, _ = rows.indices(len(self))
        found, first = [], 0
        for part in self.parts:
            lower = min(max(start - first, 0), len(part))
            upper = min(max(stop - first, lower), len(part))
            found.append(part[lower:upper])
            first += len(part)
        return torch.cat(found)


class SavedRows:
    """Rows of a table in a folder of shards, read when sliced.

    Args:
        folder: The folder.
        manifest: Its manifest.
        name: Name of the table.
        slot: `'weight'` or one of the optimizer's slots.
    """

    def __init__(
        self, folder: Path, manifest: dict, name: str, slot: str = 'weight'
    ) -> None:
        self.source = (folder, manifest, name, slot)
        entry = manifest['tables'][name]
        self.shape = torch.Size([entry['num_rows'], entry['dim']])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> Tensor:
        start, stop, _ = rows.indices(len(self))
        return read_range(*self.source, start, stop)
