"""Cutting meshes along level sets, and opening them along seams."""

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from mmdense.densepose.surface.cutting import cut_along_level, open_seams


@pytest.fixture(scope='module')
def sphere():
    """400 points all over a sphere, triangles counter-clockwise outside."""
    k = np.arange(400) + 0.5
    height, turn = 1 - 2 * k / 400, np.pi * (1 + 5**0.5) * k
    radius = np.sqrt(1 - height**2)
    points = np.stack(
        [radius * np.cos(turn), radius * np.sin(turn), height], 1
    )
    faces = ConvexHull(points).simplices.astype(np.int64)
    normal = np.cross(
        points[faces[:, 1]] - points[faces[:, 0]],
        points[faces[:, 2]] - points[faces[:, 0]],
    )
    inward = (normal * points[faces].mean(1)).sum(1) < 0
    faces[inward] = faces[inward][:, ::-1]
    return points, faces


def doubled_areas(points, faces):
    a, b, c = (points[faces[:, k]] for k in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1)


def directed_edges(faces):
    return [
        (a, b)
        for face in faces.tolist()
        for a, b in zip(face, face[1:] + face[:1], strict=True)
    ]


def assert_closed(faces):
    edges = directed_edges(faces)
    assert len(set(edges)) == len(edges)
    assert {(b, a) for a, b in edges} == set(edges)


@pytest.mark.parametrize('snap', [0.0, 0.3])
def test_a_plane_through_a_sphere(sphere, snap):
    points, faces = sphere
    normal = np.array([0.3, -0.5, 0.8]) / np.linalg.norm([0.3, -0.5, 0.8])
    everywhere = np.ones(len(faces), bool)
    labels = np.zeros(len(faces), np.int64)
    cut = cut_along_level(
        points, faces, points @ normal - 0.2, everywhere, labels, snap
    )
    new = cut.combination @ points
    np.testing.assert_allclose(cut.combination.sum(1), 1)
    assert_closed(cut.faces)
    on_plane = new @ normal - 0.2
    np.testing.assert_allclose(on_plane[cut.on_level], 0, atol=1e-12)
    assert cut.on_level.sum() > 30
    # No face has corners on both sides; its side is that of its middle.
    signs = np.sign(np.where(cut.on_level, 0, on_plane))[cut.faces]
    assert (signs.min(1) * signs.max(1) >= 0).all()
    np.testing.assert_array_equal(
        cut.side, np.sign(on_plane[cut.faces].mean(1))
    )
    total = doubled_areas(points, faces).sum()
    if snap == 0:
        # Pieces lie in the faces they come from.
        pieces = np.bincount(
            cut.face_origin, doubled_areas(new, cut.faces), len(faces)
        )
        np.testing.assert_allclose(pieces, doubled_areas(points, faces))
    else:
        assert doubled_areas(new, cut.faces).sum() == pytest.approx(
            total, rel=0.01
        )


def test_no_slivers(sphere):
    points, faces = sphere

    def smallest(snap):
        result = np.inf
        for height in np.linspace(-0.5, 0.5, 9):
            cut = cut_along_level(
                points,
                faces,
                points[:, 0] - height,
                np.ones(len(faces), bool),
                np.zeros(len(faces), np.int64),
                snap,
            )
            areas = doubled_areas(cut.combination @ points, cut.faces)
            result = min(result, areas.min() / np.median(areas))
        return result

    assert smallest(0.0) < 0.01
    assert smallest(0.3) > 0.03


def test_only_the_region_is_cut(sphere):
    points, faces = sphere
    region = points[faces].mean(1)[:, 1] > 0.1
    cut = cut_along_level(
        points,
        faces,
        points[:, 0].copy(),
        region,
        np.zeros(len(faces), np.int64),
    )
    assert_closed(cut.faces)
    new = cut.combination @ points
    outside = ~region[cut.face_origin]
    np.testing.assert_array_equal(cut.side == 0, outside)
    crossed = (new[cut.faces, 0].min(1) < -1e-9) & (
        new[cut.faces, 0].max(1) > 1e-9
    )
    assert not crossed[~outside].any()
    assert crossed[outside].any()


def test_second_cut_leaves_the_first_border_straight(sphere):
    points, faces = sphere
    first = cut_along_level(
        points,
        faces,
        points[:, 0].copy(),
        np.ones(len(faces), bool),
        np.zeros(len(faces), np.int64),
    )
    middle = first.combination @ points
    middle[first.on_level, 0] = 0
    second = cut_along_level(
        middle,
        first.faces,
        middle[:, 1] - 0.013,
        np.ones(len(first.faces), bool),
        first.side.astype(np.int64),
    )
    new = second.combination @ middle
    side = first.side[second.face_origin]
    on_border = set(second.faces[side > 0].ravel().tolist()) & set(
        second.faces[side < 0].ravel().tolist()
    )
    np.testing.assert_allclose(new[sorted(on_border), 0], 0, atol=1e-12)
    assert_closed(second.faces)


def test_open_seams():
    """Four by two squares: two parts, and a seam inside the first."""
    index = np.arange(15).reshape(3, 5)
    faces = []
    for r in range(2):
        for c in range(4):
            a, b = index[r, c], index[r, c + 1]
            d, e = index[r + 1, c], index[r + 1, c + 1]
            faces += [[a, d, e], [a, e, b]]
    faces = np.array(faces)
    parts = np.where(faces.max(1) % 5 <= 2, 7, 3)
    parts[(faces % 5 >= 2).all(1)] = 3
    seams = {(5, 6)}
    chart_faces, vertices = open_seams(faces, parts, seams)
    np.testing.assert_array_equal(vertices[chart_faces], faces)
    entry_parts = np.zeros(len(vertices), int)
    entry_parts[chart_faces] = parts[:, None]
    assert (entry_parts[chart_faces] == parts[:, None]).all()
    # Part 3 first; the column between both has an entry in each; the end of
    # the seam on the border is doubled, its end inside is not.
    right = [2, 3, 4, 7, 8, 9, 12, 13, 14]
    left = [0, 1, 2, 5, 5, 6, 7, 10, 11, 12]
    assert vertices.tolist() == right + left
    assert entry_parts.tolist() == [3] * 9 + [7] * 10
    without, _ = open_seams(faces, parts, set())
    assert without.max() == chart_faces.max() - 1
