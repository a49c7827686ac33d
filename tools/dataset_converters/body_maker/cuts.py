"""Where the parts of the left half end."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from mmdense.densepose.surface.cutting import cut_along_level

from .half_body import HalfBody
from .numbering import (
    BACK_OF_FRONT,
    HEAD,
    LOWER_ARM_FRONT,
    LOWER_LEG_FRONT,
    TORSO_FRONT,
    UNASSIGNED,
    UPPER_ARM_FRONT,
    UPPER_LEG_FRONT,
)


def cut_into_parts(half: HalfBody, joints: dict[str, np.ndarray]) -> HalfBody:
    """Cut the half at the joints, and torso and limbs into back and front."""
    neck = joints['neck01']
    shoulder, elbow, wrist = (
        joints[f'{name}.L'] for name in ('upperarm01', 'lowerarm01', 'wrist')
    )
    hip, knee, ankle = (
        joints[f'{name}.L'] for name in ('upperleg01', 'lowerleg01', 'foot')
    )
    half = _cut_off(
        half, neck, [0, 0.012, 0], [0, 1, 0.45], 0.2, UNASSIGNED, HEAD
    )
    # Through the armpit, and up to the end of the collar bone.
    half = _cut_off(
        half,
        shoulder,
        [-0.004, -0.08, 0],
        [1, 0.1, 0],
        0.25,
        UNASSIGNED,
        UPPER_ARM_FRONT,
    )
    half = _cut_off(
        half,
        elbow,
        [0, 0, 0],
        _bisector(shoulder, elbow, wrist),
        0.12,
        UPPER_ARM_FRONT,
        LOWER_ARM_FRONT,
    )
    # Along the groin; a strip between the legs stays with the torso.
    half = _cut_off(
        half,
        hip,
        [-0.105, -0.113, 0],
        [0.63, -1, 0.2],
        0.35,
        UNASSIGNED,
        UPPER_LEG_FRONT,
    )
    half = _cut_off(
        half,
        knee,
        [0, 0, 0],
        _bisector(hip, knee, ankle),
        0.15,
        UPPER_LEG_FRONT,
        LOWER_LEG_FRONT,
    )
    half = replace(
        half,
        parts=np.where(half.parts == UNASSIGNED, TORSO_FRONT, half.parts),
    )

    # Half-way between back and front: down the sides of torso and legs, and
    # along the bones of the arms.
    _, y, z = half.positions.T
    body_line = np.interp(
        -y,
        [
            0.15 - shoulder[1],
            -0.1 - hip[1],
            0.15 - hip[1],
            -knee[1],
            -ankle[1],
        ],
        [
            shoulder[2],
            hip[2] + 0.015,
            hip[2] + 0.035,
            knee[2] - 0.01,
            ankle[2],
        ],
    )
    along = (wrist - shoulder) / np.linalg.norm(wrist - shoulder)
    arm_line = np.interp(
        (half.positions - shoulder) @ along,
        [0.1, (elbow - shoulder) @ along, (wrist - shoulder) @ along],
        [shoulder[2], elbow[2], wrist[2]],
    )
    on_arm = np.zeros(len(half.positions), bool)
    on_arm[
        half.faces[np.isin(half.parts, (UPPER_ARM_FRONT, LOWER_ARM_FRONT))]
    ] = True
    line = np.where(on_arm, arm_line, body_line)

    region = np.isin(half.parts, list(BACK_OF_FRONT))
    half, side = _apply_cut(half, z - line, region)
    parts = half.parts.copy()
    for front, back in BACK_OF_FRONT.items():
        parts[(parts == front) & (side < 0)] = back
    return replace(half, parts=parts)


def _bisector(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    return (b - a) / np.linalg.norm(b - a) + (c - b) / np.linalg.norm(c - b)


def _cut_off(
    half: HalfBody,
    joint: np.ndarray,
    offset: Sequence[float],
    normal: Sequence[float] | np.ndarray,
    radius: float,
    part: int,
    beyond: int,
) -> HalfBody:
    """Cut a part with a plane near a joint; what lies beyond is another."""
    point = joint + np.asarray(offset)
    field = (half.positions - point) @ (
        np.asarray(normal) / np.linalg.norm(normal)
    )
    near = np.linalg.norm(half.positions - point, axis=1) < radius
    region = (half.parts == part) & near[half.faces].all(1)
    half, side = _apply_cut(half, field, region)
    # Beyond is all of the part that hangs together with the positive side.
    inside = np.flatnonzero((half.parts == part) & (side >= 0))
    return _grow(half, inside, side, beyond)


def _grow(
    half: HalfBody, inside: np.ndarray, side: np.ndarray, beyond: int
) -> HalfBody:
    edge_faces: dict[tuple[int, int], list[int]] = {}
    for face in inside.tolist():
        corners = half.faces[face].tolist()
        for a, b in zip(corners, corners[1:] + corners[:1], strict=True):
            edge_faces.setdefault((min(a, b), max(a, b)), []).append(face)
    pairs = np.array([p for p in edge_faces.values() if len(p) == 2]).T
    size = len(half.faces)
    graph = sp.coo_array((np.ones(pairs.shape[1]), pairs), (size, size))
    _, piece = connected_components(graph, directed=False)
    seeds = np.unique(piece[np.flatnonzero(side > 0)])
    parts = half.parts.copy()
    grown = inside[np.isin(piece[inside], seeds)]
    parts[grown] = beyond
    return replace(half, parts=parts)


def _apply_cut(
    half: HalfBody, field: np.ndarray, region: np.ndarray
) -> tuple[HalfBody, np.ndarray]:
    cut = cut_along_level(
        half.positions, half.faces, field, region, half.parts
    )
    combination = sp.csr_array(cut.combination @ half.combination)
    positions = cut.combination @ half.positions
    # A vertex is in the middle when all it is made of is.
    middle = cut.combination @ half.middle.astype(float) > 1 - 1e-12
    positions[middle, 0] = 0.0
    new = HalfBody(
        combination=combination,
        positions=positions,
        faces=cut.faces,
        middle=middle,
        parts=half.parts[cut.face_origin],
        seams=half.seams,
    )
    return new, cut.side
