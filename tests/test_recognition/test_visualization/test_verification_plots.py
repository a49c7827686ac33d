"""Pictures are read back: what they must show is in their pixels."""

import cv2
import numpy as np
import pytest
from matplotlib.axes import Axes

from mmdense.recognition.functional import roc_curve
from mmdense.recognition.visualization.verification_plots import (
    plot_pairs,
    plot_roc,
    plot_scores,
)

_GREEN, _RED = (0x1B, 0x78, 0x37), (0xB2, 0x18, 0x2B)


def _read(path):
    """RGB pixels of a picture that is not empty."""
    image = cv2.imread(str(path))
    assert image is not None
    assert image.std() > 1, 'the picture is one colour'
    return image[:, :, ::-1].astype(int)


def _is(image, color, tolerance=40):
    return np.abs(image - color).max(axis=2) < tolerance


def _scores(seed=0, apart=2.0):
    rng = np.random.default_rng(seed)
    issame = np.arange(3000) % 2 == 0
    scores = rng.normal(size=3000) * 0.15 + apart * 0.15 * issame
    return scores.clip(-1, 1), issame


def test_a_better_roc_is_a_higher_curve(tmp_path):
    heights = []
    for apart in (1.0, 4.0):
        path = tmp_path / 'roc.png'
        plot_roc(*roc_curve(*_scores(apart=apart)), path)
        image = _read(path)
        rows, columns = np.nonzero(_is(image, _GREEN))
        assert len(rows) > 300, 'there is no curve'
        # It reaches from the left to the right of the axes.
        assert np.ptp(columns) > 0.7 * image.shape[1]
        heights.append(rows.mean())
    assert heights[1] < heights[0] - 30  # rows count from the top


def test_roc_of_a_perfect_score_runs_along_the_top(tmp_path):
    scores = np.linspace(0, 1, 40)
    plot_roc(*roc_curve(scores, scores > 0.5), tmp_path / 'roc.png')
    rows, columns = np.nonzero(_is(_read(tmp_path / 'roc.png'), _GREEN))
    top = np.quantile(rows, 0.05)
    assert np.ptp(columns[rows < top + 4]) > 300


def test_scores_show_both_kinds_where_they_are(tmp_path):
    plot_scores(*_scores(apart=3.5), tmp_path / 'scores.png')
    image = _read(tmp_path / 'scores.png')
    image = image[: image.shape[0] * 4 // 5]  # without the legend
    # Drawn with 60 % over white.
    faded = [0.6 * np.array(c) + 0.4 * 255 for c in (_GREEN, _RED)]
    green, red = (np.nonzero(_is(image, c, 12))[1] for c in faded)
    assert len(green) > 1000
    assert len(red) > 1000
    assert np.median(red) < np.median(green)


@pytest.mark.parametrize('value', [1.0, 0.0, -0.3])
def test_scores_that_are_all_equal(tmp_path, value):
    """A network that has collapsed gives one embedding for all."""
    issame = np.arange(10) < 4
    plot_scores(np.full(10, value), issame, tmp_path / 'scores.png')
    image = _read(tmp_path / 'scores.png')
    # Both bars are there, one over the other, and nothing else.
    over = 0.6 * np.array(_GREEN) + 0.4 * (0.6 * np.array(_RED) + 0.4 * 255)
    assert np.sum(_is(image, over, 12)) > 300
    plot_roc(*roc_curve(np.full(10, value), issame), tmp_path / 'roc.png')
    _read(tmp_path / 'roc.png')


def _pairs(count, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    shape = (24, 24, 3) if channels == 3 else (24, 24)
    return [
        tuple(
            rng.integers(0, 256, size=shape, dtype=np.uint8) for _ in range(2)
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize('count', [1, 6, 7, 12])
@pytest.mark.parametrize('channels', [1, 3])
def test_every_pair_has_its_caption(tmp_path, monkeypatch, count, channels):
    titles, images = [], []
    set_title, imshow = Axes.set_title, Axes.imshow

    def record_title(self, label, **kwargs):
        titles.append(label)
        return set_title(self, label, **kwargs)

    def record_image(self, data, **kwargs):
        images.append(data)
        return imshow(self, data, **kwargs)

    monkeypatch.setattr(Axes, 'set_title', record_title)
    monkeypatch.setattr(Axes, 'imshow', record_image)
    pairs = _pairs(count, channels)
    captions = [f'cosine 0.{i:02d}' for i in range(count)]
    plot_pairs(pairs, captions, tmp_path / 'pairs.png', 'the worst')
    assert titles == captions
    for image, (left, right) in zip(images, pairs, strict=True):
        assert np.array_equal(image[:, :24], left)
        assert np.array_equal(image[:, -24:], right)
    _read(tmp_path / 'pairs.png')


def test_a_dark_image_stays_dark(tmp_path):
    """Grey values are shown as they are, not stretched."""
    dark = np.full((24, 24), 20, np.uint8)
    dark[0, 0] = 30
    plot_pairs([(dark, dark)], ['a'], tmp_path / 'pairs.png', 't')
    image = _read(tmp_path / 'pairs.png')
    assert np.sum(_is(image, (20, 20, 20), 2)) > 1000


def test_colors_are_kept(tmp_path):
    red = np.zeros((24, 24, 3), np.uint8)
    red[..., 0] = 250
    plot_pairs([(red, red)], ['a'], tmp_path / 'pairs.png', 't')
    image = _read(tmp_path / 'pairs.png')
    assert np.sum(_is(image, (250, 0, 0), 3)) > 1000


def test_no_pair_at_all(tmp_path):
    plot_pairs([], [], tmp_path / 'pairs.png', 'none was wrong')
    _read(tmp_path / 'pairs.png')
