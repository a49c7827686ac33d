"""Unfolding, on surfaces whose flat form is known."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mmdense.densepose.surface.chart_quality import coverage, distortion
from mmdense.densepose.surface.unfolding import boundary_loop, unfold_disk


def grid(rows, columns):
    """Points (row, column) of a grid and its triangles."""
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b = index[:-1, :-1].ravel(), index[:-1, 1:].ravel()
    c, d = index[1:, :-1].ravel(), index[1:, 1:].ravel()
    faces = np.concatenate([np.stack([a, c, d], 1), np.stack([a, d, b], 1)])
    row, column = np.divmod(np.arange(rows * columns), columns)
    return row, column, faces


def pairwise(points):
    return np.linalg.norm(points[:, None] - points[None], axis=2)


@pytest.mark.parametrize('along', [0, 1])
def test_developable_surfaces_keep_their_lengths(along):
    """A plane, and a third of a cylinder, wherever they lie in space."""
    row, column, faces = grid(12, 9)
    flat = np.stack([column * 0.1, -row * 0.05], 1)
    turn = Rotation.from_rotvec([0.4, -1.0, 2.0])
    if along:
        angle = flat[:, 0] / 0.4
        space = np.stack(
            [0.4 * np.sin(angle), flat[:, 1], 0.4 * np.cos(angle)], 1
        )
    else:
        space = np.insert(flat, 2, 0.0, axis=1)
    uv = unfold_disk(
        turn.apply(space) + np.array([1, 2, 3]), faces, tolerance=1e-12
    )
    # Chords of the cylinder are shorter than its arcs.
    np.testing.assert_allclose(
        pairwise(uv), pairwise(flat), atol=0.01 if along else 1e-4
    )
    quality = distortion(space, faces, uv)
    assert quality.flipped_share == 0
    assert quality.max_stretch < (1.02 if along else 1.001)


def cap(height, rings=14, around=40):
    """Part of a sphere, down to a height; counter-clockwise from outside."""
    polar = np.linspace(0, np.arccos(height), rings + 1)[1:]
    turn = np.arange(around) * 2 * np.pi / around
    ring = np.stack(
        [
            np.sin(polar)[:, None] * np.cos(turn),
            np.sin(polar)[:, None] * np.sin(turn),
            np.cos(polar)[:, None] * np.ones(around),
        ],
        2,
    )
    points = np.concatenate([[[0, 0, 1.0]], ring.reshape(-1, 3)])
    index = 1 + np.arange(rings * around).reshape(rings, around)
    after = np.roll(index, -1, 1)
    top = np.stack([np.zeros(around, int), index[0], after[0]], 1)
    a, b = index[:-1].ravel(), after[:-1].ravel()
    c, d = index[1:].ravel(), after[1:].ravel()
    return points, np.concatenate(
        [top, np.stack([a, c, d], 1), np.stack([a, d, b], 1)]
    )


def test_four_fifths_of_a_sphere():
    """Too round for any flat map to be good; still one-to-one."""
    points, faces = cap(-0.6)
    uv = unfold_disk(points, faces)
    quality = distortion(points, faces, uv)
    assert quality.flipped_share == 0
    low, high = uv.min(0), uv.max(0)
    assert coverage((uv - low) / (high - low), faces).max() == 1
    # Azimuthal equidistant and equal-area maps, scaled at best: the energy
    # of the result is lower than of both.
    polar = np.arccos(points[:, 2])
    direction = points[:, :2] / np.maximum(
        np.linalg.norm(points[:, :2], axis=1, keepdims=True), 1e-12
    )

    def energy(plane):
        p, q = (points[faces[:, k]] - points[faces[:, 0]] for k in (1, 2))
        s, t = (plane[faces[:, k]] - plane[faces[:, 0]] for k in (1, 2))
        # Gram matrices: |J|^2 = tr(G_plane G_space^-1).
        space = np.stack([p, q], 1) @ np.stack([p, q], 2)
        flat = np.stack([s, t], 1) @ np.stack([s, t], 2)
        forth = np.trace(flat @ np.linalg.inv(space), axis1=1, axis2=2)
        back = np.trace(space @ np.linalg.inv(flat), axis1=1, axis2=2)
        return np.average(forth + back, weights=quality.area)

    best = min(
        energy(scale * radius[:, None] * direction)
        for radius in (polar, 2 * np.sin(polar / 2))
        for scale in np.linspace(0.7, 1.4, 30)
    )
    assert energy(uv) < best


def test_border_never_crosses_itself():
    """A cone of more than a full turn overlaps itself if laid out flat."""
    rows, columns = 7, 50
    row, column, faces = grid(rows, columns)
    radius = 0.4 + row / (rows - 1)
    turn = column / (columns - 1) * 2 * np.pi
    # A ruff: its circles are half as long again as those of a plane.
    wave = 0.75 * radius * np.sin(4 * turn) / 4 * 1.4
    space = np.stack([radius * np.cos(turn), radius * np.sin(turn), wave], 1)
    around = np.linalg.norm(np.diff(space[:columns], axis=0), axis=1).sum()
    assert around > 2 * np.pi * 0.4 * 1.1
    uv = unfold_disk(space, faces)
    low, high = uv.min(0), uv.max(0)
    assert distortion(space, faces, uv).flipped_share == 0
    assert coverage((uv - low) / (high - low), faces).max() == 1


def test_half_that_fits_its_mirror_image():
    row, column, faces = grid(15, 8)
    x, y = column * 0.1, -row * 0.1
    space = np.stack([x, y, 0.4 * np.cos(1.5 * x) * np.cos(y + 0.7)], 1)
    axis = np.flatnonzero(column == 0)
    uv = unfold_disk(space, faces, axis)
    np.testing.assert_array_equal(uv[axis, 0], 0)
    assert (np.delete(uv[:, 0], axis) > 0).all()
    assert distortion(space, faces, uv).flipped_share == 0
    # The same as unfolding both halves together, by symmetry.
    both = np.concatenate([space, (space * [-1, 1, 1])[column > 0]])
    image = np.arange(len(space))
    image[column > 0] = len(space) + np.arange((column > 0).sum())
    whole = unfold_disk(
        both,
        np.concatenate([faces, image[faces][:, ::-1]]),
        tolerance=1e-10,
    )
    half = unfold_disk(space, faces, axis, tolerance=1e-10)
    np.testing.assert_allclose(
        pairwise(whole[: len(space)]), pairwise(half), atol=2e-3
    )


def test_only_disks():
    points, faces = cap(-0.6)
    with pytest.raises(ValueError, match='0 border edges and Euler char'):
        boundary_loop(np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [3, 2, 1]]))
    ring = faces[(faces != 0).all(1)]
    with pytest.raises(ValueError, match='Only a disk can be unfolded'):
        boundary_loop(ring)
    two = np.concatenate([faces, faces + len(points)])
    with pytest.raises(ValueError, match='Only a disk can be unfolded'):
        boundary_loop(two)
    with pytest.raises(ValueError, match='one stretch of the border'):
        unfold_disk(points, faces, np.array([0]))


def test_distortion():
    """Sizes of a known linear map, and a triangle turned over."""
    row, column, faces = grid(3, 4)
    flat = np.stack([column, -row], 1).astype(float)
    space = np.insert(flat, 2, 5.0, axis=1)
    shear = np.array([[2.0, 0.5], [0.0, 0.8]])
    quality = distortion(space, faces, flat @ shear.T)
    large, small = np.linalg.svd(shear, compute_uv=False)
    np.testing.assert_allclose(quality.stretch, max(large, 1 / small))
    np.testing.assert_allclose(quality.area, 0.5)
    assert quality.flipped_share == 0
    folded = flat.copy()
    folded[column == 3, 0] = 1.5
    assert distortion(space, faces, folded).flipped_share == pytest.approx(
        1 / 3
    )


def test_coverage():
    uv = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [0.25, 0.25]])
    count = coverage(uv, np.array([[0, 1, 2], [1, 3, 2]]), 64)
    # The diagonal runs through cell centres, which belong to neither.
    assert (np.diag(count[::-1]) == 0).all()
    assert (count + np.eye(64, dtype=int)[::-1] == 1).all()
    count = coverage(uv, np.array([[0, 1, 2], [0, 4, 2]]), 64)
    assert (count == 2).sum() == pytest.approx(64**2 / 8, rel=0.05)
