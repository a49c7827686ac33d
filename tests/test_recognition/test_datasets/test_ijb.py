"""The text files of IJB and the faces they describe."""

import cv2
import numpy as np
import pytest
import torch

from mmdense.recognition.datasets.ijb_files import (
    read_images,
    read_pairs,
    read_searches,
)
from mmdense.recognition.functional.alignment import ARCFACE_LANDMARKS
from tests.golden import FOLDER, read_arrays


def _golden_meta():
    meta = FOLDER / 'partial_fc/ijb/meta'
    if not meta.is_dir():
        pytest.skip('no golden IJB protocol')
    (points,) = meta.glob('*_name_5pts_score.txt')
    return meta, points.name.split('_')[0]


@pytest.mark.golden
def test_golden_files():
    data, (meta, name) = read_arrays('partial_fc/ijb/ijb.npz'), _golden_meta()
    images = read_images(meta, name)
    assert images.templates.tolist() == data['templates'].tolist()
    assert images.media.tolist() == data['medias'].tolist()
    np.testing.assert_allclose(
        images.detector_scores, data['detector_score'], rtol=1e-6
    )
    assert images.landmarks.shape == (len(images.names), 5, 2)
    line = (meta / f'{name}_name_5pts_score.txt').read_text().splitlines()[4]
    assert images.names[4] == line.split()[0]
    np.testing.assert_allclose(
        images.landmarks[4].ravel(), np.array(line.split()[1:11], 'f4')
    )
    pairs = read_pairs(meta, name)
    assert pairs.left.tolist() == data['pair_t1'].tolist()
    assert pairs.right.tolist() == data['pair_t2'].tolist()
    assert pairs.issame.tolist() == (data['pair_label'] == 1).tolist()
    assert read_searches(meta, name) == ({}, None)


@pytest.fixture
def folder(tmp_path):
    """Two faces in an IJB folder: landmarks are those of the template."""
    meta, crops = tmp_path / 'meta', tmp_path / 'loose_crop'
    meta.mkdir()
    crops.mkdir()
    rng = np.random.default_rng(0)
    lines = []
    for i, turn in enumerate((np.exp(0.3j) * 1.5, 2)):
        points = (ARCFACE_LANDMARKS @ [1, 1j]) * turn + (40 + 5j)
        image = rng.integers(0, 255, (7, 8, 3), np.uint8)
        image = cv2.resize(image, (320, 280), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(crops / f'{i + 1}.png'), image)
        numbers = np.stack([points.real, points.imag], axis=1).ravel()
        text = ' '.join(f'{number:.4f}' for number in numbers)
        lines.append(f'{i + 1}.png {text} 0.9{i}\n')
    (meta / 'ijbb_name_5pts_score.txt').write_text(''.join(lines))
    (meta / 'ijbb_face_tid_mid.txt').write_text('1.png 7 1\n2.png 9 2\n')
    (meta / 'ijbb_template_pair_label.txt').write_text('7 9 0\n7 7 1\n')
    for kind, rows in (
        ('gallery_S1', '7,70,1.png\n'),
        ('gallery_S2', '9,90,2.png\n9,90,3.png\n'),
        ('probe_mixed', '9,90,"a,b"\n7,70,\n7,70,x\n'),
    ):
        (meta / f'ijbb_1N_{kind}.csv').write_text(
            'TEMPLATE_ID,SUBJECT_ID,FILENAME\n' + rows
        )
    return tmp_path


def test_galleries_and_probes(folder):
    galleries, probes = read_searches(folder / 'meta', 'ijbb')
    assert list(galleries) == ['S1', 'S2']
    assert galleries['S1'].templates.tolist() == [7]
    assert galleries['S2'].subjects.tolist() == [90]
    assert probes.templates.tolist() == [7, 9]
    assert probes.subjects.tolist() == [70, 90]


def _append(folder, name, text):
    path = folder / 'meta' / f'ijbb_{name}'
    path.write_text(path.read_text() + text)


@pytest.mark.parametrize(
    ('name', 'text', 'read', 'message'),
    [
        ('face_tid_mid.txt', '3.png 1 2\n', read_images, 'from line 3 on'),
        ('face_tid_mid.txt', '3.png 1\n', read_images, 'line 3: got 2 col'),
        ('name_5pts_score.txt', '3.png 1\n', read_images, 'line 3: got 2 col'),
        ('template_pair_label.txt', '1 2 2\n', read_pairs, 'of line 3 is not'),
        ('template_pair_label.txt', '1 2\n', read_pairs, 'columns'),
        ('template_pair_label.txt', '1 x 1\n', read_pairs, "'x'"),
        ('1N_gallery_S1.csv', '7,71,\n', read_searches, '7 is of 2 subjects'),
        ('1N_gallery_S1.csv', 'a,71,\n', read_searches, "'a'"),
    ],
)
def test_damaged_files_are_refused(folder, name, text, read, message):
    _append(folder, name, text)
    with pytest.raises(ValueError, match=message) as error:
        read(folder / 'meta', 'ijbb')
    assert f'ijbb_{name}' in str(error.value)


def test_empty_and_missing_files_are_refused(folder):
    meta = folder / 'meta'
    (meta / 'ijbb_template_pair_label.txt').write_text('')
    with pytest.raises(ValueError, match='holds no numbers'):
        read_pairs(meta, 'ijbb')
    (meta / 'ijbb_1N_probe_mixed.csv').unlink()
    with pytest.raises(FileNotFoundError, match=r'probe_mixed\.csv'):
        read_searches(meta, 'ijbb')
    with pytest.raises(FileNotFoundError, match=r'there is ijbb_1N_gall'):
        read_images(meta, 'ijbc')


def _dataset(folder, **kwargs):
    pytest.importorskip('mmpretrain')
    from mmdense.recognition.datasets import IJBImages

    pack = [dict(type='mmpretrain.PackInputs')]
    return IJBImages('ijbb', str(folder), pipeline=pack, **kwargs)


@pytest.mark.parametrize('size', [112, 56])
def test_landmarks_come_to_the_template(folder, size):
    """A pixel of the aligned face is the loose crop's at its place."""
    dataset = _dataset(folder, image_size=size)
    assert len(dataset) == 4
    for i, turn in enumerate((np.exp(0.3j) * 1.5, 2)):
        aligned = dataset[i]['inputs'].numpy().transpose(1, 2, 0)
        crop = cv2.imread(str(folder / 'loose_crop' / f'{i + 1}.png'))
        assert aligned.shape == (size, size, 3)
        for x, y in ((20, 31), (50, 12), (40, 44)):
            place = complex(x, y) * (112 / size) * turn + (40 + 5j)
            left, top = int(place.real), int(place.imag)
            around = crop[top : top + 2, left : left + 2].reshape(4, 3)
            assert (aligned[y, x] >= around.min(0) - 2).all()
            assert (aligned[y, x] <= around.max(0) + 2).all()
        mirror = dataset[i + 2]['inputs']
        assert torch.equal(dataset[i]['inputs'].flip(-1), mirror)
        assert dataset[i + 2]['data_samples'].flip
    meta = dataset.metainfo
    assert (meta['num_images'], meta['num_views']) == (2, 2)
    assert meta['ijb_name'] == 'ijbb'


def test_bad_images_are_named(folder):
    dataset = _dataset(folder)
    (folder / 'loose_crop/1.png').write_bytes(b'no image')
    with pytest.raises(ValueError, match=r'1\.png cannot be decoded'):
        dataset[0]
    (folder / 'loose_crop/2.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'2\.png'):
        dataset[1]
    line = '1.png' + ' 5' * 10 + ' 0.5\n'
    path = folder / 'meta/ijbb_name_5pts_score.txt'
    path.write_text(line + path.read_text().splitlines()[1])
    image = np.zeros((9, 9, 3), np.uint8)
    cv2.imwrite(str(folder / 'loose_crop/1.png'), image)
    with pytest.raises(ValueError, match=r'1\.png: all 5 landmarks'):
        _dataset(folder)[0]
