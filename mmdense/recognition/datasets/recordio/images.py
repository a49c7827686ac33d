"""Decoding images, and noticing those that are cut."""

import struct

import cv2
import numpy as np

from .container import RecordError

_JPEG, _PNG = b'\xff\xd8', b'\x89PNG\r\n\x1a\n'
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, b'\xff\xd9'
_PNG_END = b'IEND\xaeB`\x82'


def decode_image(content: bytes) -> np.ndarray:
    """Decode to uint8 `(height, width, 3)`, BGR.

    The pixels are those of mmcv's `LoadImageFromFile`; but decoders fill what
    is missing of a cut JPEG with grey and go on, which is an error here.

    Args:
        content: An encoded image of any kind that OpenCV reads.

    Raises:
        RecordError: It is none, or cut.
    """
    check_whole(content)
    image = cv2.imdecode(
        np.frombuffer(content, dtype=np.uint8), cv2.IMREAD_COLOR
    )
    if image is None:
        raise RecordError(
            f'{len(content)} bytes could not be decoded as an image; they '
            f'start with {content[:8]!r}'
        )
    return image


def check_whole(content: bytes) -> None:
    """Raise if an encoded image is cut; what is no JPEG or PNG passes.

    Raises:
        RecordError: It is empty or cut.
    """
    if not content:
        raise RecordError('has no image')
    cut = None
    if content.startswith(_JPEG):
        scan = _start_of_scan(content)
        # A preview in the header has an end of its own. Within a scan the
        # two bytes cannot be, but more may follow the end.
        if scan < 0 or content.find(_END_OF_IMAGE, scan) < 0:
            cut = 'JPEG'
    elif content.startswith(_PNG) and _PNG_END not in content:
        cut = 'PNG'
    if cut:
        raise RecordError(
            f'its {cut} is cut: {len(content)} bytes without the mark of the '
            'end'
        )


def suffix_of(content: bytes) -> str:
    """The suffix for a file with an encoded image, by its first bytes."""
    for start, suffix in (
        (_JPEG, '.jpg'),
        (_PNG, '.png'),
        (b'BM', '.bmp'),
        (b'II*\0', '.tif'),
        (b'MM\0*', '.tif'),
    ):
        if content.startswith(start):
            return suffix
    if content[:4] == b'RIFF' and content[8:12] == b'WEBP':
        return '.webp'
    return '.jpg'


def _start_of_scan(content: bytes) -> int:
    """Where the first scan of a JPEG starts; -1 if it ends before."""
    place = 2
    while place + 4 <= len(content):
        if content[place] != 0xFF:
            # Not ours to judge what decoders skip.
            place = content.find(b'\xff', place)
            if place < 0:
                return -1
            continue
        marker = content[place + 1]
        if marker == _START_OF_SCAN:
            return place
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8:
            place += 1 if marker == 0xFF else 2
            continue
        place += 2 + struct.unpack_from('>H', content, place + 2)[0]
    return -1
