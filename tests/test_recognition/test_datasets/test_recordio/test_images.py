"""Cut images, which decoders fill with grey."""

import struct

import numpy as np
import pytest

from mmdense.recognition.datasets.recordio import RecordError, decode_image
from mmdense.recognition.datasets.recordio.images import (
    check_whole,
    suffix_of,
)
from tests.test_recognition.test_datasets.record_files import (
    make_image,
    pixels_of,
)


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.bmp', '.webp', '.tif'])
def test_pixels(suffix):
    content = make_image(1, suffix)
    assert np.array_equal(decode_image(content), pixels_of(content))
    assert suffix_of(content) == suffix


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_every_cut(suffix):
    content = make_image(1, suffix)
    for size in range(len(content)):
        with pytest.raises(RecordError):
            decode_image(content[:size])
    check_whole(content + b'\0' * 7)


def test_end_of_a_preview_is_not_the_end():
    content, preview = make_image(1, '.jpg'), make_image(2, '.jpg', 5)
    segment = b'\xff\xe1' + struct.pack('>H', 2 + len(preview)) + preview
    content = content[:2] + segment + content[2:]
    assert decode_image(content).shape == (12, 14, 3)
    with pytest.raises(RecordError, match='JPEG is cut'):
        decode_image(content[:-30])


@pytest.mark.parametrize('content', [b'', b'this is no image'])
def test_no_image(content):
    with pytest.raises(RecordError):
        decode_image(content)
