"""Writing `.rec` files, such that a killed process can go on."""

import os
from array import array
from pathlib import Path
from typing import Any

import numpy as np

from mmdense.distributed.atomic_files import flush_to_disk, partial_path

from .container import RecordError, decode_record, encode_record
from .index import index_lines, read_index


class RecordWriter:
    """Writes a record file and its index, byte for byte as mxnet does.

    Until :meth:`close`, both have hidden names (`.train.rec.partial`). As a
    context manager it closes after success; after an error the partial files
    stay, for `resume`.

    Args:
        rec_file: The `.rec` file.
        idx_file: The `.idx` file; None for the one beside it.
        resume: Go on after the last whole record of partial files, if there
            are any.

    Attributes:
        keys: The keys written so far, those of an interrupted run included.
    """

    def __init__(
        self,
        rec_file: str | Path,
        idx_file: str | Path | None = None,
        resume: bool = False,
    ) -> None:
        self.rec_file = Path(rec_file)
        self.idx_file = (
            self.rec_file.with_suffix('.idx')
            if idx_file is None
            else Path(idx_file)
        )
        self.rec_file.parent.mkdir(parents=True, exist_ok=True)
        self.idx_file.parent.mkdir(parents=True, exist_ok=True)
        self._partial_rec = partial_path(self.rec_file)
        self._partial_idx = partial_path(self.idx_file)
        index, end = np.empty((0, 2), np.int64), 0
        if resume:
            self._undo_half_close()
            index, end = _whole_records(self._partial_rec, self._partial_idx)
        # Not a list, which takes five times the memory.
        self.keys = array('q', index[:, 0].tolist())
        self._rec = _open_at(self._partial_rec, end)
        lines = index_lines(map(tuple, index.tolist()))
        self._idx = _open_at(self._partial_idx, 0)
        self._idx.write(lines)

    def __enter__(self) -> 'RecordWriter':
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is None:
            self.close()
        else:
            self._rec.close()
            self._idx.close()

    def write(self, key: int, payload: bytes) -> int:
        """Append a record.

        Args:
            key: Under which it is in the index.
            payload: What it holds, for images of :func:`.header.pack_image`.

        Returns:
            The byte it starts at.

        Raises:
            ValueError: The key is negative or the payload too long.
        """
        if key < 0:
            raise ValueError(f'got the key {key}, expected 0 or more')
        offset = self._rec.tell()
        self._rec.write(encode_record(payload))
        self._idx.write(index_lines([(key, offset)]))
        self.keys.append(key)
        return offset

    def close(self) -> None:
        """Make both files visible under their names.

        Raises:
            ValueError: A key was written twice.
        """
        self._rec.close()
        self._idx.close()
        if self.keys:
            try:
                read_index(self._partial_idx)
            except RecordError as error:
                raise ValueError(error.reason) from None
        for partial, path in (
            (self._partial_idx, self.idx_file),
            # Last: where there is a record file, all is there.
            (self._partial_rec, self.rec_file),
        ):
            flush_to_disk(partial)
            os.replace(partial, path)
        flush_to_disk(self.rec_file.parent)

    def _undo_half_close(self) -> None:
        """Killed between the two renames: only the index got its name."""
        if (
            self._partial_rec.is_file()
            and self.idx_file.is_file()
            and not self._partial_idx.exists()
            and not self.rec_file.exists()
        ):
            os.replace(self.idx_file, self._partial_idx)


def _open_at(path: Path, size: int) -> Any:
    """A file open for writing after its first `size` bytes."""
    path.touch()
    file = path.open('r+b')
    file.truncate(size)
    file.seek(size)
    return file


def _whole_records(rec: Path, idx: Path) -> tuple[np.ndarray, int]:
    """The entries of whole records in partial files, and where they end."""
    nothing = np.empty((0, 2), np.int64), 0
    if not (rec.is_file() and idx.is_file()):
        return nothing
    with idx.open('r+b') as file:
        text = file.read()
        # The last line may be cut, and still be a valid one.
        file.truncate(text.rfind(b'\n') + 1)
    if b'\n' not in text:
        return nothing
    index = read_index(idx)
    size = rec.stat().st_size
    # Buffers are flushed by themselves, so the index may be ahead or behind.
    with rec.open('rb') as file:
        for count in range(len(index), 0, -1):
            offset = int(index[count - 1, 1])
            try:
                end = _end_of_record(file, size, offset)
            except RecordError:
                continue
            return index[:count], end
    return nothing


def _end_of_record(file: Any, size: int, offset: int) -> int:
    file.seek(offset)
    tail = file.read()
    return offset + decode_record(tail, len(tail), 0)[1]
