"""Looking distances up."""

import pickle

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from mmdense.densepose.surface import ComputedDistances
from mmdense.densepose.surface.distances import (
    CondensedDistances,
    LandmarkDistances,
)
from tests.toy_surface import ellipsoid


def _matrix(count, seed=0):
    points = np.random.default_rng(seed).random((count, 3))
    square = squareform(pdist(points)).astype(np.float32)
    # a > b is the lower triangle, row by row.
    return square, square[np.tril_indices(count, -1)]


@pytest.mark.parametrize('count', [1, 2, 3, 40])
def test_every_pair_is_found(count):
    square, condensed = _matrix(count)
    distances = CondensedDistances(condensed)
    assert distances.num_vertices == count
    # uint16, as vertices may be stored: a product would overflow.
    every = np.arange(count, dtype=np.uint16)
    assert np.array_equal(distances(every[:, None], every), square)


def test_no_vertex_is_infinitely_far():
    distances = CondensedDistances(_matrix(5)[1])
    found = distances([-1, 0, -1, 2], [0, -1, -1, 2])
    assert found.tolist() == [np.inf, np.inf, np.inf, 0]
    assert found.dtype == np.float32


def test_wrong_vertices():
    distances = CondensedDistances(_matrix(5)[1])
    for vertex in (5, -2):
        with pytest.raises(IndexError, match=rf'vertex {vertex} .* 5 vert'):
            distances([0, 1], [1, vertex])
    with pytest.raises(TypeError, match='float64'):
        distances(0.0, 1)


def test_wrong_length():
    with pytest.raises(ValueError, match='has 7 distances'):
        CondensedDistances(np.zeros(7))


def test_files_are_mapped_and_not_pickled(tmp_path):
    square, condensed = _matrix(300)
    np.save(tmp_path / 'd.npy', condensed)
    distances = CondensedDistances(tmp_path / 'd.npy')
    pickled = pickle.dumps(distances)
    assert len(pickled) < 1000
    again = pickle.loads(pickled)
    assert isinstance(again._values.base, np.memmap)
    assert again(3, 200) == square[3, 200]


def test_damaged_files(tmp_path):
    path = tmp_path / 'd.npy'
    with pytest.raises(FileNotFoundError, match=r'd\.npy'):
        CondensedDistances(path)
    np.save(path, np.zeros(10))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r'd\.npy is truncated'):
        CondensedDistances(path)


def test_landmarks_are_within_their_bounds():
    surface = ellipsoid(16, 24)
    every = np.arange(surface.num_vertices)
    exact = ComputedDistances(dtype='float32')(surface)(every[:, None], every)
    few = ComputedDistances(landmarks=60, dtype='float32')(surface)
    assert isinstance(few, LandmarkDistances)
    found = few(every[:, None], every)
    radius = few.radius
    error = np.abs(found - exact)
    both = radius[:, None] + radius
    same = few.nearest[:, None] == few.nearest
    assert np.all(error[~same] <= both[~same] / 2 + 1e-6)
    assert np.all(error[same] <= both[same] + 1e-6)
    assert np.all(np.diag(found) == 0)
    assert np.allclose(found, found.T)
    assert error.mean() < radius.mean() / 2
    # The table holds the distances themselves.
    landmarks = few._table.argmin(axis=1)
    assert np.array_equal(few._table, exact[landmarks])
    assert few([-1], [0]) == np.inf


def test_a_table_of_another_mesh():
    with pytest.raises(ValueError, match=r'\(2, 5\), expected \(landm.*, 4\)'):
        LandmarkDistances(np.zeros((2, 5)), np.zeros((4, 3)))
