"""IUVs as PNGs."""

import io

import numpy as np
import pytest
from PIL import Image

from mmdense.densepose.functional.iuv_png import (
    decode_iuv,
    encode_iuv,
    iuv_size,
)


def _iuv(height, width):
    rng = np.random.default_rng(height)
    return rng.integers(0, 256, (3, height, width), dtype=np.uint8)


@pytest.mark.parametrize('size', [(1, 1), (3, 7), (120, 80)])
def test_nothing_is_lost(size):
    iuv = _iuv(*size)
    data = encode_iuv(iuv)
    np.testing.assert_array_equal(decode_iuv(data), iuv)
    assert iuv_size(data) == size


def test_channels_are_colors():
    iuv = _iuv(4, 5)
    with Image.open(io.BytesIO(encode_iuv(iuv))) as image:
        assert image.getpixel((3, 2)) == tuple(iuv[:, 2, 3].tolist())


@pytest.mark.parametrize(
    ('array', 'error', 'message'),
    [
        (np.zeros((3, 2, 2)), TypeError, 'uint8'),
        (np.zeros((2, 2, 2), np.uint8), ValueError, 'shape'),
        (np.zeros((3, 0, 2), np.uint8), ValueError, 'one pixel'),
    ],
)
def test_other_arrays(array, error, message):
    with pytest.raises(error, match=message):
        encode_iuv(array)


def _picture(kind, mode):
    stream = io.BytesIO()
    Image.new(mode, (3, 3)).save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        (b'', 'no PNG'),
        (b'\x89PNG\r\n\x1a\n1234', 'no PNG'),
        (_picture('jpeg', 'RGB'), 'no PNG'),
        (_picture('png', 'L'), 'must be RGB'),
        (encode_iuv(_iuv(40, 40))[:-3000], 'damaged'),
    ],
)
def test_other_data(data, message):
    with pytest.raises(ValueError, match=message):
        decode_iuv(data)


def test_too_large_for_pillow(monkeypatch):
    data = encode_iuv(_iuv(40, 40))
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 40 * 40 // 2 - 1)
    with pytest.raises(
        ValueError, match=r'no PNG of an IUV: Image size .1600'
    ):
        decode_iuv(data)
