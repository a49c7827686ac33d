"""Preparing and measuring a body surface from the command line."""

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from mmdense.densepose.surface import (
    SymmetryTables,
    read_surface,
    write_surface,
)
from tests.toy_surface import ellipsoid

TOOLS = Path(__file__).resolve().parents[2] / 'tools'


def _load(path):
    name = path.rpartition('/')[2]
    spec = importlib.util.spec_from_file_location(name, TOOLS / f'{path}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def mesh(tmp_path, monkeypatch):
    monkeypatch.setenv('MMDENSE_CACHE_DIR', str(tmp_path / 'cache'))
    monkeypatch.setenv('COLUMNS', '100')
    write_surface(tmp_path / 'mesh.npz', ellipsoid())
    return tmp_path / 'mesh.npz'


def test_what_was_computed_is_kept(mesh, tmp_path, capsys):
    output = tmp_path / 'out.npz', tmp_path / 'symmetry.mat'
    arguments = ['--landmarks', '20', '--workers', '1']
    arguments += ['--npz', str(output[0]), '--symmetry-output', str(output[1])]
    _load('misc/prepare_surface').main([str(mesh), *arguments])
    text = capsys.readouterr().out
    assert '482 chart entries on 362 vertices, 720 faces' in text
    assert re.search(r'4 .*left_hand .*124 .*168 .*0\.00 %', text)
    assert re.search(r'no entries of 5 left_foot, .*24 head_left', text)
    assert '20-landmarks-float16.npy' in text
    assert len(list((tmp_path / 'cache').glob('*.npy'))) == 1
    surface, again = ellipsoid(), read_surface(output[0])
    assert np.array_equal(again.vertex_mirror, surface.mirror)
    assert np.array_equal(again.chart_mirror, surface.entry_mirror)
    assert re.search(rf'torso .*{again.mean_distances[1]:.3f}', text)
    tables = SymmetryTables.read(output[1])
    assert np.array_equal(tables.u, surface.symmetry.u)


def test_a_mesh_without_symmetry_is_of_use(tmp_path, mesh, capsys):
    surface = ellipsoid()
    moved = surface.vertices + np.array([0.2, 0, 0], dtype=np.float32)
    arrays = dict(
        vertices=moved,
        chart_vertices=surface.vertex,
        chart_parts=surface.part,
        chart_uv=surface.uv,
        chart_faces=surface.faces[:, ::-1],
    )
    np.savez(mesh, **arrays)
    tool = _load('misc/prepare_surface')
    tool.main([str(mesh), '--npz', str(tmp_path / 'out.npz')])
    text = capsys.readouterr().out
    assert 'no symmetry: the mesh is not symmetric in the plane' in text
    assert 'all-float16.npy' in text
    assert read_surface(tmp_path / 'out.npz').chart_mirror is None


@pytest.mark.parametrize(
    'arguments',
    [['no/such.npz'], ['--group', 'belt'], ['--landmarks', '-1']],
)
def test_errors_end_in_one_line(mesh, arguments):
    if not arguments[0].startswith('no'):
        arguments = [str(mesh), *arguments]
    with pytest.raises(SystemExit, match=r'^error: [^\n]+$'):
        _load('misc/prepare_surface').main(arguments)


def test_the_benchmark_runs(mesh, capsys, monkeypatch):
    tool = _load('analysis_tools/benchmark_surface')
    monkeypatch.setattr(tool, 'POINTS', 1000)
    monkeypatch.setattr(tool, 'SLOW_POINTS', 100)
    monkeypatch.setitem(sys.modules, 'pygeodesic.geodesic', None)
    tool.main([str(mesh), '--sources', '3', '--landmarks', '30'])
    text = capsys.readouterr().out
    assert 'equal to those of the plain search: True' in text
    assert 'pygeodesic is not installed' in text
    assert re.search(r'30 .*0 .*\d+\.\d', text)
