"""The mean distance within a part."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from mmdense.densepose.surface import (
    BodySurface,
    build_surface,
    part_distances,
    write_surface,
)
from mmdense.densepose.surface.distances import CondensedDistances
from mmdense.densepose.surface.part_distances import as_mean_distances
from mmdense.densepose.surface.parts import OFFICIAL_MEAN_DISTANCES
from tests.toy_surface import ellipsoid


def _square(part, size, offset, stretch=1.0):
    """A flat square; with `stretch` vertices crowd on one side."""
    line = np.linspace(0, 1, 30)
    x, y = np.meshgrid(line**stretch, line)
    corner = np.arange(30 * 29).reshape(29, 30)[:, :-1].ravel()
    faces = np.concatenate(
        [
            np.stack([corner, corner + 1, corner + 31], axis=1),
            np.stack([corner, corner + 31, corner + 30], axis=1),
        ]
    )
    uv = np.stack([x.ravel(), y.ravel()], axis=1)
    vertices = np.pad(uv * size, [(0, 0), (0, 1)])
    vertices[:, 0] += offset
    return np.full(len(uv), part), uv, vertices, faces


class _Straight:
    def __call__(self, surface):
        points = surface.vertices.astype(np.float64)
        square = np.zeros((len(points),) * 2)
        square[np.triu_indices(len(points), 1)] = pdist(points)
        return CondensedDistances(square.T[np.tril_indices(len(points), -1)])


def test_of_squares():
    """0.5214 of the side, the mean distance of two points of a square.

    Both hands count as one part each, however far apart; the two halves of
    a head as one.
    """
    pieces = [
        _square(3, 1.0, 0, stretch=2),
        _square(4, 2.0, 50, stretch=0.5),
        _square(23, 3.0, 100),
    ]
    start = 0
    for piece in pieces:
        piece[3][:] += start
        start += len(piece[0])
    part, uv, vertices, faces = map(np.concatenate, zip(*pieces, strict=True))
    surface = BodySurface(
        name='squares',
        part=part,
        uv=uv,
        vertex=np.arange(len(part)),
        vertices=vertices,
        faces=faces,
        distances_from=_Straight(),
    )
    found = surface.mean_distances
    mean = 0.5214054
    assert np.allclose(found[[3, 4]], mean * 1.5, rtol=5e-3)
    assert np.isclose(found[23], mean * 3, rtol=5e-3)
    assert found[0] == 0
    assert np.isnan(np.delete(found, [0, 3, 4, 23])).all()
    crowded = vertices[part == 3]
    assert abs(pdist(crowded).mean() - mean) > 0.01  # what areas are for


def test_large_parts_are_sampled(monkeypatch):
    """A sample is close, and the same each time."""
    everyone = ellipsoid().mean_distances
    monkeypatch.setattr(part_distances, '_SAMPLE', 100)
    surface = ellipsoid()
    assert len(np.unique(surface.vertex[surface.part < 3])) > 200
    found = surface.mean_distances
    assert found[1] != everyone[1]
    assert np.isclose(found[1], everyone[1], rtol=0.05)
    assert np.array_equal(found, ellipsoid().mean_distances, equal_nan=True)


def test_numbers_of_the_user():
    official = as_mean_distances('official')
    assert official[0] == 0
    assert official[7] == OFFICIAL_MEAN_DISTANCES[4] == 0.237
    assert as_mean_distances(range(1, 26)).tolist() == [0, *range(2, 26)]
    for wrong in ('mine', [1.0] * 8, [[1.0] * 25], [0.0] * 9):
        with pytest.raises(ValueError, match='mean_distances must'):
            as_mean_distances(wrong)


def test_of_a_config(tmp_path):
    write_surface(tmp_path / 'm.npz', ellipsoid())
    surface = build_surface(
        dict(path=tmp_path / 'm.npz', mean_distances='official')
    )
    assert surface.mean_distances[23] == 0.15
