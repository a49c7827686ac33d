"""The `.idx` file: where the record of each key starts."""

import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from .container import RecordError


def read_index(path: Path) -> np.ndarray:
    """Read lines of `key<tab>offset`.

    Args:
        path: The file.

    Returns:
        int64 `(records, 2)`, keys and offsets in the order of the file.

    Raises:
        FileNotFoundError: There is no such file.
        RecordError: A line is not such a pair, the file is empty, or a key
            is there twice.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f'there is no index {path}; if the record file is whole, '
            '`python tools/dataset_converters/recordio.py index` makes one '
            'from it'
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', UserWarning)  # of empty files
            index = np.loadtxt(
                path, dtype=np.int64, delimiter='\t', comments=None, ndmin=2
            )
    except ValueError as error:
        raise _bad_line(path) or RecordError(str(error), file=path) from None
    if not index.size:
        raise RecordError('the index is empty', file=path)
    if index.shape[1] != 2 or (index < 0).any():
        raise _bad_line(path) or RecordError('not an index', file=path)
    order = np.argsort(index[:, 0], kind='stable')
    keys = index[order, 0]
    twice = np.flatnonzero(keys[1:] == keys[:-1])
    if len(twice):
        first, second = order[twice[0]], order[twice[0] + 1]
        raise RecordError(
            f'is there twice, in entries {first + 1} and {second + 1} of the '
            f'index, first with the offset {index[first, 1]}',
            file=path,
            key=int(keys[twice[0]]),
            offset=int(index[second, 1]),
        )
    return index


def index_lines(entries: Iterable[tuple[int, int]]) -> bytes:
    """Entries as the lines of an index file."""
    return ''.join(f'{key}\t{offset}\n' for key, offset in entries).encode()


def _bad_line(path: Path) -> RecordError | None:
    """The first line that is not a key and an offset."""
    with path.open('rb') as file:
        for number, line in enumerate(file, 1):
            columns = line.rstrip(b'\r\n').split(b'\t')
            if columns == [b'']:
                continue
            if len(columns) != 2 or not all(c.isdigit() for c in columns):
                shown = line[:80].decode(errors='replace').rstrip('\r\n')
                return RecordError(
                    f'line {number} of the index is {shown!r}, expected a '
                    'key, a tab and an offset, both whole numbers',
                    file=path,
                    key=int(columns[0]) if columns[0].isdigit() else None,
                )
    return None
