"""Cut the triangles of a mesh along level sets, and open it along seams.

Borders of parts made of whole triangles are jagged. These run straight
through the triangles instead, and never make slivers: a vertex that lies
close to the line slides onto it.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Cut:
    """A mesh with its level set made of edges.

    Attributes:
        combination: (N', N) sparse, each row adds up to 1: any quantity of
            the old vertices times it gives that of the new ones. Old
            vertices keep their index.
        faces: (F', 3).
        face_origin: (F',) the old face each one is a piece of.
        on_level: (N',) the vertices on the level set.
        side: (F',) -1 or 1, the sign of the field; 0 outside the region.
    """

    combination: sp.csr_array
    faces: Ints
    face_origin: Ints
    on_level: Bools
    side: NDArray[np.int8]


def cut_along_level(
    vertices: Floats,
    faces: Ints,
    field: Floats,
    region: Bools,
    labels: Ints,
    snap: float = 0.3,
) -> Cut:
    """Split the faces of a region along the zero level of a field.

    Args:
        vertices: (N, 3).
        faces: (F, 3).
        field: (N,) values, taken as linear on each edge.
        region: (F,) the faces to cut. Neighbours outside are split where they
            share a split edge, so that the mesh stays whole.
        labels: (F,) faces of different labels have a border between them: its
            vertices, and those of the mesh's own border, only slide along it.
        snap: A vertex nearer to the crossing than this share of an edge
            slides along that edge onto the level set.

    Returns:
        The cut mesh.
    """
    field = field.copy()
    edges, border = _edges_with_border(faces, labels)
    in_region = np.zeros(len(vertices), bool)
    in_region[faces[region]] = True
    region_edges = {
        (min(a, b), max(a, b))
        for face in faces[region].tolist()
        for a, b in zip(face, face[1:] + face[:1], strict=True)
    }
    cuttable = np.array([tuple(e) in region_edges for e in edges.tolist()])
    moves = _snapped(vertices, edges, border, cuttable, field, snap)
    for vertex in moves:
        field[vertex] = 0.0

    crossing = cuttable & (field[edges[:, 0]] * field[edges[:, 1]] < 0)
    n = len(vertices)
    rows = [v for v in range(n) if v not in moves]
    columns, values = list(rows), [1.0] * len(rows)
    for vertex, (other, share) in moves.items():
        rows += [vertex, vertex]
        columns += [vertex, other]
        values += [1 - share, share]
    middle: dict[tuple[int, int], int] = {}
    for a, b in edges[crossing].tolist():
        share = field[a] / (field[a] - field[b])
        middle[a, b] = n + len(middle)
        rows += [middle[a, b]] * 2
        columns += [a, b]
        values += [1 - share, share]
    total = n + len(middle)
    # A snapped vertex has moved before the edges around it are split, but
    # none of these crosses the level any more: one combination is enough.
    combination = sp.csr_array((values, (rows, columns)), shape=(total, n))

    positions = combination @ vertices
    pieces: list[list[int]] = []
    origin: list[int] = []
    for index, face in enumerate(faces.tolist()):
        for piece in _split_face(face, middle, positions):
            pieces.append(piece)
            origin.append(index)
    new_faces, face_origin = np.array(pieces), np.array(origin)
    new_field = np.concatenate([field, np.zeros(len(middle))])
    side = np.sign(new_field[new_faces].sum(1)).astype(np.int8)
    side[~region[face_origin]] = 0
    on_level = new_field == 0
    on_level[:n] &= in_region
    return Cut(combination, new_faces, face_origin, on_level, side)


def open_seams(
    faces: Ints, parts: Ints, seams: set[tuple[int, int]]
) -> tuple[Ints, Ints]:
    """Give each side of a border or a seam its own copies of the vertices.

    Args:
        faces: (F, 3).
        parts: (F,) part of each face; parts share no copies.
        seams: Edges (smaller index, larger index) to open inside a part.

    Returns:
        (F, 3) faces in copies, and (C,) the vertex each copy lies on, ordered
        by part, then vertex.
    """
    corners = np.arange(faces.size).reshape(faces.shape)
    at_edge: dict[tuple[int, int, int], list[int]] = {}
    joined = []
    for index, face in enumerate(faces.tolist()):
        for k in range(3):
            a, b = face[k], face[(k + 1) % 3]
            ends = [int(corners[index, k]), int(corners[index, (k + 1) % 3])]
            key = (min(a, b), max(a, b))
            if key in seams:
                continue
            if a > b:
                ends.reverse()
            other = at_edge.setdefault((*key, int(parts[index])), ends)
            joined += list(zip(other, ends, strict=True))
    pairs = np.array(joined).T
    size = faces.size
    graph = sp.coo_array((np.ones(pairs.shape[1]), pairs), (size, size))
    _, copy = sp.csgraph.connected_components(graph, directed=False)
    _, first = np.unique(copy, return_index=True)
    order = np.lexsort(
        (first, faces.ravel()[first], np.repeat(parts, 3)[first])
    )
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank[copy].reshape(faces.shape), faces.ravel()[first[order]]


def _edges_with_border(faces: Ints, labels: Ints) -> tuple[Ints, Bools]:
    """All edges (E, 2), smaller index first, and which lie on a border."""
    edges = np.sort(
        np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    )
    unique, index, count = np.unique(
        edges, axis=0, return_inverse=True, return_counts=True
    )
    index = index.ravel()
    low = np.full(len(unique), np.iinfo(np.int64).max)
    high = np.full(len(unique), np.iinfo(np.int64).min)
    np.minimum.at(low, index, np.tile(labels, 3))
    np.maximum.at(high, index, np.tile(labels, 3))
    return unique, (count == 1) | (low != high)


def _snapped(
    vertices: Floats,
    edges: Ints,
    border: Bools,
    cuttable: Bools,
    field: Floats,
    snap: float,
) -> dict[int, tuple[int, float]]:
    """Vertices that slide: index -> (end of the edge, share of the way)."""
    on_border = np.bincount(edges[border].ravel(), minlength=len(vertices))
    best: dict[int, tuple[float, int, float]] = {}
    crossing = cuttable & (field[edges[:, 0]] * field[edges[:, 1]] < 0)
    for edge in np.flatnonzero(crossing):
        ends = edges[edge].tolist()
        length = float(np.linalg.norm(vertices[ends[1]] - vertices[ends[0]]))
        for a, b in (ends, ends[::-1]):
            share = float(field[a] / (field[a] - field[b]))
            # A corner of borders (not two border edges) stays where it is.
            free = not on_border[a] or (border[edge] and on_border[a] == 2)
            if share < snap and free:
                move = (share * length, b, share)
                best[a] = min(best.get(a, move), move)
    return {a: (b, share) for a, (_, b, share) in sorted(best.items())}


def _split_face(
    face: list[int], middle: dict[tuple[int, int], int], positions: Floats
) -> list[list[int]]:
    cut = [
        middle.get((min(a, b), max(a, b)))
        for a, b in zip(face, face[1:] + face[:1], strict=True)
    ]
    split = [k for k in range(3) if cut[k] is not None]
    if not split:
        return [face]
    if len(split) == 1:
        k = split[0]
        a, b, c = face[k], face[(k + 1) % 3], face[(k + 2) % 3]
        m = int(cut[k] or 0)
        return [[a, m, c], [m, b, c]]
    # The corner between the two split edges, and the quadrilateral left.
    k = next(k for k in range(3) if cut[k] is None)
    a, b, c = face[k], face[(k + 1) % 3], face[(k + 2) % 3]
    m, q = int(cut[(k + 1) % 3] or 0), int(cut[(k + 2) % 3] or 0)
    first = np.linalg.norm(positions[a] - positions[m])
    second = np.linalg.norm(positions[b] - positions[q])
    if first <= second:
        return [[m, c, q], [a, b, m], [a, m, q]]
    return [[m, c, q], [a, b, q], [b, m, q]]
