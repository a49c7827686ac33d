"""The files that hold the rows of all ranks: checking and reading."""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from .atomic_files import sha256_of
from .collectives import rank, world_size
from .shard_files import FORMAT, MANIFEST, file_name
from .sharding import ShardedTable, shard_range

_REMEDY = (
    'copy the whole folder again from where it was saved, or resume from '
    'another checkpoint'
)


def read_manifest(folder: Path, expected_sha256: str | None = None) -> dict:
    """The manifest of a folder of shards.

    Args:
        folder: The folder.
        expected_sha256: What the checkpoint says the manifest has; None not
            to check.

    Raises:
        FileNotFoundError: The folder or its manifest is missing.
        ValueError: It is damaged, has another format or is of another
            checkpoint.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(
            f'{path} is missing; it belongs to the checkpoint beside it and '
            'holds the class centers. Copy the folder along with the .pth, '
            'or use load_from, without resume, to start with new centers'
        )
    content = path.read_bytes()
    try:
        manifest = json.loads(content)
        found = manifest.get('format')
    except (ValueError, AttributeError) as error:
        raise ValueError(f'{path} is damaged ({error}); {_REMEDY}') from error
    if found != FORMAT:
        raise ValueError(
            f'{path}: got format {found}, expected {FORMAT}; it was written '
            'by another version of mmdense'
        )
    sha256 = hashlib.sha256(content).hexdigest()
    if expected_sha256 not in (None, sha256):
        raise ValueError(
            f'{path} is not the one this checkpoint was saved with: got '
            f'shards of epoch {manifest.get("epoch")}, iteration '
            f'{manifest.get("iter")} with SHA-256 {sha256[:8]}, expected '
            f'{str(expected_sha256)[:8]}; {_REMEDY}'
        )
    return manifest


def check_files(folder: Path, manifest: dict) -> None:
    """See that the files are those the manifest was written for.

    That all are there with their sizes is checked on every rank; the work
    of computing their SHA-256 is divided among the ranks, so call it on
    all, and `raise_on_all_ranks` after.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file has another size or content.
    """
    for entry in manifest['files']:
        path = folder / entry['name']
        if not path.is_file():
            raise FileNotFoundError(f'{path} is missing; {_REMEDY}')
        size = path.stat().st_size
        if size != entry['size']:
            raise ValueError(
                f'{path} is damaged: got {size} bytes, expected '
                f'{entry["size"]}; {_REMEDY}'
            )
    for number, entry in enumerate(manifest['files']):
        if number % world_size() != rank():
            continue
        sha256 = sha256_of(folder / entry['name'])
        if sha256 != entry['sha256']:
            raise ValueError(
                f'{folder / entry["name"]} is damaged: its SHA-256 starts '
                f'with {sha256[:8]}, expected {entry["sha256"][:8]}; '
                f'{_REMEDY}'
            )


def read_range(
    folder: Path, manifest: dict, name: str, slot: str, start: int, stop: int
) -> Tensor:
    """Rows `[start, stop)` of one tensor of a table, from any split.

    Args:
        folder: The folder of shards.
        manifest: Its manifest.
        name: Name of the table.
        slot: `'weight'` or one of the optimizer's slots.
        start: First row.
        stop: One past the last row.

    Returns:
        (stop - start, ...) tensor on the CPU.

    Raises:
        FileNotFoundError: The file of a rank is missing.
    """
    num_rows = manifest['tables'][name]['num_rows']
    files = manifest['world_size']
    parts = []
    for other in range(files):
        first, last = shard_range(num_rows, other, files)
        lower = min(max(first, start), last)
        upper = max(min(last, stop), lower)
        # Of the first file even no rows are read: they have a shape.
        if lower == upper and other > 0:
            continue
        path = folder / file_name(other, files)
        if not path.is_file():
            raise FileNotFoundError(
                f'{path} is missing, it holds rows {first} to {last} of '
                f'{name!r}; {_REMEDY}'
            )
        with safe_open(path, framework='pt') as file:
            rows = file.get_slice(f'{name}.{slot}')
            parts.append(rows[lower - first : upper - first])
    parts = [part for part in parts if len(part)] or parts[:1]
    # A table is large: what is whole is not copied.
    return parts[0] if len(parts) == 1 else torch.cat(parts)


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
            'num_classes and in_channels. To fine-tune with other classes, '
            'use load_from without resume'
        )
    return {
        slot: read_range(folder, manifest, name, slot, table.start, table.stop)
        for slot in ['weight', *entry['slots']]
    }


def read_rank_state(folder: Path, manifest: dict) -> dict[str, Tensor]:
    """What a rank's file holds beside rows; see `rank_state`.

    Returns:
        This rank's, or that of rank 0 where another number of ranks has
        written it.
    """
    files = manifest['world_size']
    mine = rank() if files == world_size() else 0
    with safe_open(folder / file_name(mine, files), framework='pt') as file:
        return {
            key: file.get_tensor(key)
            for key in file.keys()
            if key.startswith('rank.')
        }
