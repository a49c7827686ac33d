import copy

import numpy as np
import pytest

from mmdense.densepose.functional.annotations import (
    check_dense,
    is_dense,
    read_part_masks,
    read_points,
)
from tests.densepose_data import dense_fields, encode


@pytest.fixture
def annotation():
    return dense_fields(np.random.default_rng(3), 8)


@pytest.mark.parametrize('form', ['list', 'dict', 'none'])
def test_good_annotations_have_no_problems(form):
    fields = dense_fields(np.random.default_rng(0), 100, form)
    assert is_dense(fields)
    assert check_dense(fields) == []


@pytest.mark.parametrize(
    'fields', [{}, {'dp_x': [], 'dp_masks': []}, {'dp_x': None}]
)
def test_people_without_dense_annotations(fields):
    assert not is_dense(fields)
    assert check_dense(fields) == []
    assert read_points(fields) is None
    assert read_part_masks(fields) is None


def test_part_masks_without_points(annotation):
    only = {'dp_masks': annotation['dp_masks']}
    assert is_dense(only)
    assert check_dense(only) == []
    assert read_points(only) is None


@pytest.mark.parametrize(
    ('field', 'index', 'value', 'where', 'what'),
    [
        ('dp_I', 2, 0, 'dp_I[2]', '1..24, got 0'),
        ('dp_I', 2, 25, 'dp_I[2]', '1..24, got 25'),
        ('dp_I', 2, 3.5, 'dp_I[2]', '1..24, got 3.5'),
        ('dp_U', 0, 1.001, 'dp_U[0]', '[0, 1], got 1.001'),
        ('dp_V', 7, -0.1, 'dp_V[7]', '[0, 1], got -0.1'),
        ('dp_V', 7, float('nan'), 'dp_V[7]', 'finite, got nan'),
        ('dp_x', 1, float('inf'), 'dp_x[1]', 'finite, got inf'),
        ('dp_U', 3, 'a', 'dp_U', 'list of numbers'),
        ('dp_U', 3, [1], 'dp_U', 'list of numbers'),
        ('dp_U', 3, None, 'dp_U', 'finite, got nan'),
    ],
)
def test_wrong_values(annotation, field, index, value, where, what):
    annotation[field][index] = value
    (problem,) = check_dense(annotation)
    assert problem.field.startswith(where)
    assert what in problem.message
    assert not problem.is_usable


def test_points_outside_the_box_can_be_used(annotation):
    annotation['dp_x'][4] = 300.0
    annotation['dp_x'][6] = -1.0
    (problem,) = check_dense(annotation)
    assert problem.field == 'dp_x[4]'
    assert 'outside the box' in problem.message
    assert 'got 300 and 1 more' in problem.message
    assert problem.is_usable


def test_wrong_lengths(annotation):
    annotation['dp_V'].pop()
    (problem,) = check_dense(annotation)
    assert problem.field == 'dp_*'
    assert 'dp_U 8, dp_V 7' in problem.message


@pytest.mark.parametrize('field', ['dp_x', 'dp_y', 'dp_I', 'dp_U', 'dp_V'])
@pytest.mark.parametrize('empty', [True, False])
def test_missing_fields(annotation, field, empty):
    if empty:
        annotation[field] = []
    else:
        del annotation[field]
    (problem,) = check_dense(annotation)
    assert problem.field == field
    assert 'missing or empty' in problem.message


def test_broken_part_masks(annotation):
    good = annotation['dp_masks']
    broken = copy.deepcopy(good)
    broken[3]['counts'] = broken[3]['counts'][:-5]
    broken[6] = encode(np.ones((255, 256)))
    annotation['dp_masks'] = broken
    first, second = check_dense(annotation)
    assert first.field == 'dp_masks[3] (left_foot)'
    assert 'broken RLE' in first.message
    assert second.field == 'dp_masks[6] (left_upper_leg)'
    assert second.message == 'must be 256 x 256, got 255 x 256'
    for wrong in (good[:13], 'abc', [good]):
        annotation['dp_masks'] = wrong
        (problem,) = check_dense(annotation)
        assert 'list of 14 masks' in problem.message


def test_labels_of_part_masks():
    """Later parts lie over earlier ones."""
    whole = np.ones((256, 256))
    upper = whole * (np.arange(256)[:, None] < 128)
    masks = [[] for _ in range(14)]
    masks[0], masks[13] = encode(whole), encode(upper)
    labels = read_part_masks({'dp_masks': masks})
    np.testing.assert_array_equal(labels, np.where(upper, 14, 1))
    labels = read_part_masks({'dp_masks': encode(upper)})
    np.testing.assert_array_equal(labels, upper)
