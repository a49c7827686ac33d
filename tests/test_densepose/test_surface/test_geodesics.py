"""Computing distances on a mesh."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse.csgraph import dijkstra

from mmdense.densepose.surface import BodySurface, ComputedDistances
from mmdense.densepose.surface import geodesics as module
from mmdense.densepose.surface.geodesics import geodesic_graph
from tests.toy_surface import ellipsoid


def _grid(count, size=1.0):
    """A flat square of `count` by `count` vertices, in one chart."""
    line = np.linspace(0, 1, count)
    x, y = np.meshgrid(line, line)
    uv = np.stack([x.ravel(), y.ravel()], axis=1)
    corner = np.arange(count * (count - 1)).reshape(count - 1, count)[:, :-1]
    a, b = corner.ravel(), corner.ravel() + 1
    c, d = a + count, b + count
    faces = np.concatenate(
        [np.stack([a, b, d], axis=1), np.stack([a, d, c], axis=1)]
    )
    vertices = np.pad(uv * size, [(0, 0), (0, 1)])
    return BodySurface(
        name='square',
        part=np.full(len(uv), 2),
        uv=uv,
        vertex=np.arange(len(uv)),
        vertices=vertices,
        faces=faces,
    )


def test_against_exact_geodesics():
    """Paths of ours lie on the surface, so none is shorter."""
    exact = pytest.importorskip('pygeodesic.geodesic')
    surface = ellipsoid(32, 24)
    vertices = surface.vertices.astype(np.float64)
    algorithm = exact.PyGeodesicAlgorithmExact(vertices, surface.mesh_faces)
    sources = np.arange(0, len(vertices), 97)
    expected = np.stack(
        [
            algorithm.geodesicDistances(np.array([source]), None)[0]
            for source in sources
        ]
    )
    graph = geodesic_graph(vertices, surface.mesh_faces)
    found = dijkstra(graph, indices=sources)
    assert np.all(found >= expected - 1e-9)
    far = expected > 0.02
    assert ((found - expected)[far] / expected[far]).mean() < 0.025
    edges = graph.copy()
    pairs = {tuple(sorted(p)) for f in surface.mesh_faces for p in _sides(f)}
    rows, columns = edges.nonzero()
    keep = [tuple(sorted(p)) in pairs for p in zip(rows, columns, strict=True)]
    edges.data *= keep
    edges.eliminate_zeros()
    by_edges = dijkstra(edges, indices=sources)
    assert (by_edges - expected).mean() > 2 * (found - expected).mean()


def _sides(face):
    a, b, c = face.tolist()
    return (a, b), (b, c), (c, a)


def test_diagonals_on_a_flat_grid():
    """Edges, both diagonals of a square, and knight's moves are straight."""
    surface = _grid(4)
    graph = geodesic_graph(surface.vertices, surface.mesh_faces).toarray()
    straight = np.linalg.norm(
        surface.vertices[:, None] - surface.vertices, axis=2
    )
    used = graph > 0
    assert np.allclose(graph[used], straight[used], atol=1e-6)
    assert used[1, 4]  # the diagonal that is no edge
    assert used[0, 5]  # the one that is
    assert used[0, 9]  # of triangles in different squares
    assert not used[0, 10]  # of triangles that share no edge


def test_a_diagonal_outside_the_two_triangles_is_no_path():
    """The straight line would leave the surface where it is not convex."""
    vertices = np.array([[0, 0, 0], [1, 0, 0], [2, 1, 0], [2, -1, 0]])
    faces = np.array([[0, 1, 2], [1, 0, 3]])
    graph = geodesic_graph(vertices, faces).toarray()
    assert graph[2, 3] == 0
    vertices[2:, 0] = [0, 1]
    assert geodesic_graph(vertices, faces).toarray()[2, 3] > 0


def test_the_shorter_of_an_edge_and_a_diagonal():
    """Of a closed tetrahedron each diagonal is an edge as well."""
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    graph = geodesic_graph(vertices, faces).toarray()
    straight = np.linalg.norm(vertices[:, None] - vertices, axis=2)
    assert np.allclose(graph, straight)


def test_components_are_joined_by_the_shortest_line():
    one = _grid(4)
    beside = one.vertices + np.array([1.5, 0, 0])
    vertices = np.concatenate([one.vertices, beside])
    faces = np.concatenate([one.mesh_faces, one.mesh_faces + 16])
    far = np.array([[0, 5, 0]])  # a vertex without faces
    graph = geodesic_graph(np.concatenate([vertices, far]), faces)
    found = dijkstra(graph)
    assert np.isclose(found[3, 16], 0.5)
    assert np.isclose(found[12, 32], 4)
    assert np.isfinite(found).all()


@pytest.mark.parametrize('landmarks', [None, 30])
def test_as_many_processes_as_one_likes(landmarks, cache_dir):
    surface = ellipsoid()
    settings = ComputedDistances(landmarks=landmarks, workers=1)
    path = settings.path(surface)
    settings(surface)
    one = path.read_bytes()
    path.unlink()
    replace(settings, workers=2)(surface)
    assert path.read_bytes() == one
    graph = geodesic_graph(surface.vertices, surface.mesh_faces)
    full = dijkstra(graph)
    values = np.load(path)
    if landmarks is None:
        full = full[np.tril_indices(len(full), -1)]
    else:
        full = full[module.spread_vertices(surface.vertices, landmarks)]
    assert np.array_equal(values, full.astype(np.float16))


def test_computed_once(monkeypatch):
    surface = ellipsoid()
    first = surface.geodesic(0, 100)

    def fail(*args):
        raise AssertionError('computed again')

    monkeypatch.setattr(module, 'compute_distances', fail)
    assert ellipsoid().geodesic(0, 100) == first
    with pytest.raises(AssertionError, match='again'):
        ellipsoid(8).geodesic(0, 100)


def test_an_interrupted_run_leaves_nothing(cache_dir, monkeypatch):
    surface = ellipsoid()
    write = module._write_block

    def interrupted(start, *args):
        if start:
            raise KeyboardInterrupt
        return write(start, *args)

    settings = ComputedDistances(workers=1)
    with monkeypatch.context() as patch:
        patch.setattr(module, '_write_block', interrupted)
        with pytest.raises(KeyboardInterrupt):
            settings(surface)
    assert not list(cache_dir.glob('*.npy'))
    assert not list(cache_dir.glob('.*.partial'))
    assert settings(surface)(0, 1) > 0


def test_more_landmarks_than_vertices_are_all_pairs():
    surface = ellipsoid()
    name = ComputedDistances(landmarks=10**6).path(surface).name
    assert name == ComputedDistances().path(surface).name
    assert name != ComputedDistances(dtype='float32').path(surface).name


def test_landmarks_are_spread_out():
    chosen = module.spread_vertices(_grid(9).vertices, 5)
    assert set(chosen[:4]) == {0, 8, 72, 80}
    assert chosen[4] == 40


def test_wrong_settings():
    with pytest.raises(ValueError, match="float16, float32, got 'int8'"):
        ComputedDistances(dtype='int8')
    with pytest.raises(ValueError, match='landmarks must be positive, got 0'):
        ComputedDistances(landmarks=0)


def test_a_surface_without_a_mesh():
    surface = BodySurface('points', [1, 2], np.zeros((2, 2)), [0, 1])
    with pytest.raises(ValueError, match='points has no vertices'):
        surface.geodesic(0, 1)
