"""Where a point of a chart is on the mesh."""

from dataclasses import replace

import numpy as np
import pytest

from mmdense.densepose.surface import BodySurface
from mmdense.densepose.surface.parts import NUM_PARTS
from tests.toy_surface import ellipsoid, true_position


def _points_on_faces(surface, count, seed=0):
    rng = np.random.default_rng(seed)
    face = rng.integers(0, len(surface.faces), count)
    weights = rng.dirichlet([1, 1, 1], count)
    corners = surface.uv[surface.faces[face]]
    uv = np.einsum('nk,nkc->nc', weights, corners)
    return face, weights, surface.face_part[face], uv


def test_points_on_faces_are_found():
    surface = ellipsoid()
    face, weights, part, uv = _points_on_faces(surface, 20000)
    found, bary = surface.locate(part, *uv.T)
    assert np.mean(found == face) > 0.9999
    corners = surface.vertices[surface.mesh_faces[face]]
    expected = np.einsum('nk,nkc->nc', weights, corners)
    assert np.allclose(surface.position_of(part, *uv.T), expected, atol=1e-7)
    assert np.all(bary >= 0)
    assert np.allclose(bary.sum(axis=1), 1)


def test_close_to_the_smooth_surface():
    errors = []
    for size in (16, 32):
        surface = ellipsoid(size, 2 * size)
        _, _, part, uv = _points_on_faces(surface, 5000)
        off = surface.position_of(part, *uv.T) - true_position(part, *uv.T)
        errors.append(np.linalg.norm(off, axis=1).mean())
    assert errors[0] < 0.005
    assert errors[1] < errors[0] / 3  # of second order


def test_entries_are_where_their_vertices_are():
    surface = ellipsoid()
    position = surface.position_of(surface.part, *surface.uv.T)
    assert np.allclose(position, surface.vertices[surface.vertex], atol=1e-6)


def test_outside_the_chart_the_closest_point_counts():
    triangle = BodySurface(
        name='triangle',
        part=[7, 7, 7],
        uv=[[0.2, 0.2], [0.8, 0.2], [0.2, 0.8]],
        vertex=[0, 1, 2],
        vertices=[[2, 2, 0], [8, 2, 0], [2, 8, 0]],
        faces=[[0, 1, 2]],
    )
    u = [0.5, 0.9, 0.1, 0.3, 0.7, -1]
    v = [0.1, 0.1, 0.5, 0.3, 0.7, 3]
    expected = [[5, 2], [8, 2], [2, 5], [3, 3], [5, 5], [2, 8]]
    position = triangle.position_of(7, u, v)
    assert np.allclose(position[:, :2], expected)
    assert triangle.position_of(7, 0.3, 0.3).shape == (3,)
    assert triangle.position_of(7, np.zeros((2, 0)), 0).shape == (2, 0, 3)


def test_where_a_chart_overlaps_itself_the_first_face_counts():
    surface = BodySurface(
        name='folded',
        part=[1] * 6,
        uv=[[0, 0], [1, 0], [0, 1]] * 2,
        vertex=range(6),
        vertices=np.arange(18).reshape(6, 3),
        faces=[[3, 4, 5], [0, 1, 2]],
    )
    assert surface.locate(1, 0.2, 0.2)[0] == 0


def test_entries_that_are_on_no_face_are_passed_over():
    surface = ellipsoid()
    extra = replace(
        surface,
        part=np.append(surface.part, 2),
        uv=np.concatenate([surface.uv, [[0.5, 0.999]]]),
        vertex=np.append(surface.vertex, 0),
    )
    point = extra.position_of(2, 0.5, 1.01)
    assert np.allclose(point, surface.position_of(2, 0.5, 1.01))


def test_points_of_parts_that_are_not_there():
    surface = ellipsoid()
    for part in (5, NUM_PARTS + 1, 0):
        with pytest.raises(ValueError, match=f'{part}'):
            surface.position_of(part, 5.0, 5.0)
    with pytest.raises(ValueError, match='finite'):
        surface.locate(1, np.nan, 0)
