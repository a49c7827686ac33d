"""Which records of a file are images, and of which classes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .container import MAGIC, MAX_LENGTH, START, WHOLE, RecordError
from .header import HEADER, MAX_LABEL
from .reader import RecordReader

_CHUNK = 1 << 18
_HEADER_WORDS = 2 + HEADER.size // 4


@dataclass(frozen=True)
class Layout:
    """What the records of a file are.

    Attributes:
        positions: Positions in the index of the records with images, a range
            or int64 `(images,)`; in InsightFace's layout by ascending key,
            else in the order of the index.
        identities: Number of identity records; None where there is no meta
            record, as in files of im2rec.
        meta: Position of the meta record, or None.
    """

    positions: np.ndarray | range
    identities: int | None = None
    meta: int | None = None


def read_layout(reader: RecordReader) -> Layout:
    """Find out which records are images.

    InsightFace's files have a record 0 without an image whose labels are
    [n, m]: the images have keys 1 to n - 1, and n to m - 1 are records of
    identities, without images. Where float32 could not hold n or m, beyond
    2^24 as in Glint360K's 17 million images, the records around the place
    say where it is. In other files all records are images.

    Raises:
        RecordError: The meta record is damaged, or does not agree with the
            index.
    """
    # Not `find`, which keeps an array as long as the index.
    found = np.flatnonzero(reader.keys == 0)
    if not len(found):
        return Layout(range(len(reader)))
    meta = int(found[0])
    record = reader.read_image(meta)
    # An image may have several labels too; a meta record has no image.
    if record.flag < 2 or record.content:
        return Layout(range(len(reader)))
    first, last = (float(value) for value in record.labels[:2])
    if not 1 <= first <= last or first % 1 or last % 1:
        raise reader.error(
            f'the meta record says [{first:.9g}, {last:.9g}], expected '
            '[images + 1, images + 1 + identities]',
            meta,
        )
    stop = int(first)
    if first > MAX_LABEL:
        stop = _first_without_image(reader, stop)
    positions = _image_positions(reader, stop, meta)
    identities = int(last) - stop
    if last > MAX_LABEL:
        identities = int((reader.keys >= stop).sum())
    return Layout(positions, identities, meta)


def _image_positions(
    reader: RecordReader, stop: int, meta: int
) -> np.ndarray | range:
    """Where keys 1 to stop - 1 are."""
    keys = np.arange(1, stop)
    found = np.flatnonzero(reader.keys == 1)
    if len(found):
        start = int(found[0])
        if np.array_equal(reader.keys[start : start + len(keys)], keys):
            return range(start, start + len(keys))
    positions = reader.find_all(keys)
    missing = np.flatnonzero(positions < 0)
    if len(missing):
        raise reader.error(
            f'the meta record says that keys 1 to {stop - 1} are images, but '
            f'{len(missing)} of them are not in the index, the first being '
            f'{missing[0] + 1}',
            meta,
        )
    return positions


def _first_without_image(reader: RecordReader, guess: int) -> int:
    """The first key without an image, near one that float32 has rounded."""

    def has_image(key: int) -> bool:
        position = reader.find(key)
        return position >= 0 and bool(reader.read_image(position).content)

    while guess > 1 and not has_image(guess - 1):
        guess -= 1
    while has_image(guess):
        guess += 1
    return guess


def read_labels(
    reader: RecordReader, positions: np.ndarray | range
) -> np.ndarray:
    """The classes of many records, reading no more than their headers.

    Args:
        reader: The file.
        positions: A range or int64 `(n,)`, positions in the index.

    Returns:
        int32 `(n,)`; -1 where a record is damaged, which
        `reader.read_image` says more about.
    """
    labels = np.empty(len(positions), dtype=np.int32)
    words = np.frombuffer(reader.buffer, '<u4', reader.size // 4)
    for start in range(0, len(positions), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        labels[chunk] = _labels(reader, np.asarray(positions[chunk]), words)
    return labels


def _labels(
    reader: RecordReader, positions: np.ndarray, words: np.ndarray
) -> np.ndarray:
    offsets = np.asarray(reader.offsets[positions])
    # One more word, for the first of several labels.
    inside = (offsets % 4 == 0) & (offsets // 4 + _HEADER_WORDS < len(words))
    place = np.where(inside, offsets // 4, 0)
    labels = np.full(len(positions), -1, dtype=np.int32)
    if not inside.any():
        values, plain = np.zeros(len(positions), np.float32), inside
    else:
        flag, length = words[place + 1] >> 29, words[place + 1] & MAX_LENGTH
        several = words[place + 2] > 0
        values = words[place + np.where(several, _HEADER_WORDS, 3)].view(
            np.float32
        )
        plain = (
            inside
            & (words[place] == MAGIC)
            & ((flag == WHOLE) | (flag == START))
            # What is not within the first part is read record by record.
            & (length >= HEADER.size + 4 * several)
            & (offsets + 8 + length <= reader.size)
            & (values >= 0)
            & (values <= MAX_LABEL)
            & (np.floor(values) == values)
        )
    labels[plain] = values[plain].astype(np.int32)
    for number in np.flatnonzero(~plain):
        try:
            labels[number] = reader.read_label(positions[number])
        except RecordError:
            continue
    return labels


def read_property(folder: Path) -> dict[str, Any] | None:
    """InsightFace's file `property`: number of identities, image size.

    Args:
        folder: Where it may be.

    Returns:
        `num_classes` and, where they are given, `height` and `width`; None
        if there is no such file.

    Raises:
        RecordError: It is something else.
    """
    path = folder / 'property'
    if not path.is_file():
        return None
    text = path.read_text().strip()
    names = ('num_classes', 'height', 'width')
    try:
        values = [int(part) for part in text.split(',')]
    except ValueError:
        values = []
    if not 1 <= len(values) <= 3 or min(values) < 1:
        raise RecordError(
            f'is {text[:80]!r}, expected identities,height,width', file=path
        )
    return dict(zip(names, values, strict=False))
