import numpy as np
import pycocotools.mask as mask_utils
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmdense.densepose.functional.rle import decode_rle
from tests.densepose_data import encode


@given(
    st.tuples(st.integers(1, 70), st.integers(1, 70)).flatmap(
        lambda shape: arrays(np.uint8, shape, elements=st.integers(0, 1))
    )
)
def test_masks_of_pycocotools_come_back(mask):
    np.testing.assert_array_equal(decode_rle(encode(mask)), mask)


def test_long_runs():
    mask = np.zeros((3000, 2000), dtype=np.uint8)
    mask[:, 700:1500] = 1
    mask[10, 20] = 1
    np.testing.assert_array_equal(decode_rle(encode(mask)), mask)


def test_list_of_counts():
    rle = {'size': [3, 2], 'counts': [1, 3, 2]}
    expected = mask_utils.decode(mask_utils.frPyObjects(rle, 3, 2))
    np.testing.assert_array_equal(decode_rle(rle), expected)


@pytest.mark.parametrize(
    ('rle', 'what'),
    [
        ({'size': [4, 4], 'counts': [3, 2]}, 'add up to 4 x 4 = 16'),
        ({'size': [4, 4], 'counts': [-1, 17]}, 'runs from -1'),
        ({'size': [4, 4], 'counts': [1.5, 14.5]}, 'whole numbers'),
        ({'size': [4, 4], 'counts': 'zz'}, 'cut off'),
        ({'size': [4, 4], 'counts': 'é'}, 'add up'),
        ({'size': [4, 4], 'counts': ''}, 'add up'),
        ({'size': [4, 4], 'counts': 7}, 'a string or a list'),
        ({'size': [4, 4], 'counts': 'oooooooo1'}, '9 characters'),
        ({'size': [4], 'counts': [16]}, 'size must be'),
        ({'size': [4, '4'], 'counts': [16]}, 'size must be'),
        ({'counts': [16]}, 'keys size and counts'),
        ('abc', 'keys size and counts'),
    ],
)
def test_what_is_broken_is_said(rle, what):
    with pytest.raises(ValueError, match=what):
        decode_rle(rle)


def test_cut_off_counts_are_noticed():
    """Pycocotools decodes most of these, partly to what memory held."""
    mask = np.zeros((256, 256), dtype=np.uint8)
    mask[40:200, 30:180] = np.tri(160, 150)
    whole = encode(mask)
    for end in range(0, len(whole['counts']), 7):
        with pytest.raises(ValueError, match='broken RLE'):
            decode_rle({**whole, 'counts': whole['counts'][:end]})
