"""An ellipsoid with charts whose geometry is known in closed form.

Its long axis is x, the plane of symmetry x = 0. The middle is the torso, in
front (part 2, z > 0) and back (part 1); the caps are the right (3, x < 0) and
the left hand (4), each cut open along one line and at its pole. The chart of
the right hand is stretched, so that a flip changes u as well.
"""

import numpy as np

from mmdense.densepose.surface import BodySurface

AXES = np.array([0.6, 0.3, 0.2])


def ellipsoid(bands=16, segments=24, **options) -> BodySurface:
    """`bands` along x, a multiple of 4; `segments` around it, even."""
    assert bands % 4 == 0
    assert segments % 2 == 0
    # Rings 1..bands - 1, then the two poles.
    t = np.linspace(-1, 1, bands + 1)
    angle = np.arange(segments) / segments
    ring, around = np.meshgrid(np.arange(1, bands), angle, indexing='ij')
    vertices = _position(t[ring.ravel()], around.ravel())
    # Mirror images equal to the last bit.
    half = vertices.reshape(bands - 1, segments, 3)
    half[: bands // 2 - 1] = half[: bands // 2 - 1 : -1] * [-1, 1, 1]
    half[bands // 2 - 1, :, 0] = 0
    right, left = len(vertices), len(vertices) + 1
    poles = [[-AXES[0], 0, 0], [AXES[0], 0, 0]]
    vertices = np.concatenate([vertices, poles])

    def vertex(i, j):
        if i in (0, bands):
            return right if i == 0 else left
        return (i - 1) * segments + j % segments

    corners = []
    for i in range(bands):
        for j in range(segments):
            a, b, c, d = (i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)
            # The diagonals on one side mirror those of the other.
            halves = (
                [(a, b, c), (a, c, d)]
                if i >= bands // 2
                else [(a, b, d), (b, c, d)]
            )
            for triangle in halves:
                if len({vertex(*corner) for corner in triangle}) == 3:
                    corners += [(i, j, *corner) for corner in triangle]
    rows = []
    for i, j, ring_number, place in corners:
        part = _part(i, j, bands, segments)
        share = place / segments
        if ring_number in (0, bands):
            share = (j + 0.5) / segments
        u, v = _chart(part, t[ring_number], share)
        rows.append((part, vertex(ring_number, place), u, v))
    entries, faces = np.unique(np.array(rows), axis=0, return_inverse=True)
    return BodySurface(
        name='ellipsoid',
        part=entries[:, 0].astype(np.uint8),
        uv=entries[:, 2:],
        vertex=entries[:, 1].astype(np.int32),
        vertices=vertices,
        faces=faces.reshape(-1, 3),
        **options,
    )


def true_position(part, u, v):
    """The point of the smooth ellipsoid, float64 (..., 3)."""
    part, u, v = np.broadcast_arrays(part, u, v)
    t = np.select(
        [part < 3, part == 3, part == 4], [u - 0.5, -0.5 - v / 2, 0.5 + v / 2]
    )
    share = np.select(
        [part == 1, part == 2, part == 3, part == 4],
        [0.5 + v / 2, v / 2, u**0.8, u],
    )
    return _position(t, share)


def true_flip(part, u, v):
    """Part, u and v of the mirror image."""
    part, u, v = np.broadcast_arrays(part, u, v)
    flipped = np.select(
        [part < 3, part == 3, part == 4], [1 - u, u**0.8, u**1.25]
    )
    return np.array([0, 1, 2, 4, 3])[part], flipped, v


def _position(t, share):
    radius = np.cos(np.pi / 2 * t)
    angle = 2 * np.pi * share
    unit = [
        np.sin(np.pi / 2 * t),
        radius * np.cos(angle),
        radius * np.sin(angle),
    ]
    return np.stack(unit, axis=-1) * AXES


def _part(i, j, bands, segments):
    if i < bands // 4:
        return 3
    if i >= 3 * bands // 4:
        return 4
    return 2 if j < segments // 2 else 1


def _chart(part, t, share):
    if part < 3:
        return t + 0.5, 2 * share - (part == 1)
    u = share**1.25 if part == 3 else share
    return u, 2 * abs(t) - 1
