"""predict_densepose.py with the light model that ships."""

import base64
import json
import sys

import cv2
import numpy as np
import pytest

from mmdense.densepose.functional.iuv_png import decode_iuv
from mmdense.densepose.synthetic import Studio, make_sample


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    """Three photos of one person each, and a file that is none."""
    folder = tmp_path_factory.mktemp('photos')
    studio = Studio()
    for index in range(3):
        sample = make_sample(studio, 77, index, 192, max_people=1)
        image = sample.rendering.image[..., ::-1]
        cv2.imwrite(str(folder / f'{index}.png'), image)
    (folder / 'notes.txt').write_text('no image')
    return folder


@pytest.fixture
def predict(start, tools, tmp_path):
    """Run the tool in a folder of its own."""
    tool = [sys.executable, tools / 'predict_densepose.py']
    return lambda *args: start([*tool, *args], tmp_path)


def test_pictures_and_predictions(predict, photos, tmp_path):
    out = tmp_path / 'out'
    done = predict(
        *(photos, '--out-dir', out, '--limit', 2, '--device', 'cpu'),
        *('--panels', 'image', 'texture', '--save-predictions'),
        *('--sheet', out / 'all.png', '--score-thr', 0.3),
    )
    assert done.returncode == 0, done.stderr
    assert f'{photos / "0.png"}: 1 people' in done.stdout
    assert str(photos / '2.png') not in done.stdout
    heights = []
    for name in ('0', '1'):
        image = cv2.imread(str(photos / f'{name}.png')).astype(int)
        picture = cv2.imread(str(out / f'vis/{name}.jpg'))
        height, width = image.shape[:2]
        assert picture.shape == (height, 2 * width + 4, 3)
        # Above the captions; the picture is a JPEG.
        upper = slice(height - 40)
        plain, texture = picture[upper, :width], picture[upper, width + 4 :]
        image = image[upper]
        assert np.abs(plain - image).mean() < 8
        saved = json.loads((out / f'preds/{name}.json').read_text())
        assert saved['scores'][0] > 0.3
        # The texture is where the IUV of the box has parts, and there only.
        iuv = decode_iuv(base64.b64decode(saved['densepose'][0]))
        left, top = np.round(saved['bboxes'][0][:2]).astype(int)
        people = np.zeros(image.shape[:2], bool)
        parts = iuv[0, : len(people) - top, : width - left]
        people[top:, left:][: len(parts), : parts.shape[1]] = parts > 0
        assert people.mean() > 0.05
        changed = np.abs(texture - image).mean(2)
        near = cv2.dilate(people.astype(np.uint8), np.ones((17, 17))) > 0
        assert changed[people].mean() > 30
        if saved['scores'][1:] and saved['scores'][1] < 0.3:
            assert changed[~near].mean() < 8
        heights.append(height)
    sheet = cv2.imread(str(out / 'all.png'))
    assert len(sheet) == sum(heights) + 8


def test_nobody_and_no_image(predict, tmp_path):
    """A grey photo of nothing, one with alpha, and a file that is none."""
    folder = tmp_path / 'photos'
    folder.mkdir()
    cv2.imwrite(str(folder / 'grey.png'), np.full((60, 90), 128, np.uint8))
    cv2.imwrite(str(folder / 'rgba.png'), np.full((60, 90, 4), 99, np.uint8))
    (folder / 'broken.jpg').write_text('no image')
    done = predict(folder, '--out-dir', 'out', '--score-thr', 1)
    assert done.returncode == 1
    assert 'grey.png: 0 people' in done.stdout
    assert 'rgba.png: 0 people' in done.stdout
    assert 'broken.jpg: no image that can be read' in done.stdout
    assert 'error: 1 of 3 files cannot be read' in done.stderr
    assert 'nobody in 2: people who are small' in done.stdout
    names = sorted(file.name for file in (tmp_path / 'out/vis').iterdir())
    assert names == ['grey.jpg', 'rgba.jpg']
    assert not (tmp_path / 'out/preds').exists()
    # All panels are the image, above the captions.
    picture = cv2.imread(str(tmp_path / 'out/vis/grey.jpg'))
    assert picture.shape == (60, 6 * 90 + 20, 3)
    assert np.abs(picture[:20, :90].astype(int) - 128).max() < 4
    assert np.abs(picture[:20, -90:].astype(int) - 128).max() < 4


def test_large_and_wide_photos(predict, tmp_path):
    """Panels are no larger than asked for; what cannot be written is said."""
    folder = tmp_path / 'photos'
    folder.mkdir()
    wide = np.full((30, 11000, 3), 99, np.uint8)
    wide[:, 5500:] = 200
    cv2.imwrite(str(folder / 'wide.png'), wide)
    args = [folder, folder / 'wide.png', '--panels', 'image', 'parts']
    done = predict(*args, '--out-dir', 'out', '--panel-size', 400)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('wide.png: ') == 1
    picture = cv2.imread(str(tmp_path / 'out/vis/wide.jpg'))
    assert picture.shape == (1, 804, 3)
    assert np.abs(picture[0, [350, 754]].astype(int) - 200).max() < 20
    args = [folder, *['--panels', *['image', 'U', 'V'] * 2]]
    done = predict(*args, '--out-dir', 'two', '--panel-size', 0)
    assert done.returncode == 1
    assert 'wide.jpg cannot be written (66020 x 30 px)' in done.stderr
    for option in ('--sheet=s.foo', '--limit=-1'):
        done = predict(folder, '--out-dir', 'three', option)
        assert done.returncode == 2
        assert option.split('=')[1] in done.stderr


def test_errors(predict, photos, tmp_path):
    twin = tmp_path / 'twin'
    twin.mkdir()
    (twin / '0.jpg').touch()
    for args, message in (
        (['nowhere'], 'nowhere does not exist'),
        ([twin.parent / 'twin', photos], '0.png would have one name'),
        ([photos, '--checkpoint', 'no.pth'], 'the weights no.pth do not'),
        ([photos, '--config', 'c.py'], 'got a config without weights'),
        ([photos, '--checkpoint', photos / 'notes.txt'], ''),
        ([photos, '--device', 'cuda:99'], ''),
        ([photos, '--scale', 0], 'scale=0 needs'),
    ):
        done = predict(*args, '--out-dir', tmp_path)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith('error: ')
        assert message in done.stderr.replace('results of ', '')
    empty = tmp_path / 'empty'
    empty.mkdir()
    done = predict(empty, '--out-dir', tmp_path)
    assert f'error: no image in {empty}' in done.stderr
