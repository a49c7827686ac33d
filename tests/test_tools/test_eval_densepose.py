"""Scoring saved detections, and the benchmark of it."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmdense.densepose.evaluation.results_file import (
    Detection,
    write_results,
)
from mmdense.densepose.functional.point_errors import PointErrors
from mmdense.densepose.surface import write_surface
from mmdense.densepose.visualization.body_views import (
    draw_views,
    spread_over_mesh,
)
from mmdense.densepose.visualization.evaluation_plots import draw_error_body
from tests.densepose_eval import (
    FOLDER,
    MEASURES,
    RESULTS,
    copy_surface,
    read_set,
)
from tests.toy_surface import ellipsoid

TOOLS = Path(__file__).parents[2] / 'tools/analysis_tools'


@pytest.fixture
def tool(monkeypatch, cache_dir):
    monkeypatch.syspath_prepend(str(TOOLS))
    import eval_densepose

    return eval_densepose


@pytest.fixture(autouse=True)
def cache_dir(tmp_path, monkeypatch):
    folder = tmp_path / 'cache'
    monkeypatch.setenv('MMDENSE_CACHE_DIR', str(folder))
    return folder


def _write_set(name, path):
    arrays, iuvs = read_set(name)
    rows = zip(
        arrays['image_id'].tolist(),
        arrays['bbox_xywh'].tolist(),
        arrays['score'].tolist(),
        iuvs,
        strict=True,
    )
    write_results(path, (Detection(i, 1, b, s, iuv) for i, b, s, iuv in rows))
    return str(path)


@pytest.mark.golden
def test_golden_detections(tool, tmp_path, capsys):
    results = _write_set('noisy', tmp_path / 'results.json')
    out = tmp_path / 'out'
    args = [results, '--ann', str(FOLDER / 'eval_gt.json')]
    folder = str(copy_surface(tmp_path))
    tool.main([*args, '--surface', folder, '--out-dir', str(out)])
    metrics = json.loads((out / 'metrics.json').read_text())
    for name, table in RESULTS['results']['noisy'].items():
        for key, value in table.items():
            ours = metrics[f'{MEASURES[name]}_{key}']
            assert ours == pytest.approx(value, abs=1e-6)
    printed = capsys.readouterr().out
    assert f'{RESULTS["results"]["noisy"]["GPSM"]["AP"]:.2f}' in printed
    assert 'left_foot' in printed
    pictures = {path.name for path in out.glob('*.png')}
    assert pictures == {
        'precision_recall.png',
        'confusion.png',
        'error_charts.png',
        'error_body.png',
    }
    for path in out.glob('*.png'):
        with Image.open(path) as image:
            assert np.asarray(image.convert('RGB')).std() > 5, path
    tool.main([*args, '--surface', 'none', '--strict'])
    printed = capsys.readouterr().out
    assert 'GPS' not in printed
    assert 'mask IoU' in printed


def test_errors_end_in_one_line(tool, tmp_path):
    args = [str(tmp_path / 'a.json'), '--ann', 'missing.json', '--surface']
    with pytest.raises(SystemExit, match=r'error: missing\.json does not'):
        tool.main([*args, 'body'])
    with pytest.raises(SystemExit, match='error: '):
        tool.main([*args, 'missing.npz'])
    with pytest.raises(SystemExit, match='error: --kappa must be positive'):
        tool.main([*args, 'none', '--kappa', '0'])


def test_views_from_four_sides():
    """The left half is red, which from the front is on the right."""
    surface = ellipsoid()
    left = surface.vertices[:, :1] > 0.05
    colors = np.where(left, [1.0, 0, 0], [0, 0, 1.0])
    views = draw_views(surface, colors, 100).astype(int)
    body = views.min(axis=2) < 100
    # Front, back, left and right, white between them.
    columns = body.any(axis=0)
    starts, ends = (
        np.flatnonzero(np.diff(np.pad(columns, 1).astype(int)) == step)
        for step in (1, -1)
    )
    assert len(starts) == 4
    red = (views[..., 0] - views[..., 2]) * body
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        half = (start + end) // 2
        near, far = red[:, start:half].sum(), red[:, half:end].sum()
        if number < 2:
            assert (near < 0 < far) == (number == 0)
            assert near * far < 0
        else:
            assert (near > 0) == (far > 0) == (number == 2)


def test_a_body_is_colored_by_error(tmp_path):
    """Large errors on one half: about as much red as blue."""
    surface = ellipsoid()
    vertex = np.arange(surface.num_vertices, dtype=np.int32)
    left = surface.vertices[:, 0] > 0
    zeros = np.zeros(len(vertex), np.float32)
    parts = np.ones(len(vertex), np.uint8)
    distance = np.where(left, 0.17, 0.03).astype(np.float32)
    errors = PointErrors(parts, parts, distance, zeros, vertex, zeros, zeros)
    path = tmp_path / 'body.png'
    draw_error_body(errors, surface, path)
    with Image.open(path) as image:
        pixels = np.asarray(image.convert('RGB')).astype(int)
    # Without the colour bar.
    pixels = pixels[:, : int(0.85 * pixels.shape[1])]
    difference = pixels[..., 0] - pixels[..., 2]
    red, blue = (difference > 60).sum(), (difference < -60).sum()
    assert min(red, blue) > 0.02 * difference.size
    assert red == pytest.approx(blue, rel=0.2)


def test_values_spread_over_the_mesh():
    surface = ellipsoid()
    weights = np.zeros(surface.num_vertices)
    weights[[3, 200]] = [1, 2]
    values = np.where(weights > 0, [5.0] * len(weights), np.nan)
    spread = spread_over_mesh(surface, np.nan_to_num(values), weights)
    known = ~np.isnan(spread)
    assert 2 < known.sum() < len(spread) / 2
    np.testing.assert_allclose(spread[known], 5)


def test_meshes_with_z_upwards_are_set_up():
    surface = ellipsoid()
    tall = surface.vertices[:, [1, 0, 2]]
    views = []
    for vertices in (tall, tall[:, [0, 2, 1]] * [1, -1, 1]):
        turned = replace(surface, vertices=vertices, vertex_mirror=None)
        colors = np.abs(tall) / np.abs(tall).max(axis=0)
        views.append(draw_views(turned, colors, 80))
    np.testing.assert_array_equal(*views)


@pytest.mark.slow
def test_benchmark_agrees_with_plain_steps(tmp_path):
    surface = tmp_path / 'surface.npz'
    write_surface(surface, ellipsoid())
    command = [sys.executable, TOOLS / 'benchmark_densepose_eval.py']
    command += ['--surface', surface, '--images', '3', '--repeats', '1']
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    line = done.stdout.splitlines()[-1]
    assert float(line.split()[-2]) < 1e-9, done.stdout
