import numpy as np
import pytest

from mmdense.densepose.surface.poses import pose_rotations, random_angles
from mmdense.densepose.synthetic.camera import look
from mmdense.densepose.synthetic.rasterizer import has_numba, rasterize

HEIGHT, WIDTH = 40, 52


def random_triangles(seed: int):
    """Large and tiny, overlapping, cut off, behind and flat ones."""
    rng = np.random.default_rng(seed)
    points = rng.uniform((-20, -20, 1), (WIDTH + 20, HEIGHT + 20, 9), (90, 3))
    # Shared corners, so that some edges and depths are equal.
    faces = rng.integers(0, len(points), (120, 3))
    points[:3, 2] = -1
    points[3:30, :2] = np.round(points[3:30, :2]) + 0.5
    points[-30:, :2] = points[-30:, :2] * 0.05 + 20
    return points, faces


def cast_rays(points, faces):
    """The nearest triangle of each pixel, by intersecting rays with planes."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    rays = np.stack((x, y, np.ones_like(x)), -1).reshape(-1, 1, 3)
    # A pinhole at the origin with focal length 1 and pixels of size 1.
    corners = points[faces]
    space = corners.copy()
    space[..., :2] *= corners[..., 2:]
    a, ab, ac = space[:, 0], *(space[:, 1:] - space[:, :1]).swapaxes(0, 1)
    with np.errstate(divide='ignore', invalid='ignore'):
        # Moeller and Trumbore's solution of a + b ab + c ac = t ray.
        across = np.cross(rays, ac)
        volume = (across * ab).sum(-1)
        b = -(across * a).sum(-1) / volume
        turned = np.cross(-a, ab)
        c = (rays * turned).sum(-1) / volume
        t = (ac * turned).sum(-1) / volume
        hit = (b >= 0) & (c >= 0) & (b + c <= 1)
    t = np.where(hit & (corners[..., 2].min(1) > 0), t, np.inf)
    first = t.argmin(1)
    pixel = np.arange(len(first))
    seen = np.isfinite(t[pixel, first])
    b, c = b[pixel, first], c[pixel, first]
    return (
        np.where(seen, first, -1).reshape(HEIGHT, WIDTH),
        np.stack((1 - b - c, b, c), -1).reshape(HEIGHT, WIDTH, 3),
        t[pixel, first].reshape(HEIGHT, WIDTH),
    )


@pytest.mark.parametrize('seed', range(4))
def test_agrees_with_ray_casting(seed):
    points, faces = random_triangles(seed)
    drawn = rasterize(points, faces, HEIGHT, WIDTH, 'numpy')
    triangle, weights, depth = cast_rays(points, faces)
    same = drawn.triangle == triangle
    # Rays that meet an edge may see either side of it.
    assert same.mean() > 0.995
    seen = same & (triangle >= 0)
    assert seen.sum() > 500
    np.testing.assert_allclose(drawn.weights[seen], weights[seen], atol=1e-8)
    np.testing.assert_allclose(drawn.depth[seen], depth[seen], rtol=1e-9)
    assert np.isinf(drawn.depth[drawn.triangle < 0]).all()


@pytest.mark.skipif(not has_numba(), reason='numba is not installed')
@pytest.mark.parametrize('seed', range(4))
def test_numba_and_numpy_are_equal(seed):
    points, faces = random_triangles(seed)
    for one, other in zip(
        rasterize(points, faces, HEIGHT, WIDTH, 'numba'),
        rasterize(points, faces, HEIGHT, WIDTH, 'numpy'),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_of_equally_near_triangles_the_first_is_seen():
    points = np.array([(0, 0, 2), (8, 0, 2), (0, 8, 2)], dtype=float)
    faces = np.array([(0, 1, 2), (1, 2, 0)])
    drawn = rasterize(points, faces, 8, 8, 'numpy')
    assert set(np.unique(drawn.triangle)) == {-1, 0}


def test_chunks_change_nothing(monkeypatch):
    points, faces = random_triangles(0)
    whole = rasterize(points, faces, HEIGHT, WIDTH, 'numpy')
    monkeypatch.setattr('mmdense.densepose.synthetic.rasterizer._CHUNK', 500)
    for one, other in zip(
        whole, rasterize(points, faces, HEIGHT, WIDTH, 'numpy'), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_agrees_with_embree(studio):
    trimesh = pytest.importorskip('trimesh')
    pytest.importorskip('embreex')
    from trimesh.ray.ray_pyembree import RayMeshIntersector

    body, size = studio.body, 160
    angles = random_angles(np.random.default_rng(3), 'walking')
    vertices = body.pose(None, pose_rotations(body, angles))
    vertices = vertices - np.array([0, 0, 2.6], np.float32)
    camera = look(size, size, 1.2 * size, 1.0, pitch=0.05, roll=0.1)
    drawn = rasterize(camera.project(vertices), body.faces, size, size)

    y, x = np.mgrid[:size, :size] + 0.5
    rays = camera.rays(x, y).reshape(-1, 3)
    mesh = trimesh.Trimesh(vertices, body.faces, process=False)
    first = RayMeshIntersector(mesh).intersects_first(
        np.tile(camera.position, (len(rays), 1)), rays
    )
    assert (drawn.triangle >= 0).sum() > 2000
    assert (first.reshape(size, size) == drawn.triangle).mean() > 0.9995


def test_no_such_backend():
    with pytest.raises(ValueError, match="'numba', 'numpy' or None, got 'c'"):
        rasterize(np.zeros((3, 3)), np.zeros((1, 3), int), 4, 4, 'c')
