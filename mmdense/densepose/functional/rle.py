"""Run-length encoded masks in COCO's format, decoded with checks.

pycocotools takes truncated counts for granted and returns whatever the memory
held where no run was written; damaged annotations must not become labels.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Five bits a character; longer runs than 2^30 pixels are no masks.
_MAX_CHARACTERS_PER_RUN = 7


def decode_rle(rle: Any) -> NDArray[np.uint8]:
    """Decode one mask.

    Args:
        rle: Mapping with `size` (height, width) and `counts`: lengths of runs
            down the columns, 0 first, as a list of ints or as COCO's
            compressed string.

    Returns:
        Mask of shape (height, width), 0 or 1.

    Raises:
        ValueError: It is none, or its runs do not add up to its size.
    """
    height, width, counts = read_runs(rle)
    values = np.arange(len(counts), dtype=np.uint8) % 2
    return np.repeat(values, counts).reshape(width, height).T


def read_runs(rle: Any) -> tuple[int, int, NDArray[np.int64]]:
    """Height, width and runs of a mask, checked but not spread out.

    Raises:
        ValueError: As :func:`decode_rle`.
    """
    if not isinstance(rle, Mapping) or not {'size', 'counts'} <= rle.keys():
        raise ValueError(
            'is no RLE: expected a mapping with the keys size and counts, '
            f'got {_shorten(rle)}'
        )
    size = rle['size']
    if (
        not isinstance(size, Sequence)
        or len(size) != 2
        or not all(isinstance(n, int) and 0 < n < 2**15 for n in size)
    ):
        raise ValueError(
            'has a broken RLE: size must be (height, width), two positive '
            f'whole numbers, got {_shorten(size)}'
        )
    height, width = size
    counts = _counts(rle['counts'])
    if (counts < 0).any() or counts.sum() != height * width:
        raise ValueError(
            f'has a broken RLE: its runs must be at least 0 and add up to '
            f'{height} x {width} = {height * width} pixels, got runs from '
            f'{counts.min(initial=0)} to {counts.max(initial=0)} that add up '
            f'to {counts.sum()}'
        )
    return height, width, counts


def _counts(counts: Any) -> NDArray[np.int64]:
    if isinstance(counts, list):
        if not all(type(n) is int and abs(n) < 2**31 for n in counts):
            raise ValueError(
                'has a broken RLE: counts must be a list of whole numbers, '
                f'got {_shorten(counts)}'
            )
        return np.array(counts, dtype=np.int64)
    if isinstance(counts, str):
        counts = counts.encode('ascii', errors='replace')
    if not isinstance(counts, bytes):
        raise ValueError(
            'has a broken RLE: counts must be a string or a list, got '
            f'{_shorten(counts)}'
        )
    return _decompress(counts)


def _decompress(text: bytes) -> NDArray[np.int64]:
    """Undo the variable-length code and the differences of COCO's strings."""
    characters = np.frombuffer(text, np.uint8).astype(np.int64) - 48
    if not len(characters):
        return characters
    is_last = (characters & 32) == 0
    if ((characters < 0) | (characters > 63)).any() or not is_last[-1]:
        raise ValueError(
            'has a broken RLE: counts are cut off or hold characters that '
            f'do not belong there, got {_shorten(text)}'
        )
    ends = np.flatnonzero(is_last)
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > _MAX_CHARACTERS_PER_RUN:
        raise ValueError(
            f'has a broken RLE: a run of {lengths.max()} characters, got '
            f'{_shorten(text)}'
        )
    place = np.arange(len(characters)) - np.repeat(starts, lengths)
    runs = np.add.reduceat((characters & 31) << (5 * place), starts)
    is_negative = (characters[ends] & 16) > 0
    runs -= is_negative * (1 << (5 * lengths))
    # From the fourth on, each is the difference to the last but one.
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f'{text[:37]}...'
