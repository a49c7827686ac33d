"""A body with coloured vertices, seen from four sides."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array

from ..surface import BodySurface
from ..synthetic.geometry import VertexNormals, interpolate, unit
from ..synthetic.rasterizer import Fragments, rasterize

#: Sides of the person, as turns about the vertical in degrees.
VIEWS = {'front': 0.0, 'back': 180.0, 'left': -90.0, 'right': 90.0}
#: Drawn so many times as large and averaged, so that edges are smooth.
OVERSAMPLING = 2
_LIGHT = np.array([-0.35, 0.5, 0.8]) / np.linalg.norm([-0.35, 0.5, 0.8])
# How far values spread, metres.
_SPREAD = 0.03
_MOST_STEPS = 50
_LEAST = 1e-3


def spread_over_mesh(
    surface: BodySurface,
    values: NDArray[np.float64],
    weights: NDArray,
) -> NDArray[np.float64]:
    """Weighted means around each vertex, from values that few of them have.

    Args:
        surface: With a mesh.
        values: (V,).
        weights: (V,), 0 for vertices without a value.

    Returns:
        (V,), NaN where nothing is near.

    Raises:
        ValueError: The surface has no mesh.
    """
    faces, count = surface.mesh_faces, surface.num_vertices
    sides = np.concatenate([faces, np.roll(faces, 1, axis=1)]).reshape(-1)
    others = np.concatenate([np.roll(faces, 1, axis=1), faces]).reshape(-1)
    near = coo_array(
        (np.ones(len(sides)), (sides, others)), (count, count)
    ).tocsr()
    near.data[:] = 1
    ends = surface.positions()[sides] - surface.positions()[others]
    edge = float(np.median(np.linalg.norm(ends, axis=1)))
    # A step goes about half an edge each way, and steps add as squares.
    steps = int(np.clip(2 * (_SPREAD / edge) ** 2, 1, _MOST_STEPS))
    degree = np.asarray(near.sum(axis=1)).reshape(-1)
    total = np.asarray(values, dtype=np.float64) * weights
    weight = np.asarray(weights, dtype=np.float64)
    for _ in range(steps):
        # What each hands on is shared among its neighbours.
        total, weight = (
            (x + near @ (x / np.maximum(degree, 1))) / 2
            for x in (total, weight)
        )
    mean = np.full(count, np.nan)
    np.divide(total, weight, out=mean, where=weight > _LEAST)
    return mean


class View(NamedTuple):
    """A body from one side, `OVERSAMPLING` times as large as wanted.

    Attributes:
        seen: Which face of the mesh is seen where.
        body: (H, W) bool, where any is.
        light: (P,) in [0, 1], how much of a lamp beside the viewer falls on
            each pixel of the body.
    """

    seen: Fragments
    body: NDArray[np.bool_]
    light: NDArray[np.floating]


def look_at(surface: BodySurface, degrees: float, height: int) -> View:
    """A body from one side, filling a picture.

    Args:
        surface: With a mesh.
        degrees: Turn of the body about the vertical.
        height: Of the picture, px; its width is what it must be.

    Raises:
        ValueError: The surface has no mesh.
    """
    turn = np.deg2rad(degrees)
    sin, cos = np.sin(turn), np.cos(turn)
    rotation = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    points = _upright(surface.positions().astype(np.float64)) @ rotation.T
    low, high = points.min(axis=0), points.max(axis=0)
    rows = height * OVERSAMPLING
    scale = 0.94 * rows / (high[1] - low[1])
    columns = int((high[0] - low[0]) * scale / OVERSAMPLING * 1.08)
    columns *= OVERSAMPLING
    x, y, z = (points - (low + high) / 2).T * scale
    # From so far away that parallels look parallel.
    pixels = np.stack([columns / 2 + x, rows / 2 - y, 1e6 - z], axis=1)
    faces = surface.mesh_faces
    seen = rasterize(pixels, faces, rows, columns)
    body = seen.triangle >= 0
    normals = interpolate(
        VertexNormals(faces, len(points))(points),
        faces[seen.triangle[body]],
        seen.weights[body],
    )
    return View(seen, body, (unit(normals) @ _LIGHT).clip(0))


def shrink(picture: NDArray) -> NDArray[np.float64]:
    """The picture of a view in the wanted size, by means of pixels."""
    rows, columns, channels = picture.shape
    shape = (rows // OVERSAMPLING, OVERSAMPLING)
    shape += (columns // OVERSAMPLING, OVERSAMPLING, channels)
    return picture.reshape(shape).mean(axis=(1, 3))


def draw_views(
    surface: BodySurface, colors: NDArray, height: int
) -> NDArray[np.uint8]:
    """The body from four sides, beside each other.

    Args:
        surface: With a mesh.
        colors: (V, 3) RGB in [0, 1].
        height: Of the picture, px.

    Returns:
        (height, W, 3) uint8 RGB, on white.

    Raises:
        ValueError: The surface has no mesh.
    """
    views = [_draw(surface, colors, angle, height) for angle in VIEWS.values()]
    return np.concatenate(views, axis=1)


def _draw(
    surface: BodySurface, colors: NDArray, degrees: float, height: int
) -> NDArray[np.uint8]:
    seen, body, light = look_at(surface, degrees, height)
    corners = surface.mesh_faces[seen.triangle[body]]
    picture = np.ones((*body.shape, 3))
    flat = interpolate(colors, corners, seen.weights[body])
    picture[body] = flat * (0.62 + 0.38 * light)[:, None]
    return (255 * shrink(picture)).round().astype(np.uint8)


def _upright(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """With y upwards; in many meshes z is."""
    _, height, depth = points.max(axis=0) - points.min(axis=0)
    if depth <= height:
        return points
    x, y, z = points.T
    return np.stack([x, z, -y], axis=1)
