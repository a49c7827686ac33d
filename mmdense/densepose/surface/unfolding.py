"""Unfold a disk-like piece of a mesh into the plane without folds.

Tutte's embedding (Tutte, "How to draw a graph", 1963; with the mean value
weights of Floater, 2003) starts from a map that is provably one-to-one; the
iterations of Rabinovich et al., "Scalable Locally Injective Mappings" (2017),
then lower its distortion. They never let a triangle turn over nor the border
cross itself, so the result is one-to-one as well.
"""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import spsolve

from mmdense.densepose.surface.chart_quality import (
    Floats,
    Gradient,
    Ints,
    flat_triangles,
    gradient_operators,
    jacobians,
)

MAX_HALVINGS = 12


def boundary_loop(faces: Ints) -> Ints:
    """The border of a disk-like mesh, in the direction of its faces.

    Args:
        faces: (F, 3) vertex indices, consistently oriented.

    Returns:
        (B,) vertex indices, starting at the smallest.

    Raises:
        ValueError: The mesh is not a disk (one piece, one border, no handle).
    """
    edges = np.concatenate(
        [faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]
    )
    directed = {(int(a), int(b)) for a, b in edges}
    following = {a: b for a, b in directed if (b, a) not in directed}
    num_edges = (len(directed) + len(following)) // 2
    num_vertices = len(np.unique(faces))
    euler = num_vertices - num_edges + len(faces)
    if following:
        loop = [min(following)]
        while (after := following[loop[-1]]) != loop[0]:
            loop.append(after)
            if len(loop) > len(following):
                break
    if not following or len(loop) != len(following) or euler != 1:
        raise ValueError(
            'Only a disk can be unfolded: one piece with one border and no '
            f'handles; got {len(faces)} faces with {len(following)} border '
            f'edges and Euler characteristic {euler} (a disk has 1). Cut the '
            'piece open along a seam first'
        )
    return np.array(loop)


def unfold_disk(
    vertices: Floats,
    faces: Ints,
    on_axis: Ints | None = None,
    max_iterations: int = 200,
    tolerance: float = 1e-5,
) -> Floats:
    """Map a disk-like mesh into the plane, nearly isometric, without folds.

    Minimises the symmetric Dirichlet energy, the mean over the area of
    |J|^2 + |J^-1|^2 with J the Jacobian of each triangle.

    Args:
        vertices: (N, 3) positions, all used by `faces`.
        faces: (F, 3) indices, counter-clockwise seen from outside.
        on_axis: Vertices of one stretch of the border that stay on the line
            u = 0, so that the map and its mirror image fit together.
        max_iterations: At most so many linear solves.
        tolerance: Stop when the energy falls by less than this share.

    Returns:
        (N, 2) coordinates in the unit of `vertices`; areas are positive.

    Raises:
        ValueError: The mesh is not a disk, or `on_axis` is not one stretch
            of its border.
    """
    loop = boundary_loop(faces)
    border = _border_positions(vertices, loop, on_axis)
    uv = _tutte(vertices, faces, loop, border)
    x1, x2, area = flat_triangles(vertices, faces)
    uv *= np.sqrt(area.sum() / _areas(uv, faces).sum())
    gradient = gradient_operators(faces, x1, x2, len(vertices))
    n = len(vertices)
    free = np.ones(2 * n, bool)
    if on_axis is not None:
        free[on_axis] = False
        uv[on_axis, 0] = 0.0
    energy = _energy(gradient, uv, area)
    for _ in range(max_iterations):
        target = _proxy_minimum(gradient, uv, area, np.flatnonzero(free))
        step = target - uv
        longest = min(1.0, 0.9 * _first_flip(uv, step, faces))
        crossing: Ints = np.zeros(0, np.int64)
        for halvings in range(MAX_HALVINGS):
            trial = uv + longest * 0.5**halvings * step
            new = _energy(gradient, trial, area)
            if new < energy:
                crossing = loop[_crossings(trial[loop])]
                if not crossing.size:
                    break
        else:
            if not crossing.size:
                break
            # Here the border lies against itself, and stays.
            free.reshape(2, n)[:, crossing] = False
            continue
        done = energy - new < tolerance * energy
        uv, energy = trial, new
        if done:
            break
    return uv


def _border_positions(
    vertices: Floats, loop: Ints, on_axis: Ints | None
) -> Floats:
    """Where Tutte's border goes: a circle, or a half disk on the axis."""
    if on_axis is None:
        share = _shares(vertices, np.append(loop, loop[0]))[:-1]
        angle = 2 * np.pi * share
        return np.stack([np.cos(angle), np.sin(angle)], 1)
    on = np.isin(loop, on_axis)
    starts = np.flatnonzero(on & ~np.roll(on, 1))
    if len(starts) != 1 or on.sum() != len(on_axis):
        raise ValueError(
            'on_axis must be one stretch of the border; got '
            f'{len(on_axis)} vertices, {on.sum()} of them on the border, in '
            f'{len(starts)} stretches'
        )
    order = np.roll(np.arange(len(loop)), -starts[0])
    straight, round_ = order[: on.sum()], order[on.sum() :]
    positions = np.zeros((len(loop), 2))
    along = _shares(vertices, loop[straight])
    # Counter-clockwise: down the axis, and back over the right half circle.
    positions[straight, 1] = 1 - 2 * along
    arc = np.concatenate([straight[-1:], round_, straight[:1]])
    angle = -np.pi / 2 + np.pi * _shares(vertices, loop[arc])[1:-1]
    positions[round_] = np.stack([np.cos(angle), np.sin(angle)], 1)
    return positions


def _shares(vertices: Floats, path: Ints) -> Floats:
    """Position along a path, from 0 at its start to 1 at its end."""
    steps = np.linalg.norm(np.diff(vertices[path], axis=0), axis=1)
    length = np.concatenate([[0.0], np.cumsum(steps)])
    return length / length[-1]


def _tutte(
    vertices: Floats, faces: Ints, loop: Ints, border: Floats
) -> Floats:
    n = len(vertices)
    rows, columns, weights = [], [], []
    for k in range(3):
        a, b, c = (faces[:, (k + i) % 3] for i in range(3))
        to_b, to_c = vertices[b] - vertices[a], vertices[c] - vertices[a]
        cross = np.linalg.norm(np.cross(to_b, to_c), axis=1)
        half = np.tan(np.arctan2(cross, (to_b * to_c).sum(1)) / 2)
        for other, edge in ((b, to_b), (c, to_c)):
            rows.append(a)
            columns.append(other)
            weights.append(half / np.linalg.norm(edge, axis=1))
    weight = sp.csr_array(
        (
            np.concatenate(weights),
            (np.concatenate(rows), np.concatenate(columns)),
        ),
        shape=(n, n),
    )
    laplacian = sp.diags_array(weight.sum(1)) - weight
    inner = np.setdiff1d(np.arange(n), loop)
    uv = np.zeros((n, 2))
    uv[loop] = border
    system = sp.csc_array(laplacian[inner][:, inner])
    uv[inner] = spsolve(system, -(laplacian[inner][:, loop] @ border))
    return uv


def _areas(uv: Floats, faces: Ints) -> Floats:
    p, q = uv[faces[:, 1]] - uv[faces[:, 0]], uv[faces[:, 2]] - uv[faces[:, 0]]
    return (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]) / 2


def _energy(gradient: Gradient, uv: Floats, area: Floats) -> float:
    jacobian = jacobians(gradient, uv)
    det = np.linalg.det(jacobian)
    if det.min() <= 0:
        return np.inf
    squares = (jacobian**2).sum((1, 2))
    # |J^-1|^2 = |J|^2 / det^2 for 2 x 2 matrices.
    return float((area * squares * (1 + det**-2)).sum() / area.sum())


def _proxy_minimum(
    gradient: Gradient,
    uv: Floats,
    area: Floats,
    columns: Ints,
) -> Floats:
    """Minimise sum of area * |W (J - R)|^2 (eq. 9 of the SLIM paper).

    R is the rotation nearest to J; W makes the gradient at the present map
    that of the symmetric Dirichlet energy.
    """
    left, sigma, right = np.linalg.svd(jacobians(gradient, uv))
    # With det J > 0 both factors are rotations, or both reflections.
    rotation = left @ right
    near = np.abs(sigma - 1) < 1e-6
    safe = np.where(near, 2.0, sigma)
    weight = np.where(near, 4.0, (safe - safe**-3) / (safe - 1))
    w = (left * np.sqrt(weight)[:, None, :]) @ left.transpose(0, 2, 1)
    w *= np.sqrt(area / area.sum())[:, None, None]
    dx, dy = gradient
    system = sp.vstack(
        [
            sp.hstack([sp.diags_array(w[:, i, j]) @ d for j in range(2)])
            for i in range(2)
            for d in (dx, dy)
        ],
        format='csc',
    )
    wanted = w @ rotation
    right_side = np.concatenate(
        [wanted[:, i, k] for i in range(2) for k in range(2)]
    )
    reduced = system[:, columns]
    x = uv.T.ravel().copy()
    normal = (reduced.T @ reduced).tocsc()
    # Keeps the system regular: the energy does not see a translation.
    pull = 1e-6 * normal.diagonal().mean()
    normal = normal + pull * sp.eye_array(len(columns), format='csc')
    x[columns] = spsolve(normal, reduced.T @ right_side + pull * x[columns])
    return x.reshape(2, -1).T


def _crossings(loop: Floats) -> NDArray[np.int64]:
    """The corners of a closed polygon (B, 2) whose sides cross others."""
    start, end = loop, np.roll(loop, -1, axis=0)

    def side(points: Floats) -> Floats:
        """Which side of each side (rows) each point (columns) lies on."""
        edge = (end - start)[:, None]
        to_point = points[None] - start[:, None]
        return (
            edge[..., 0] * to_point[..., 1] - edge[..., 1] * to_point[..., 0]
        )

    from_start, from_end = side(start), side(end)
    # Neighbours share a corner: the product is zero there, not negative.
    apart = from_start * from_end < 0
    first = np.flatnonzero((apart & apart.T).any(1))
    return np.union1d(first, (first + 1) % len(loop))


def _first_flip(uv: Floats, step: Floats, faces: Ints) -> float:
    """The smallest positive t at which a triangle of uv + t step is flat."""
    p, q = (uv[faces[:, k]] - uv[faces[:, 0]] for k in (1, 2))
    dp, dq = (step[faces[:, k]] - step[faces[:, 0]] for k in (1, 2))

    def cross(a: Floats, b: Floats) -> Floats:
        return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]

    a, b, c = cross(dp, dq), cross(p, dq) + cross(dp, q), cross(p, q)
    root = np.sqrt(np.maximum(b * b - 4 * a * c, 0))
    real = b * b - 4 * a * c >= 0
    # The stable form of the quadratic formula; c > 0 throughout.
    half = -(b + np.where(b >= 0, root, -root)) / 2
    with np.errstate(divide='ignore', invalid='ignore'):
        times = np.stack([half / a, c / half])
    times = np.where(real & (times > 0), times, np.inf)
    return float(np.nanmin(times, initial=np.inf))
