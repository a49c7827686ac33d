"""Making the index of a record file that has none."""

from array import array
from pathlib import Path

import numpy as np

from mmdense.distributed.atomic_files import write_atomically

from .container import RecordError
from .header import unpack_image
from .index import index_lines
from .processes import Track, no_bar
from .scan import scan_records

KEYS = ('id', 'number')


def rebuild_index(
    rec_file: Path,
    idx_file: Path,
    keys: str = 'id',
    skip: bool = False,
    track: Track = no_bar,
) -> tuple[int, list[RecordError]]:
    """Write an index by going through a record file.

    Args:
        rec_file: The record file.
        idx_file: The index to write.
        keys: `id`: the key of a record is the id in its header, as it is in
            files of mxnet, im2rec and InsightFace. `number`: they are
            counted from 0.
        skip: Whether damage is left out, rather than an error.
        track: Shows progress, in bytes.

    Returns:
        Number of records in the index, and the damage left out.

    Raises:
        FileNotFoundError: There is no such record file.
        RecordError: There is damage that is not skipped, or no record.
        ValueError: Ids are not unique.
    """
    if keys not in KEYS:
        raise ValueError(f'got keys={keys!r}, expected one of {KEYS}')
    if not rec_file.is_file():
        raise FileNotFoundError(f'there is no record file {rec_file}')
    ids, offsets = array('Q'), array('q')
    damaged = []
    found = scan_records(rec_file)
    size = rec_file.stat().st_size
    for offset, _, payload in track(found, size, lambda r: r[1] - r[0]):
        try:
            if isinstance(payload, RecordError):
                raise payload
            ids.append(unpack_image(payload).id)
            offsets.append(offset)
        except RecordError as error:
            error = RecordError(error.reason, file=rec_file, offset=offset)
            if not skip:
                raise error from None
            damaged.append(error)
    if not ids:
        raise RecordError('has no record', file=rec_file)
    if keys == 'id':
        _check_unique(rec_file, np.array(ids), np.array(offsets))
    entries = zip(
        ids if keys == 'id' else range(len(ids)), offsets, strict=True
    )
    write_atomically(idx_file, index_lines(entries))
    return len(ids), damaged


def _check_unique(
    rec_file: Path, ids: np.ndarray, offsets: np.ndarray
) -> None:
    order = np.argsort(ids, kind='stable')
    twice = np.flatnonzero(ids[order[1:]] == ids[order[:-1]])
    if len(twice):
        first, second = order[twice[0]], order[twice[0] + 1]
        raise ValueError(
            f'{rec_file} has the id {ids[first]} twice, at bytes '
            f'{offsets[first]} and {offsets[second]}; count the records '
            'instead (--keys number)'
        )
