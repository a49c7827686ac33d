"""The published geodesic distances, `Pdist_matrix.pkl` and `.mat`.

1.5 GB that every process would read into its memory. They are converted once
to a `.npy` file, which processes map and share.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from ..array_pickle import ArrayUnpickler
from .cache import (
    cache_folder,
    create_array,
    fingerprint_of_file,
    make_once,
)
from .distances import CondensedDistances, condensed_vertices
from .mat_files import require_file

FIELD = 'Pdist_matrix'
_BLOCK = 1 << 22
_HDF5_SUFFIXES = ('.mat', '.h5', '.hdf5')
_HDF5_START = b'\x89HDF\r\n\x1a\n'


def open_pdist(
    path: str | Path,
    num_vertices: int,
    cache_dir: str | Path | None = None,
) -> CondensedDistances:
    """The distances of a published file, converted at first use.

    Args:
        path: `Pdist_matrix.pkl`, the same as HDF5 `.mat`, or a `.npy` that
            was converted from one of them.
        num_vertices: Of the mesh they are to be of.
        cache_dir: Where the `.npy` goes; None for beside the file, or the
            default cache folder if that cannot be written to.

    Raises:
        FileNotFoundError: The file is missing.
        ImportError: It is HDF5 and h5py is not installed.
        ValueError: It is truncated, another file, or of another mesh.
    """
    path = require_file(path, 'Pdist_matrix.pkl')
    array = path if path.suffix == '.npy' else convert_pdist(path, cache_dir)
    distances = CondensedDistances(array)
    if distances.num_vertices != num_vertices:
        raise ValueError(
            f'{path}: {FIELD} holds distances of {distances.num_vertices} '
            f'vertices, but the charts refer to {num_vertices}: the files '
            'are of different meshes'
        )
    return distances


def convert_pdist(
    path: str | Path, cache_dir: str | Path | None = None
) -> Path:
    """Convert a published file to a `.npy` file unless that is there.

    Its name holds a fingerprint of the file, so that a changed file is
    converted anew.

    Raises:
        ImportError, FileNotFoundError, ValueError: As :func:`open_pdist`.
    """
    path = require_file(path, 'Pdist_matrix.pkl')
    name = f'{path.stem}-{fingerprint_of_file(path)}.npy'
    beside = path.parent / name
    if cache_dir is None and (
        beside.is_file() or os.access(path.parent, os.W_OK)
    ):
        return make_once(beside, lambda partial: _convert(path, partial))
    target = cache_folder(cache_dir) / name
    return make_once(target, lambda partial: _convert(path, partial))


def _convert(path: Path, partial: Path) -> None:
    console = Console(stderr=True)
    with path.open('rb') as file:
        is_hdf5 = file.read(len(_HDF5_START)) == _HDF5_START
    if is_hdf5 or path.suffix in _HDF5_SUFFIXES:
        values = _open_hdf5(path)
    else:
        with console.status(f'reading {path.name}'):
            values = _read_pickle(path)
    size = int(np.prod(values.shape))
    if size != max(values.shape, default=0) or values.dtype.kind != 'f':
        raise ValueError(
            f'{path}: {FIELD} has shape {values.shape} and type '
            f'{values.dtype}, expected one column of floats'
        )
    if condensed_vertices(size) is None:
        raise ValueError(
            f'{path}: {FIELD} has {size} distances, which is K (K - 1) / 2 '
            'for no K: truncated, or another file'
        )
    output = create_array(partial, (size,), np.float32)
    start = 0
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(f'converting {path.name}', total=size)
        for block in _blocks(values, size):
            # min and max are NaN if any is, and need no array of flags.
            if not (block.min() >= 0 and block.max() < np.inf):
                raise ValueError(
                    f'{path}: {FIELD} has NaN, infinite or negative values '
                    f'between {start} and {start + len(block)}'
                )
            output[start : start + len(block)] = block
            start += len(block)
            bar.advance(task, len(block))
    output.flush()  # type: ignore[attr-defined]


def _blocks(values: Any, size: int) -> Iterator[NDArray]:
    """Flat pieces of an array or HDF5 data set whose one axis is long."""
    axis = values.shape.index(size)
    for start in range(0, size, _BLOCK):
        part = [slice(None)] * len(values.shape)
        part[axis] = slice(start, start + _BLOCK)
        yield np.asarray(values[tuple(part)]).reshape(-1)


def _open_hdf5(path: Path) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            f"{path} is an HDF5 file, which needs h5py: pip install 'mmdense"
            "[optional]', or use Pdist_matrix.pkl"
        ) from error
    try:
        file = h5py.File(path, 'r')
        names = list(file)
        values = file[FIELD] if FIELD in names else None
    except OSError as error:
        raise ValueError(
            f'{path} is truncated or no HDF5 file ({error}); get it again'
        ) from error
    if not isinstance(values, h5py.Dataset):
        raise ValueError(
            f'{path} has no {FIELD!r}, it has {", ".join(names)}: is it '
            'another file?'
        )
    return values


def _read_pickle(path: Path) -> NDArray:
    try:
        with path.open('rb') as file:
            # latin1 is how numpy's arrays pickled by Python 2 are read.
            content = ArrayUnpickler(file, encoding='latin1').load()
    except Exception as error:
        # Damaged bytes may be any instruction to the unpickler.
        raise ValueError(
            f'{path} is truncated or not the published file '
            f'({type(error).__name__}: {error}); get it again'
        ) from error
    if not isinstance(content, dict) or FIELD not in content:
        have = (
            ', '.join(map(str, content)) if isinstance(content, dict) else ''
        )
        raise ValueError(
            f'{path} has no {FIELD!r}, expected a dict with it, got '
            f'{type(content).__name__} {have}: is it another file?'
        )
    values = content[FIELD]
    if not isinstance(values, np.ndarray):
        raise ValueError(
            f'{path}: {FIELD} is a {type(values).__name__}, expected an array'
        )
    return values
