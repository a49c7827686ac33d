"""The container of `.rec` files: records, split in parts where need be.

A part is `uint32 magic | uint32 (flag << 29 | length) | bytes | zeros to a
multiple of 4`, little-endian. A payload that holds the magic number at a
multiple of 4 is cut there and the number itself left out, so that the number
at such a place always starts a part. (dmlc-core, `recordio.h`.)
"""

import mmap
import struct
from pathlib import Path

MAGIC = 0xCED7230A
MAGIC_BYTES = struct.pack('<I', MAGIC)
#: Bytes of a part; its length field has 29 bits.
MAX_LENGTH = (1 << 29) - 1
WHOLE, START, MIDDLE, END = range(4)

_OLD_MAGIC = 0x3ED7230A
_PART = struct.Struct('<II')
_NAMES = {
    WHOLE: 'a whole record',
    START: 'the start of a split record',
    MIDDLE: 'the middle of a split record',
    END: 'the end of a split record',
}


class RecordError(ValueError):
    """A record, or the index of a record file, is damaged.

    The message says all of it, as the only thing that a DataLoader brings
    over from a worker.

    Args:
        reason: What is wrong.
        file: The file it is wrong in.
        key: Key of the record.
        offset: Byte the record starts at.
    """

    def __init__(
        self,
        reason: str,
        *,
        file: str | Path | None = None,
        key: int | None = None,
        offset: int | None = None,
    ) -> None:
        self.reason, self.file = reason, file
        self.key, self.offset = key, offset
        where = '' if file is None else f'{file}: '
        if key is not None:
            where += f'record {key}'
        elif offset is not None:
            where += 'record'
        if offset is not None:
            where += f' at byte {offset}'
        if key is not None or offset is not None:
            where += ': '
        super().__init__(where + reason)


def map_file(path: Path) -> mmap.mmap | bytes:
    """A file as a buffer, mapped unless it is empty, which cannot be."""
    if not path.stat().st_size:
        return b''
    with path.open('rb') as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def encode_record(payload: bytes) -> bytes:
    """The bytes of a record in a file.

    Args:
        payload: What it holds.

    Raises:
        ValueError: The payload is too long for the format.
    """
    if len(payload) > MAX_LENGTH:
        raise ValueError(
            f'got a payload of {len(payload)} bytes, a record holds at most '
            f'{MAX_LENGTH}'
        )
    parts = []
    start = 0
    found = payload.find(MAGIC_BYTES)
    while found >= 0:
        if found % 4:
            found = payload.find(MAGIC_BYTES, found + 1)
            continue
        parts.append((MIDDLE if start else START, payload[start:found]))
        start = found + 4
        found = payload.find(MAGIC_BYTES, start)
    parts.append((END if start else WHOLE, payload[start:]))
    return b''.join(
        _PART.pack(MAGIC, flag << 29 | len(part))
        + part
        + bytes(-len(part) % 4)
        for flag, part in parts
    )


def decode_record(file, size: int, offset: int) -> tuple[bytes, int]:
    """The payload of the record at an offset, and where the next one starts.

    Args:
        file: A buffer of the whole file, such as an `mmap`.
        size: Its length.
        offset: Where the record starts.

    Raises:
        RecordError: With the reason alone; the caller knows file and key.
    """
    if not 0 <= offset < size:
        raise RecordError(
            f'the index points to byte {offset} of a file that has {size}; '
            'the file is cut or the index is of another file'
        )
    flag, start, stop = _read_part(file, size, offset)
    if flag == WHOLE:
        return file[start:stop], stop + -stop % 4
    if flag != START:
        raise RecordError(
            f'starts with {_NAMES[flag]}, expected {_NAMES[WHOLE]} or '
            f'{_NAMES[START]}'
        )
    parts = [file[start:stop]]
    while flag != END:
        place = stop + -stop % 4
        if place >= size:
            raise RecordError(
                f'the file ends after {len(parts)} part(s) of a split record, '
                'its end is missing'
            )
        flag, start, stop = _read_part(file, size, place)
        if flag not in (MIDDLE, END):
            raise RecordError(
                f'the end of a split record is missing: after {len(parts)} '
                f'part(s) there is {_NAMES[flag]} at byte {place}'
            )
        parts.append(file[start:stop])
    return MAGIC_BYTES.join(parts), stop + -stop % 4


def _read_part(file, size: int, offset: int) -> tuple[int, int, int]:
    """Flag, start and stop of the content of the part at an offset."""
    if offset + _PART.size > size:
        raise RecordError(
            f'the file ends at byte {size}, inside the 8 bytes before a part'
        )
    magic, flag_and_length = _PART.unpack_from(file, offset)
    if magic != MAGIC:
        old = magic == _OLD_MAGIC
        raise RecordError(
            f'got {magic:#010x} at byte {offset}, expected the magic number '
            f'{MAGIC:#010x}'
            + ('; it is the format of old, which is not read' if old else '')
        )
    flag, length = flag_and_length >> 29, flag_and_length & MAX_LENGTH
    if flag not in _NAMES:
        raise RecordError(f'got a part of the unknown kind {flag}')
    start = offset + _PART.size
    stop = start + length
    if stop + -stop % 4 > size:
        raise RecordError(
            f'a part of {length} bytes at byte {offset} reaches past the end '
            f'of the file, which has {size}'
        )
    return flag, start, stop
