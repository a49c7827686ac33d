"""Arrays that are computed once, kept in a file and memory-mapped."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import ArrayLike, DTypeLike, NDArray

_SAMPLE = 1 << 16


def cache_folder(folder: str | Path | None = None) -> Path:
    """The folder for computed files, made if it is not there.

    `folder` if given, else `MMDENSE_CACHE_DIR`, else `mmdense` in the user's
    cache folder (`XDG_CACHE_HOME` or `~/.cache`).
    """
    if folder is None:
        folder = os.environ.get('MMDENSE_CACHE_DIR')
    if folder is None:
        user = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
        folder = Path(user) / 'mmdense'
    path = Path(folder).expanduser()
    path.mkdir(parents=True, exist_ok=True)
    return path


def fingerprint(*parts: ArrayLike | str) -> str:
    """12 hexadecimal digits that depend on arrays and texts."""
    digest = hashlib.sha256()
    for part in parts:
        if not isinstance(part, str):
            array = np.ascontiguousarray(part)
            digest.update(f'{array.dtype.str}{array.shape}'.encode())
            digest.update(array.tobytes())
        else:
            digest.update(part.encode())
    return digest.hexdigest()[:12]


def fingerprint_of_file(path: Path) -> str:
    """The same of a file: its size and 16 blocks spread over it.

    Reading all of a file of 1.5 GB would take longer than what it is for.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open('rb') as file:
        for start in np.linspace(0, max(size - _SAMPLE, 0), 16, dtype=int):
            file.seek(int(start))
            digest.update(file.read(_SAMPLE))
    return digest.hexdigest()[:12]


def make_once(path: Path, make: Callable[[Path], None]) -> Path:
    """Let `make` write `path` unless it is there.

    `make` gets the path of a hidden file to write, which is renamed when it
    is complete. Of several processes that want the file one makes it and the
    others wait.
    """
    if path.is_file():
        return path
    partial = path.with_name(f'.{path.name}.partial')
    with FileLock(path.with_name(f'.{path.name}.lock')):
        if path.is_file():
            return path
        try:
            make(partial)
            with partial.open('rb+') as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    return path


def create_array(
    path: Path, shape: tuple[int, ...], dtype: DTypeLike
) -> NDArray:
    """A new `.npy` file of that shape, mapped for writing.

    Raises:
        OSError: The disk has no room for it. (A mapped file without room
            behind it would end the process at some later write.)
    """
    array = np.lib.format.open_memmap(
        path, mode='w+', dtype=np.dtype(dtype), shape=shape
    )
    if hasattr(os, 'posix_fallocate'):
        with path.open('rb+') as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def open_array(path: Path) -> NDArray:
    """A `.npy` file, mapped for reading.

    Raises:
        FileNotFoundError: It is missing.
        ValueError: It is truncated or no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f'{path} is missing')
    try:
        return np.load(path, mmap_mode='r', allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(
            f'{path} is truncated or no .npy file ({error}); if it is in a '
            'cache folder delete it, it is then made again'
        ) from error
