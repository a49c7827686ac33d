"""Files that are either whole or not there, whenever a process is killed."""

import hashlib
import os
import shutil
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

_BLOCK = 1 << 20


def partial_path(path: Path) -> Path:
    """Where `path` is written before it is complete: hidden, beside it."""
    return path.with_name(f'.{path.name}.partial')


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def flush_to_disk(path: Path) -> None:
    """Wait until a file's content, or a folder's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file such that `path` is at all times the old or the new.

    Raises:
        OSError: It could not be written; what was there before still is.
    """
    partial = partial_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        partial.write_bytes(content)
        flush_to_disk(partial)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    flush_to_disk(path.parent)


def replace_folder(partial: Path, folder: Path) -> None:
    """Make a complete folder visible under its name.

    An older one of that name is moved out of the way first, as a rename
    cannot replace a folder that is not empty.
    """
    flush_to_disk(partial)
    old = folder.with_name(f'.{folder.name}.old.partial')
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.rename(folder, old)
    os.rename(partial, folder)
    flush_to_disk(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def remove_partial(folder: Path) -> None:
    """Remove what killed processes left half written in `folder`."""
    for path in folder.glob('.*.partial'):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


class AtomicLocalBackend(LocalBackend):
    """mmengine's local files, but written by :func:`write_atomically`.

    mmengine opens a checkpoint for writing in place: a process killed then
    leaves half a file where a good one was.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a file."""
        write_atomically(Path(filepath), bytes(obj))

    def put_text(
        self, obj: str, filepath: str | Path, encoding: str = 'utf-8'
    ) -> None:
        """Write text to a file."""
        write_atomically(Path(filepath), obj.encode(encoding))


#: The name for mmengine's `backend_args=dict(backend=...)`.
ATOMIC_BACKEND = 'mmdense.AtomicLocalBackend'
register_backend(ATOMIC_BACKEND, AtomicLocalBackend, force=True)
