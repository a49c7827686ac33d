"""Arrays computed from a record file once and mapped from then on."""

import contextlib
import hashlib
import os
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np

# Raise it when what is cached changes.
_VERSION = 1


def cached_array(
    rec_file: Path,
    idx_file: Path,
    name: str,
    build: Callable[[], np.ndarray],
    folder: Path | None,
) -> np.ndarray:
    """An array from its cache file, which is made if it is not there.

    The file is mapped: all ranks and workers of a machine share its memory.
    Its name has a digest of size and time of the record file and the index,
    so one that belongs to an older state of them is never read.

    Args:
        rec_file: The record file.
        idx_file: Its index.
        name: What the array is.
        build: Computes it.
        folder: Where cache files are; None for none. Where it cannot be
            written, the array stays in memory.
    """
    if folder is None:
        return build()
    stamp = [_VERSION]
    for path in (rec_file, idx_file):
        status = path.stat()
        stamp += [status.st_size, status.st_mtime_ns]
    digest = hashlib.sha256(repr(stamp).encode()).hexdigest()[:16]
    prefix = f'.{idx_file.name}.{name}-'
    path = folder / f'{prefix}{digest}.npy'
    # Not ours to judge: a damaged cache file is made anew.
    with contextlib.suppress(OSError, ValueError, EOFError):
        return np.load(path, mmap_mode='r', allow_pickle=False)
    array = build()
    partial = folder / f'{prefix}{uuid.uuid4().hex}.partial'
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with partial.open('wb') as file:
            np.save(file, array, allow_pickle=False)
        os.replace(partial, path)
        mapped = np.load(path, mmap_mode='r', allow_pickle=False)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink()
        return array
    for old in folder.glob(f'{prefix}*.npy'):
        if old != path:
            old.unlink(missing_ok=True)
    return mapped
