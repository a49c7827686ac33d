"""Drawing a body surface from four sides."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmdense.densepose.surface import build_surface

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/draw_surface.py'


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('draw_surface', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_back_is_the_outline_of_the_front(tool, monkeypatch):
    monkeypatch.setattr(
        tool, 'write_numbers', lambda picture, surface, triangle: picture
    )
    surface = build_surface(None)
    front, back = (tool.draw(surface, angle, 200, 10) for angle in (0, 180))
    outlines = [(view < 250).any(2) for view in (front, back)]
    assert (outlines[0] != outlines[0][:, ::-1]).mean() < 0.005
    assert (outlines[0] != outlines[1]).mean() < 0.005
    # Colours of the two sides of the torso.
    middle = front.shape[1] // 2
    chest, spine = (
        np.median(view[60:100, middle - 15 : middle + 15], axis=(0, 1))
        for view in (front, back)
    )
    assert np.abs(chest - spine).max() > 50


def test_file(tool, tmp_path, capsys):
    tool.main([str(tmp_path / 'new' / 'body.png'), '--height', '80'])
    assert 'front, back, left, right' in capsys.readouterr().out
    with Image.open(tmp_path / 'new' / 'body.png') as image:
        assert image.height == 80


def test_errors_end_in_one_line(tool, tmp_path):
    with pytest.raises(SystemExit, match='error: '):
        tool.main([str(tmp_path / 'a.png'), '--surface', 'missing.npz'])
