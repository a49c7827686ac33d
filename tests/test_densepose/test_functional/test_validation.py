import json

import cv2
import numpy as np
import pytest
from PIL import Image

from mmdense.densepose.functional.validation import (
    check_annotations,
    check_images,
    read_file,
)
from tests.densepose_data import encode, make_annotations, write_data_set


@pytest.fixture
def content():
    content = make_annotations()
    content['annotations'][-1]['id'] = 16  # no id twice
    return content


def find(content, surface=None):
    found = check_annotations(content, 'ann.json', surface)
    return [finding for findings in found for finding in findings]


def test_a_good_file(content):
    assert find(content) == []
    assert list(check_images(content, 'ann.json', None)) == []


def test_ids_that_occur_twice():
    first, second = find(make_annotations())
    assert str(first) == 'ann.json: annotation 15: id occurs 2 times'
    assert first == second
    assert first.is_usable


@pytest.mark.parametrize(
    ('field', 'value', 'where', 'what', 'usable'),
    [
        ('id', None, 'id', 'is missing', False),
        ('id', 0, 'id', 'takes for no match', True),
        ('image_id', 99, 'image_id', '99 is no image', False),
        ('category_id', 2, 'category_id', '2 is no category', False),
        ('bbox', None, 'bbox', 'must be x, y, width, height', False),
        ('bbox', [0, 0, 'a', 1], 'bbox', 'must be x, y, width', False),
        ('bbox', [0, 0, float('nan'), 1], 'bbox', 'must be x', False),
        ('bbox', [5, 5, 0.5, 9], 'bbox', 'less than a pixel', False),
        ('bbox', [400, 5, 20, 9], 'bbox', 'outside the image', False),
        ('area', None, 'area', 'must be a number', False),
        ('area', 0, 'area', 'left out', False),
        ('iscrowd', 1, 'iscrowd', 'points are left out', False),
        ('segmentation', [[1, 2, 3, 4]], 'segmentation[0]', 'polygon', True),
        (
            'segmentation',
            {'size': [240, 320], 'counts': 'abc'},
            'segmentation',
            'broken RLE',
            False,
        ),
        (
            'segmentation',
            encode(np.ones((9, 9))),
            'segmentation',
            'is 9 x 9, the image 240 x 320',
            False,
        ),
        ('dp_I', [1.0], 'dp_*', 'of one length', False),
        ('dp_masks', [[]], 'dp_masks', 'list of 14', False),
    ],
)
def test_each_field(content, field, value, where, what, usable):
    content['annotations'][0][field] = value
    (finding,) = find(content)
    assert finding.field == where
    assert what in finding.message
    assert finding.is_usable == usable
    assert finding.annotation_id == content['annotations'][0]['id']


def test_images(content, tmp_path):
    write_data_set(tmp_path, content)
    images = tmp_path / 'images'
    names = [image['file_name'] for image in content['images']]
    (images / names[0]).unlink()
    whole = (images / names[1]).read_bytes()
    (images / names[1]).write_bytes(whole[:8])
    cv2.imwrite(str(images / names[2]), np.zeros((50, 60, 3), np.uint8))
    content['images'] += [
        {'id': 4, 'width': 320, 'height': -1},
        {'id': 5, 'file_name': 'turned.jpg', 'width': 20, 'height': 30},
    ]
    del content['categories'][1]['name']
    # 30 wide and 20 high as stored, shown on its side.
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new('RGB', (30, 20)).save(images / 'turned.jpg', exif=exif)
    assert cv2.imread(str(images / 'turned.jpg')).shape == (30, 20, 3)

    found = list(check_images(content, 'ann.json', images))
    assert str(found.pop(0)) == 'ann.json: categories[1].name is missing'
    assert [(f.file.rsplit('/')[-1], f.field) for f in found] == [
        (names[0], 'image'),
        (names[1], 'image'),
        (names[2], 'image'),
        ('ann.json', 'images[3].id'),
        ('ann.json', 'images[4].file_name'),
        ('ann.json', 'images[4].height'),
        ('ann.json', 'images[4].id'),
    ]
    assert found[0].message == 'does not exist'
    assert 'cannot be read' in found[1].message
    assert found[2].message == (
        'is 50 x 60 (height x width), ann.json says 240 x 320'
    )


def test_images_too_large_for_pillow(content, tmp_path, monkeypatch):
    write_data_set(tmp_path, content)
    first = content['images'][0]['file_name']
    content['images'] = content['images'][:1]
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 320 * 240 // 2 - 1)
    (found,) = check_images(content, 'ann.json', tmp_path / 'images')
    assert str(found).startswith(
        f'{tmp_path / "images" / first}: image is too large to be looked at: '
        'Image size (76800 pixels) exceeds'
    )
    # What loads them for training does.
    assert found.is_usable
    assert cv2.imread(found.file).shape == (240, 320, 3)


class OnePart:
    """A surface with part 3 alone, whose chart is the lower left quarter."""

    parts = (3,)
    uv = np.stack(np.meshgrid(*2 * [np.linspace(0, 0.5, 51)]), -1)
    uv = uv.reshape(-1, 2)

    def entry_of(self, part, u, v):
        assert (part == 3).all()
        gaps = np.stack((u, v), 1)[:, None] - self.uv
        return np.linalg.norm(gaps, axis=-1).argmin(1)


def test_points_off_the_surface(content):
    content['annotations'] = content['annotations'][:1]
    item = content['annotations'][0]
    item.update(
        dp_x=[1.0] * 5,
        dp_y=[1.0] * 5,
        dp_I=[3, 3, 7, 3, 3],
        dp_U=[0.1, 0.55, 0.9, 0.2, 1.0],
        dp_V=[0.5, 0.4, 0.9, 0.8, 0.1],
    )
    first, second = find(content, OnePart())
    assert first.field == 'dp_I[2]'
    assert first.message == '7 is no part of the surface'
    assert second.field == 'dp_U[3], dp_V[3]'
    assert second.message == 'are 0.30 off the chart of part 3 and 1 more'
    assert first.is_usable
    assert second.is_usable
    item['dp_I'] = [3, 3, 33, 3, 3]  # said once, and not looked up
    (only,) = find(content, OnePart())
    assert only.field == 'dp_I[2]'
    assert not only.is_usable


def test_files_that_are_none(tmp_path, content):
    path = tmp_path / 'ann.json'
    with pytest.raises(FileNotFoundError, match=r'ann\.json does not exist'):
        read_file(path)
    text = json.dumps(content)
    for broken in (text[:-20], '', '\x80'):
        path.write_text(broken, encoding='latin-1')
        with pytest.raises(ValueError, match=r'ann\.json is no JSON file or'):
            read_file(path)
    for wrong in ([], {**content, 'images': None}, {**content, 'images': [3]}):
        path.write_text(json.dumps(wrong))
        with pytest.raises(ValueError, match="no list 'images' of objects"):
            read_file(path)
    path.write_text(text)
    assert read_file(path) == json.loads(text)
