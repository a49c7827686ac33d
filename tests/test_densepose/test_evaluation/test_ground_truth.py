"""What is read from annotation files, and what is refused."""

import copy
import json
import re

import numpy as np
import pytest

from mmdense.densepose.evaluation.ground_truth import DensePoseGroundTruth

from .people import make_content, make_surface, perfect

TRIANGLE = [[10.0, 10.0, 60.0, 10.0, 10.0, 60.0]]


@pytest.fixture
def content():
    return make_content(perfect()[0])


def _people(content, strict=True, category=1):
    return DensePoseGroundTruth(content, strict=strict).people(7, category)


def _change(content, **fields):
    content = copy.deepcopy(content)
    content['annotations'][0].update(fields)
    return content


def test_ids_that_occur_twice(content):
    content = _change(content, id=2)
    assert _people(content).boxes[0, 0] == pytest.approx(10.4)
    # By id, as the published evaluator does, only the later is there.
    legacy = _people(content, strict=False)
    np.testing.assert_array_equal(legacy.boxes[0], legacy.boxes[1])
    assert legacy.boxes[0, 0] == pytest.approx(90.3)


def test_ids_that_occur_in_two_images(content):
    content = make_content(content['annotations'], images=(7, 5))
    content['annotations'][0].update(id=2, image_id=5)
    truth = DensePoseGroundTruth(content)
    assert len(truth.people(5, 1)) == 0
    assert len(truth.people(7, 1)) == 2
    truth = DensePoseGroundTruth(content, strict=True)
    assert len(truth.people(5, 1)) == len(truth.people(7, 1)) == 1


@pytest.mark.parametrize(
    ('fields', 'legacy', 'strict'),
    [
        ({}, False, False),
        ({'iscrowd': 1}, False, True),
        ({'ignore': 1}, False, True),
        ({'dp_x': []}, False, True),
    ],
)
def test_who_is_ignored(content, fields, legacy, strict):
    content = _change(content, **fields)
    assert _people(content, strict=False).is_ignored[0] == legacy
    assert _people(content, strict=True).is_ignored[0] == strict


def test_without_dense_fields(content):
    for name in ('dp_x', 'dp_y', 'dp_I', 'dp_U', 'dp_V', 'dp_masks'):
        del content['annotations'][0][name]
    for strict in (False, True):
        people = _people(content, strict)
        np.testing.assert_array_equal(people.is_ignored, [True, False])
        points = people.points(None)
        assert set(points.person) == {1}
        assert people.masks()[0].area == 0


def test_parts_that_do_not_exist(content):
    """The published evaluator leaves such points out."""
    parts = content['annotations'][0]['dp_I']
    content = _change(content, dp_I=[0, 25, 2.5, *parts[3:]])
    surface = make_surface()
    points = _people(content, strict=False).points(surface)
    assert (points.person == 0).sum() == len(parts) - 3
    with pytest.raises(ValueError, match=r'annotation 1: dp_I\[0\] must be'):
        _people(content).points(surface)


@pytest.mark.parametrize('strict', [False, True])
@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'dp_x': [1.0]}, r'dp_\* must be of one length'),
        ({'dp_U': [np.nan] * 60}, r'dp_U\[0\] must be finite'),
        ({'dp_x': [300.0, np.nan] + [1.0] * 58}, 'dp_x'),
        ({'dp_V': 'abc'}, 'dp_V must be a flat list'),
        ({'dp_V': None}, 'dp_V is missing'),
    ],
)
def test_broken_points(content, fields, message, strict):
    with pytest.raises(ValueError, match=f'annotation 1: {message}'):
        _people(_change(content, **fields), strict).points(None)


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'bbox': [1, 2, 3]}, 'bbox must be 4 numbers'),
        ({'bbox': None}, 'bbox must be 4 numbers'),
        ({'area': None}, 'area must be a number'),
        ({'area': 'large'}, 'area must be a number'),
    ],
)
def test_broken_boxes(content, fields, message):
    with pytest.raises(ValueError, match=f'annotation 1: {message}'):
        _people(_change(content, **fields))


@pytest.mark.parametrize('strict', [False, True])
@pytest.mark.parametrize(
    ('segmentation', 'area'),
    [
        (TRIANGLE, 1250),
        (dict(size=[150, 200], counts=[1000, 77, 28923]), 77),
        ([], 0),
        (None, 0),
    ],
)
def test_masks_of_people_without_part_masks(
    content, segmentation, area, strict
):
    content = _change(content, segmentation=segmentation)
    del content['annotations'][0]['dp_masks']
    mask = _people(content, strict).masks()[0]
    assert mask.area == pytest.approx(area, rel=0.05)


def test_no_part_is_seen(content):
    """Empty part masks are none by strict rules, and empty by the others."""
    content = _change(content, dp_masks=[], segmentation=TRIANGLE)
    assert _people(content, strict=True).masks()[0].area > 1000
    assert _people(content, strict=False).masks()[0].area == 0


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'dp_masks': 'none'}, 'dp_masks must be a list'),
        ({'dp_masks': [[]] * 15}, 'dp_masks must be a list of 14'),
        (
            {'dp_masks': [dict(size=[256, 256], counts='ab')]},
            r'dp_masks\[0\] has a broken RLE',
        ),
        (
            {'dp_masks': dict(size=[2, 2], counts=[4])},
            r'dp_masks\[0\] must be 256 x 256, got 2 x 2',
        ),
        (
            {'dp_masks': None, 'segmentation': [[1, 2]]},
            'segmentation has broken polygons',
        ),
        (
            {
                'dp_masks': None,
                'segmentation': dict(size=[2, 2], counts=[4]),
            },
            'segmentation must be 150 x 200, got 2 x 2',
        ),
    ],
)
def test_broken_masks(content, fields, message):
    with pytest.raises(ValueError, match=f'annotation 1: {message}'):
        _people(_change(content, **fields)).masks()


def test_other_categories_and_images(content):
    assert len(_people(content, category=3)) == 0
    truth = DensePoseGroundTruth(content, ('dog', 'person'))
    assert truth.category_ids == [3, 1]
    with pytest.raises(ValueError, match="no category 'cat', it has 'person'"):
        DensePoseGroundTruth(content, ('cat',))
    with pytest.raises(ValueError, match='image 8 is not in'):
        truth.people(8, 1)
    content['images'][0]['ignore_regions_x'] = [[1, 2, 3]]
    with pytest.raises(ValueError, match='regions to be ignored'):
        DensePoseGroundTruth(content)


@pytest.mark.parametrize('value', [None, [1]])
@pytest.mark.parametrize(
    ('items', 'field', 'expected'),
    [
        ('images', 'id', 'a number or a string'),
        ('images', 'height', 'a number of pixels'),
        ('images', 'width', 'a number of pixels'),
        ('categories', 'id', 'a number or a string'),
        ('categories', 'name', 'a number or a string'),
        ('annotations', 'id', 'a number or a string'),
        ('annotations', 'image_id', 'a number or a string'),
        ('annotations', 'category_id', 'a number or a string'),
    ],
)
def test_broken_fields_are_named(
    content, tmp_path, items, field, expected, value
):
    content[items][-1][field] = value
    if value is None:
        del content[items][-1][field]
    number = len(content[items]) - 1
    path = tmp_path / 'broken.json'
    path.write_text(json.dumps(content))
    with pytest.raises(
        ValueError,
        match=rf'broken\.json: {items}\[{number}\]\.{field} must be '
        rf'{expected}, got {re.escape(repr(value))}; correct the file',
    ):
        DensePoseGroundTruth(path)


def test_images_without_extent(content):
    content['images'][0]['width'] = 0
    with pytest.raises(ValueError, match=r'width must be .* pixels, got 0'):
        DensePoseGroundTruth(content)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='does not exist'):
        DensePoseGroundTruth(tmp_path / 'missing.json')
