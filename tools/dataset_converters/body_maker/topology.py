"""Pieces, seams and open borders of triangle meshes."""

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components


def pieces(faces: np.ndarray) -> np.ndarray:
    """Number of the connected piece each face belongs to."""
    size = faces.max() + 1
    graph = sp.coo_array(
        (np.ones(faces.size), (faces.ravel(), np.roll(faces, 1, 1).ravel())),
        shape=(size, size),
    )
    _, piece = connected_components(graph, directed=False)
    return np.unique(piece[faces[:, 0]], return_inverse=True)[1]


def island_seams(
    faces: np.ndarray, corners: np.ndarray
) -> set[tuple[int, int]]:
    """Edges inside a texture island with different corners on both sides."""
    seen: dict[tuple[int, int], tuple[int, int]] = {}
    seams = set()
    for face, corner in zip(faces.tolist(), corners.tolist(), strict=True):
        for k in range(3):
            ends = sorted([(face[k], corner[k]), (face[k - 1], corner[k - 1])])
            edge, uv = (ends[0][0], ends[1][0]), (ends[0][1], ends[1][1])
            if seen.setdefault(edge, uv) != uv:
                seams.add(edge)
    return seams


def open_borders(faces: np.ndarray, middle: np.ndarray) -> list[np.ndarray]:
    """Stretches of the border off the plane of symmetry, against the faces.

    Those of the mouth start and end in that plane; eyes are closed loops.
    """
    edges = np.concatenate(
        [faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]
    )
    directed = {(int(a), int(b)) for a, b in edges}
    after = {
        b: a
        for a, b in directed
        if (b, a) not in directed and not (middle[a] and middle[b])
    }
    holes = []
    starts = sorted(set(after) - set(after.values())) + sorted(after)
    for start in starts:
        hole = []
        vertex = start
        while vertex in after:
            hole.append(vertex)
            vertex = after.pop(vertex)
        if hole and vertex != start:
            hole.append(vertex)
        if hole:
            holes.append(np.array(hole))
    return holes


def zip_up(lips: np.ndarray) -> np.ndarray:
    """Join the two halves of an open chain, from its ends to its middle."""
    low, high = 0, len(lips) - 1
    faces = []
    while high - low > 2:
        a, b, c, d = lips[[low, low + 1, high - 1, high]]
        faces += [[a, b, c], [a, c, d]]
        low, high = low + 1, high - 1
    if high - low == 2:
        faces.append(lips[[low, low + 1, high]].tolist())
    return np.array(faces)
