"""What mxnet's image records hold: a header, labels, an encoded image.

`uint32 flag | float32 label | uint64 id | uint64 id2`; with a flag above 0
that many float32 labels follow and `label` is 0. (mxnet, `recordio.py`.)
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .container import RecordError

#: The last whole number up to which float32 has all.
MAX_LABEL = 1 << 24

HEADER = struct.Struct('<IfQQ')


class ImageRecord(NamedTuple):
    """A record taken apart.

    Attributes:
        flag: Number of labels if they are an array, else 0.
        labels: float32 `(flag,)` or, of a single label, `(1,)`.
        id: The key it was written under, as a rule.
        id2: Of no known use.
        content: The encoded image; empty in records that hold none.
    """

    flag: int
    labels: np.ndarray
    id: int
    id2: int
    content: bytes

    @property
    def class_label(self) -> int:
        """The first label, as the class.

        Raises:
            RecordError: It is not a class.
        """
        return check_class_label(float(self.labels[0]))


def check_class_label(label: float) -> int:
    """A label from a file, as a class.

    Raises:
        RecordError: It is no whole number, negative, or above 2^24, where
            float32 has no longer each whole number.
    """
    if not 0 <= label <= MAX_LABEL:
        reason = (
            'float32 holds each whole number up to 2^24 = 16777216 only, so '
            'the class it stood for is lost'
            if label > MAX_LABEL
            else 'expected a class, counted from 0'
        )
        raise RecordError(f'has the label {label:.9g}; {reason}')
    if label != int(label):
        raise RecordError(
            f'has the label {label:.9g}, expected a whole number'
        )
    return int(label)


def pack_image(
    label: float | Sequence[float] | np.ndarray,
    content: bytes = b'',
    id: int = 0,
    id2: int = 0,
) -> bytes:
    """The payload of an image record, byte for byte as mxnet packs it.

    Args:
        label: A number, or several.
        content: The encoded image.
        id: Number of the record, its key as a rule.
        id2: Stored as it is.

    Raises:
        ValueError: A label is a whole number that float32 cannot hold, or
            there is none.
    """
    labels = np.asarray(label, dtype=np.float64)
    if labels.ndim > 1 or not labels.size:
        raise ValueError(
            'expected a label or a list of some, got an array of shape '
            f'{labels.shape}'
        )
    lost = np.abs(labels) > MAX_LABEL
    if lost.any():
        raise ValueError(
            f'got the label {labels[lost].flat[0]:.0f}, but record files hold '
            'labels as float32, which has each whole number up to 2^24 = '
            '16777216 only; with more identities use image folders or a '
            '.lst file'
        )
    if labels.ndim == 0:
        return HEADER.pack(0, float(labels), id, id2) + content
    return (
        HEADER.pack(labels.size, 0.0, id, id2)
        + labels.astype('<f4').tobytes()
        + content
    )


def unpack_image(payload: bytes) -> ImageRecord:
    """Take the payload of an image record apart.

    Raises:
        RecordError: It is too short.
    """
    if len(payload) < HEADER.size:
        raise RecordError(
            f'has {len(payload)} bytes, too few for the {HEADER.size} of the '
            'header of an image'
        )
    flag, label, id_, id2 = HEADER.unpack_from(payload)
    if not flag:
        labels = np.array([label], dtype=np.float32)
        return ImageRecord(0, labels, id_, id2, payload[HEADER.size :])
    stop = HEADER.size + 4 * flag
    if stop > len(payload):
        raise RecordError(
            f'announces {flag} labels, but after the header there are only '
            f'{len(payload) - HEADER.size} bytes'
        )
    labels = np.frombuffer(payload, '<f4', flag, HEADER.size)
    return ImageRecord(flag, labels, id_, id2, payload[stop:])
