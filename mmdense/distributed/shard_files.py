"""The files that hold the rows of all ranks: writing.

A folder of shards has one safetensors file per rank and `manifest.json`,
which says what rows each file has and what its SHA-256 is. The checkpoint
beside it holds the SHA-256 of the manifest, so that no file of another step
can pass for one of this.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from .atomic_files import (
    flush_to_disk,
    partial_path,
    replace_folder,
    sha256_of,
)
from .collectives import gather_objects, raise_on_all_ranks, rank, world_size
from .sharding import ShardedTable, shard_range

MANIFEST = 'manifest.json'
FORMAT = 1


def file_name(rank: int, world_size: int) -> str:
    """The file of a rank."""
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
    rank_state: dict[str, Tensor] | None = None,
) -> str:
    """Write this rank's rows; visible under `folder` only when complete.

    Every rank must call it. The files are written to a hidden folder, the
    manifest last, and one rename makes them visible.

    Args:
        folder: Where the files will be. An older folder of this name is
            replaced.
        tables: The sharded tables by name.
        slots: For each table, the optimizer's row-wise tensors by name.
        meta: Further entries of the manifest: `epoch` and `iter`.
        rank_state: What else differs from rank to rank; see
            :mod:`~mmdense.distributed.rank_state`.

    Returns:
        The SHA-256 of the manifest.

    Raises:
        Exception: What kept any rank from writing; on all ranks.
    """
    partial = partial_path(folder)
    error: Exception | None = None
    try:
        if rank() == 0:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
    except OSError as e:
        error = e
    raise_on_all_ranks(error)

    entry: dict = {}
    try:
        tensors = dict(rank_state or {})
        for name, table in tables.items():
            tensors[f'{name}.weight'] = table.weight.detach()
            for slot, value in slots[name].items():
                tensors[f'{name}.{slot}'] = value
        entry = _write_file(partial / file_name(rank(), world_size()), tensors)
    except Exception as e:  # disk full, no permission, safetensors' own
        error = _unwritten(folder, e)
    try:
        raise_on_all_ranks(error)
    except Exception:
        # Its space is what another attempt may need.
        if rank() == 0:
            shutil.rmtree(partial, ignore_errors=True)
        raise

    entries = gather_objects(entry)
    text = _manifest_text(
        {
            name: dict(
                num_rows=table.num_rows,
                dim=table.dim,
                slots=sorted(slots[name]),
            )
            for name, table in tables.items()
        },
        entries,
        meta,
    )
    try:
        if rank() == 0:
            _publish(partial, folder, text)
    except OSError as e:
        shutil.rmtree(partial, ignore_errors=True)
        error = _unwritten(folder, e)
    raise_on_all_ranks(error)
    return _sha256(text)


def write_table_files(
    folder: Path,
    tables: dict[str, dict[str, Any]],
    meta: dict,
    num_files: int = 1,
) -> str:
    """Write whole tables from one process, as that many ranks would.

    Args:
        folder: Where the files will be. An older folder of this name is
            replaced.
        tables: For each table by name, `weight`, (C, d), and any slots,
            (C, ...): tensors or what is sliced like them; see
            :mod:`~mmdense.distributed.lazy_tables`.
        meta: Further entries of the manifest: `epoch` and `iter`.
        num_files: Number of files.

    Returns:
        The SHA-256 of the manifest.

    Raises:
        OSError: They could not be written.
    """
    partial = partial_path(folder)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        entries = []
        for number in range(num_files):
            tensors = {}
            for name, slots in tables.items():
                start, stop = shard_range(
                    len(slots['weight']), number, num_files
                )
                for slot, value in slots.items():
                    tensors[f'{name}.{slot}'] = value[start:stop]
            path = partial / file_name(number, num_files)
            entries.append(_write_file(path, tensors))
        text = _manifest_text(
            {
                name: dict(
                    num_rows=len(slots['weight']),
                    dim=slots['weight'].shape[1],
                    slots=sorted(set(slots) - {'weight'}),
                )
                for name, slots in tables.items()
            },
            entries,
            meta,
        )
        _publish(partial, folder, text)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return _sha256(text)


def link_shards(source: Path, folder: Path) -> None:
    """Give a folder of shards a second name, at no cost where possible.

    Args:
        source: A complete folder.
        folder: The other name, on the same storage.

    Raises:
        OSError: It could be neither linked nor copied.
    """
    partial = partial_path(folder)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        shutil.copytree(source, partial, copy_function=_link_or_copy)
        replace_folder(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)


def _write_file(path: Path, tensors: dict[str, Tensor]) -> dict:
    """Write one file; returns its entry of the manifest."""
    save_file(
        {key: value.contiguous() for key, value in tensors.items()}, path
    )
    # safetensors makes files that only their owner can read.
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(0o666 & ~mask)
    flush_to_disk(path)
    return dict(
        name=path.name, size=path.stat().st_size, sha256=sha256_of(path)
    )


def _manifest_text(tables: dict, files: list[dict], meta: dict) -> str:
    manifest = dict(
        format=FORMAT,
        world_size=len(files),
        **{key: meta[key] for key in ('epoch', 'iter') if key in meta},
        tables=tables,
        files=files,
    )
    return json.dumps(manifest, indent=2) + '\n'


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _publish(partial: Path, folder: Path, text: str) -> None:
    manifest = partial / MANIFEST
    manifest.write_text(text)
    flush_to_disk(manifest)
    replace_folder(partial, folder)


def _unwritten(folder: Path, error: Exception) -> Exception:
    return OSError(
        f'{folder} could not be written: {error}. The checkpoints before it '
        'are untouched: make room or choose another out_dir, and resume'
    )
