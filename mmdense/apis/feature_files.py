"""Files of embeddings: parts that ranks write, joined when all are there."""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np

from ..compat.extras import import_extra
from ..distributed.atomic_files import (
    flush_to_disk,
    partial_path,
    write_atomically,
)

FORMATS = ('.npy', '.parquet')
_ROWS = 1 << 16  # of a row group, and at a time


class FeaturePart:
    """What one rank has embedded so far: rows, and a log that counts them.

    The log is appended to after the rows; what a killed process wrote beyond
    its last line is cut off when the part is opened again.

    Args:
        folder: Where the parts of a run are.
        rank: Which of them.
        run: What determines the rows, of plain types; a part of another run
            is not continued.
        resume: Whether to go on from a part that is there.

    Attributes:
        done: Files of this rank's share that are dealt with.
        rows: Embeddings written.
        length: d, or 0 while there are none.
        skipped: Numbers of unreadable files.

    Raises:
        ValueError: The part that is there is of another run or damaged.
    """

    def __init__(
        self, folder: Path, rank: int, run: dict[str, Any], resume: bool
    ) -> None:
        self.rows_path = folder / f'rank_{rank}.float32'
        self.log_path = folder / f'rank_{rank}.jsonl'
        self.done = self.rows = self.length = 0
        self.skipped: list[int] = []
        folder.mkdir(parents=True, exist_ok=True)
        lines = [run]
        if resume and self.log_path.is_file():
            lines = self._continue(run)
        text = ''.join(json.dumps(line) + '\n' for line in lines)
        write_atomically(self.log_path, text.encode())
        self.rows_path.touch()
        os.truncate(self.rows_path, 4 * self.rows * self.length)
        self._rows: BinaryIO = self.rows_path.open('ab')
        self._log: BinaryIO = self.log_path.open('ab')

    def _continue(self, run: dict[str, Any]) -> list[dict[str, Any]]:
        first, *lines = read_log(self.log_path)
        if first != run:
            other = [key for key in run if first.get(key) != run[key]]
            raise ValueError(
                f'{self.log_path} is of a run with another '
                f'{" and another ".join(other)}. Give the same options, or '
                'leave out --resume to start over'
            )
        for line in lines:
            self._count(line)
        expected = 4 * self.rows * self.length
        size = self.rows_path.stat().st_size
        if size < expected:  # after a power failure
            raise ValueError(
                f'{self.rows_path} has {size} bytes, expected at least '
                f'{expected} by its log; leave out --resume to start over'
            )
        return [first, *lines]

    def _count(self, line: dict[str, Any]) -> None:
        self.done += line['done']
        self.rows += line['rows']
        self.length = line['length'] or self.length
        self.skipped += line['skipped']

    def append(
        self, done: int, embeddings: np.ndarray | None, skipped: Sequence[int]
    ) -> None:
        """Add a batch.

        Args:
            done: Files it was made from.
            embeddings: (rows, d) float32, None if none could be read.
            skipped: Numbers of the others, in the list of all files.
        """
        rows = length = 0
        if embeddings is not None:
            rows, length = embeddings.shape
            self._rows.write(np.ascontiguousarray(embeddings, '<f4').data)
            self._rows.flush()
        line = dict(done=done, rows=rows, length=length, skipped=list(skipped))
        self._log.write((json.dumps(line) + '\n').encode())
        self._log.flush()
        self._count(line)

    def close(self) -> None:
        """Close the files."""
        self._rows.close()
        self._log.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a part's log, but for one that was not finished."""
    *whole, _ = path.read_bytes().split(b'\n')
    return [json.loads(line) for line in whole]


def join_parts(
    folder: Path, ranks: int, out: Path, names: Iterator[str], labels: bool
) -> tuple[int, int]:
    """Make the parts of all ranks one file, and remove them.

    Args:
        folder: Where the parts are.
        ranks: How many there are.
        out: The `.npy` or `.parquet` file to write; beside an `.npy` file
            the names go to a `.txt` file, one a line.
        names: Of all files, in order.
        labels: Whether to add the name of the folder of each file to a
            `.parquet` file, as `label`.

    Returns:
        Embeddings written, and d.

    Raises:
        FileNotFoundError: A part is not there.
        ValueError: No image could be read.
    """
    paths, skipped, rows, length = [], set(), 0, 0
    for rank in range(ranks):
        log = folder / f'rank_{rank}.jsonl'
        if not log.is_file():
            raise FileNotFoundError(
                f'{log} does not exist; all ranks must write to a folder '
                'that rank 0 sees'
            )
        for line in read_log(log)[1:]:
            skipped.update(line['skipped'])
            rows += line['rows']
            length = line['length'] or length
        paths.append(log.with_suffix('.float32'))
    if not rows:
        raise ValueError('none of the images could be read')
    kept = (name for i, name in enumerate(names) if i not in skipped)
    partial = partial_path(out.with_name(f'{out.name}.joined'))
    try:
        if out.suffix == '.npy':
            _write_npy(partial, paths, rows, length)
            text = ''.join(f'{name}\n' for name in kept)
            write_atomically(out.with_suffix('.txt'), text.encode())
        else:
            _write_parquet(partial, paths, length, kept, labels)
        flush_to_disk(partial)
        os.replace(partial, out)
    finally:
        partial.unlink(missing_ok=True)
    shutil.rmtree(folder)
    return rows, length


def _write_npy(path: Path, parts: list[Path], rows: int, length: int) -> None:
    header = dict(descr='<f4', fortran_order=False, shape=(rows, length))
    with path.open('wb') as file:
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            with part.open('rb') as source:
                shutil.copyfileobj(source, file, 1 << 20)


def _write_parquet(
    path: Path,
    parts: list[Path],
    length: int,
    names: Iterator[str],
    labels: bool,
) -> None:
    pa = import_extra('pyarrow', 'parquet', 'writing .parquet')
    parquet = import_extra('pyarrow.parquet', 'parquet', 'writing .parquet')
    columns = [
        ('path', pa.string()),
        ('embedding', pa.list_(pa.float32(), length)),
    ]
    if labels:
        columns.insert(1, ('label', pa.string()))
    schema = pa.schema(columns)
    with parquet.ParquetWriter(path, schema) as writer:
        for part in parts:
            for block in _blocks(part, length):
                own = [next(names) for _ in block]
                arrays = [
                    pa.array(own, pa.string()),
                    pa.FixedSizeListArray.from_arrays(
                        pa.array(block.reshape(-1)), length
                    ),
                ]
                if labels:
                    folders = [PurePosixPath(name).parent.name for name in own]
                    arrays.insert(1, pa.array(folders, pa.string()))
                writer.write_table(pa.table(arrays, schema))


def _blocks(part: Path, length: int) -> Iterator[np.ndarray]:
    with part.open('rb') as file:
        while content := file.read(4 * length * _ROWS):
            yield np.frombuffer(content, '<f4').reshape(-1, length)
