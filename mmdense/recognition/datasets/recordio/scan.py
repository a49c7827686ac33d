"""Going through a record file without its index."""

from collections.abc import Iterator
from pathlib import Path

from .container import MAGIC_BYTES, RecordError, decode_record, map_file


def scan_records(path: Path) -> Iterator[tuple[int, int, bytes | RecordError]]:
    """All records from the start to the end of a file.

    Behind damage it goes on at the next place that reads as a record.

    Args:
        path: The `.rec` file.

    Yields:
        Where a record starts, where it ends, and its payload; in place of
        the payload an error with the reason where there is damage.
    """
    buffer = map_file(path)
    size = len(buffer)
    offset = 0
    while offset < size:
        try:
            payload, end = decode_record(buffer, size, offset)
            found: bytes | RecordError = payload
        except RecordError as error:
            found, end = error, _next_record(buffer, size, offset + 4)
        yield offset, end, found
        offset = end


def _next_record(buffer, size: int, offset: int) -> int:
    while True:
        offset = buffer.find(MAGIC_BYTES, offset)
        if offset < 0:
            return size
        if offset % 4 == 0:
            try:
                decode_record(buffer, size, offset)
            except RecordError:
                pass
            else:
                return offset
        offset += 1
