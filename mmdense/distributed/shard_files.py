"""The files that hold the rows of all ranks, and their manifest."""

import json
import os
import shutil
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from .collectives import raise_on_all_ranks, rank, world_size
from .sharding import ShardedTable, shard_range

MANIFEST = 'manifest.json'
_FORMAT = 1


def _file_name(rank: int, world_size: int) -> str:
    return f'rank_{rank:05d}_of_{world_size:05d}.safetensors'


def row_slots(state: dict, table: ShardedTable) -> dict[str, Tensor]:
    """The optimizer's entries for `table` that have one row per row."""
    return {
        name: value
        for name, value in state.items()
        if isinstance(value, Tensor)
        and value.ndim > 0
        and len(value) == len(table.weight)
    }


def write_shards(
    folder: Path,
    tables: dict[str, ShardedTable],
    slots: dict[str, dict[str, Tensor]],
    meta: dict,
) -> None:
    """Write this rank's rows; visible under `folder` only when complete.

    Every rank must call it. The files are written to a hidden folder, the
    manifest last, and one rename makes them visible.

    Args:
        folder: Where the files will be. An older folder of this name is
            replaced.
        tables: The sharded tables by name.
        slots: For each table, the optimizer's row-wise tensors by name.
        meta: Further entries of the manifest, such as the iteration.

    Raises:
        Exception: What kept any rank from writing; on all ranks.
    """
    partial = folder.with_name(f'.{folder.name}.partial')
    error = None
    try:
        if rank() == 0:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
    except OSError as e:
        error = e
    raise_on_all_ranks(error)

    try:
        tensors = {}
        for name, table in tables.items():
            tensors[f'{name}.weight'] = table.weight.detach()
            for slot, value in slots[name].items():
                tensors[f'{name}.{slot}'] = value
        save_file(
            {key: value.contiguous() for key, value in tensors.items()},
            partial / _file_name(rank(), world_size()),
        )
    except Exception as e:  # disk full, no permission, safetensors' own
        error = e
    raise_on_all_ranks(error)

    try:
        if rank() == 0:
            manifest = dict(
                format=_FORMAT,
                world_size=world_size(),
                tables={
                    name: dict(
                        num_rows=table.num_rows,
                        dim=table.dim,
                        slots=sorted(slots[name]),
                    )
                    for name, table in tables.items()
                },
                **meta,
            )
            text = json.dumps(manifest, indent=2)
            (partial / MANIFEST).write_text(text + '\n')
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(partial, folder)
    except OSError as e:
        error = e
    raise_on_all_ranks(error)


def read_manifest(folder: Path) -> dict:
    """The manifest of a folder of shards.

    Raises:
        FileNotFoundError: The folder or its manifest is missing.
        ValueError: It has another format.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(
            f'{path} is missing; it belongs to the checkpoint beside it and '
            'holds the class centers. Copy the folder along with the .pth, '
            'or use load_from, without resume, to start with new centers'
        )
    manifest = json.loads(path.read_text())
    if manifest.get('format') != _FORMAT:
        raise ValueError(
            f'{path}: got format {manifest.get("format")}, expected '
            f'{_FORMAT}; it was written by another version of mmdense'
        )
    return manifest


def read_rows(
    folder: Path, manifest: dict, name: str, table: ShardedTable
) -> dict[str, Tensor]:
    """This rank's rows of `weight` and of all slots, from any split.

    Args:
        folder: The folder of shards.
        manifest: Its manifest.
        name: Name of the table.
        table: The table to read for; only its range and shape are used.

    Returns:
        For `weight` and each slot, a tensor of the shape of `table.weight`.

    Raises:
        ValueError: The table is not there, or of another size.
        FileNotFoundError: The file of a rank is missing.
    """
    entry = manifest['tables'].get(name)
    got = entry and (entry['num_rows'], entry['dim'])
    if got != (table.num_rows, table.dim):
        raise ValueError(
            f'{folder} holds for {name!r} (rows, dim) {got}, the model has '
            f'{(table.num_rows, table.dim)}; resume needs the same '
            'num_classes and in_channels'
        )
    parts: dict[str, list[Tensor]] = {
        slot: [] for slot in ['weight', *entry['slots']]
    }
    for other in range(manifest['world_size']):
        start, stop = shard_range(
            table.num_rows, other, manifest['world_size']
        )
        lower = min(max(start, table.start), stop)
        upper = max(min(stop, table.stop), lower)
        # Of the first file all ranks read, if only no rows: their shape.
        if lower == upper and other > 0:
            continue
        path = folder / _file_name(other, manifest['world_size'])
        if not path.is_file():
            raise FileNotFoundError(
                f'{path} is missing, it holds rows {start} to {stop} of '
                f'{name!r}; copy the whole folder, or resume from another '
                'checkpoint'
            )
        with safe_open(path, framework='pt') as file:
            for slot, found in parts.items():
                rows = file.get_slice(f'{name}.{slot}')
                found.append(rows[lower - start : upper - start])
    return {slot: torch.cat(found) for slot, found in parts.items()}
