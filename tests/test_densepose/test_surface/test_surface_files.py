"""Meshes with charts as .npz and .obj files."""

import numpy as np
import pytest

from mmdense.densepose.surface import (
    ComputedDistances,
    read_obj,
    read_surface,
    write_surface,
)
from mmdense.densepose.surface.parts import PART_NAMES
from tests.toy_surface import ellipsoid

ARRAYS = ('part', 'uv', 'vertex', 'vertices', 'faces')


def test_what_is_written_is_read(tmp_path):
    surface = ellipsoid()
    path = tmp_path / 'mesh.npz'
    write_surface(path, surface, mean_distances=np.arange(1, 26), skin='none')
    again = read_surface(path)
    for name in (*ARRAYS, 'mirror', 'entry_mirror'):
        assert np.array_equal(getattr(again, name), getattr(surface, name))
    assert again.name == 'ellipsoid'
    assert again.mean_distances.tolist() == [0, *range(2, 26)]
    first = path.read_bytes()
    write_surface(path, surface, mean_distances=np.arange(1, 26), skin='none')
    assert path.read_bytes() == first


def test_members_that_are_given_are_used(tmp_path):
    mirror = np.roll(np.arange(362), 5)
    surface = ellipsoid(vertex_mirror=mirror, chart_mirror=np.arange(482))
    path = tmp_path / 'mesh.npz'
    write_surface(path, surface)
    settings = ComputedDistances(landmarks=7)
    again = read_surface(path, settings)
    assert np.array_equal(again.mirror, mirror)
    assert np.array_equal(again.entry_mirror, np.arange(482))
    assert again.distances_from == settings


def test_small_types_will_do(tmp_path):
    surface = ellipsoid()
    path = tmp_path / 'mesh.npz'
    np.savez(
        path,
        vertices=surface.vertices.astype(np.float16),
        chart_vertices=surface.vertex.astype(np.uint16),
        chart_parts=surface.part.astype(np.int64),
        chart_uv=surface.uv.astype(np.float32),
        chart_faces=surface.faces.astype(np.uint16),
    )
    again = read_surface(path)
    assert again.name == 'mesh.npz'
    assert np.array_equal(again.mesh_faces, surface.mesh_faces)


def test_wrong_npz_files(tmp_path):
    path = tmp_path / 'mesh.npz'
    with pytest.raises(FileNotFoundError, match=r'mesh\.npz'):
        read_surface(path)
    write_surface(path, ellipsoid())
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ValueError, match=r'mesh\.npz is truncated'):
        read_surface(path)
    with path.open('wb') as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match=r'mesh\.npz is .*a single array'):
        read_surface(path)
    np.savez(path, vertices=np.zeros((3, 3)), faces=np.zeros((1, 3)))
    with pytest.raises(ValueError, match=r"no 'chart_vertices'.*has faces, v"):
        read_surface(path)
    np.savez(path, vertices=np.array([{}]))
    with pytest.raises(ValueError, match=r'allow_pickle'):
        read_surface(path)


@pytest.mark.parametrize(
    ('field', 'value', 'message'),
    [
        ('chart_parts', [0] * 482, r'mesh\.npz: part labels .*got 0'),
        ('chart_parts', [1] * 3, r'uv has shape \(482, 2\), expected \(3, 2'),
        ('chart_uv', np.full((482, 2), 1.5), r'uv must lie in \[0, 1\]'),
        ('chart_uv', np.full((482, 2), np.nan), r'uv must lie in \[0, 1\]'),
        ('chart_vertices', [362] * 482, r'vertex refers to 362, .*0\.\.361'),
        ('chart_vertices', [0.5] * 482, r'vertex is of float64, expected int'),
        ('chart_faces', [[0, 1, 482]], r'faces refers to 482'),
        ('chart_faces', [[0, 1, -1]], r'faces refers to -1'),
        ('chart_faces', [[0, 1, 481]], r'face 0 has corners of the parts'),
        ('vertices', np.full((362, 3), np.inf), r'vertices are not all fin'),
        ('vertex_mirror', [0, 1], r'vertex_mirror has shape \(2,\)'),
        ('chart_mirror', [-1] * 482, r'chart_mirror refers to -1'),
        ('mean_distances', [1.0] * 8, r'9 numbers, one a group, or 25'),
        ('mean_distances', [0.0] * 25, r'must be positive, got 0'),
    ],
)
def test_members_that_do_not_fit(tmp_path, field, value, message):
    path = tmp_path / 'mesh.npz'
    surface = ellipsoid()
    members = dict(
        vertices=surface.vertices,
        chart_vertices=surface.vertex,
        chart_parts=surface.part,
        chart_uv=surface.uv,
        chart_faces=surface.faces,
    )
    np.savez(path, **{**members, field: value})
    with pytest.raises(ValueError, match=message):
        read_surface(path)


def _write_obj(path, surface, name_of, keyword='g'):
    lines = [f'v {x:.9g} {y:.9g} {z:.9g}' for x, y, z in surface.vertices]
    lines += [f'vt {u:.17g} {v:.17g}  # chart' for u, v in surface.uv]
    for part in surface.parts:
        lines.append(f'{keyword} {name_of(part)}')
        for face in surface.faces[surface.face_part == part]:
            corners = [f'{surface.vertex[e] + 1}/{e + 1}/1' for e in face]
            lines.append('f ' + ' '.join(corners))
    path.write_text('\n'.join(['# a body', 'o body', 's off', *lines, '']))


@pytest.mark.parametrize('keyword', ['g', 'usemtl'])
@pytest.mark.parametrize(
    ('name_of', 'groups'),
    [
        (PART_NAMES.__getitem__, None),
        (str, None),
        ('part_{:02d}'.format, None),
        ('skin side{}'.format, {f'side{part}': part for part in range(5)}),
        ('my {}'.format, {f'my {part}': part for part in range(5)}),
    ],
)
def test_obj_files(tmp_path, keyword, name_of, groups):
    surface = ellipsoid()
    path = tmp_path / 'mesh.obj'
    _write_obj(path, surface, name_of, keyword)
    read = read_obj(path, groups)
    assert np.array_equal(read.vertices, surface.vertices)
    order = np.argsort(surface.face_part, kind='stable')
    for name in ('part', 'uv', 'vertex'):
        expected = getattr(surface, name)[surface.faces[order]]
        assert np.array_equal(getattr(read, name)[read.faces], expected)


def test_polygons_and_indices_from_the_end(tmp_path):
    path = tmp_path / 'mesh.obj'
    path.write_text(
        'usemtl torso_front\n'
        'v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n'
        'vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n'
        'f -4/-4 -3/-3 -2/-2 -1/-1\n'
    )
    surface = read_obj(path)
    assert surface.mesh_faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert surface.uv[surface.faces[1]].tolist() == [[0, 0], [1, 1], [0, 1]]


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('f 1 1 1', r'line 1: a corner without texture coordinates'),
        ('f 1//1 1//1 1//1', r'line 1: a corner without texture coord'),
        ('v 0 0 0\nvt 0 0\nf 1/1 2/1 1/1', r'line 3: .* 2 of 1 lines before'),
        ('v 0 0 0\nvt 0 0\nf 1/1 0/1 1/1', r'line 3: .* 0 of 1 lines before'),
        ('v 0 a 0', r'line 1: could not convert'),
        ('v 0 0', r'line 1: 2 numbers, expected 3'),
        ('v 0 0 0\nvt 0 0\ng belly\nf 1/1 1/1 1/1', r"line 4: .*'belly', exp"),
        ('v 0 0 0\nvt 0 0\nf 1/1 1/1 1/1', r'line 3: .* are none, expected'),
        ('v 0 0 0\nvt 0 0\ng 7\nf 1/1 1/1', r'line 4: a face of 2 corners'),
        ('v 0 0 0', r'mesh\.obj has no faces'),
    ],
)
def test_wrong_obj_files(tmp_path, text, message):
    path = tmp_path / 'mesh.obj'
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_obj(path)


def test_no_obj_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'mesh\.obj'):
        read_obj(tmp_path / 'mesh.obj')
