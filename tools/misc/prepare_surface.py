"""Check a body surface and compute or convert its geodesic distances.

    python tools/misc/prepare_surface.py
    python tools/misc/prepare_surface.py data/densepose
    python tools/misc/prepare_surface.py mesh.obj --npz mesh.npz

Without a path it is the body that ships. What is computed is kept, so that
training and evaluation start at once. More in docs/body_surface.md.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from mmdense.densepose.surface import (
    BodySurface,
    build_surface,
    write_surface,
)
from mmdense.densepose.surface.parts import (
    GROUP_NAMES,
    GROUP_OF_PART,
    NUM_PARTS,
    OFFICIAL_MEAN_DISTANCES,
    PART_NAMES,
)

ERRORS = (FileNotFoundError, ImportError, OSError, TypeError, ValueError)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool; errors of the user end in one line."""
    args = _parse(argv)
    console = Console(highlight=False, soft_wrap=True)
    try:
        _run(args, console)
    except ERRORS as error:
        sys.exit(f'error: {error}')


def _run(args: argparse.Namespace, console: Console) -> None:
    names = ('landmarks', 'dtype', 'cache_dir', 'workers', 'distances')
    names += ('symmetry',)
    options = {name: getattr(args, name) for name in names}
    if args.group:
        options['groups'] = dict(_group(text) for text in args.group)
    given = {name: value for name, value in options.items() if value}
    surface = build_surface({'path': args.path, **given})
    missing = sorted(set(range(1, NUM_PARTS + 1)) - set(surface.parts))
    faces = 'no' if surface.faces is None else f'{len(surface.faces):,}'
    console.print(
        f'{surface.name}: {surface.num_entries:,} chart entries on '
        f'{surface.num_vertices:,} vertices, {faces} faces'
    )
    if missing:
        text = ', '.join(f'{part} {PART_NAMES[part]}' for part in missing)
        console.print(f'no entries of {text}')
    if surface.faces is not None:
        _print_charts(surface, console)
    _attempt('symmetry', lambda: surface.symmetry, console)
    if args.symmetry_output:
        surface.symmetry.write(args.symmetry_output)
        console.print(f'wrote {args.symmetry_output}')
    start = time.perf_counter()
    if _attempt('distances', lambda: surface.distances, console):
        seconds = time.perf_counter() - start
        path = Path(surface.distances.source)
        size = path.stat().st_size / 1e6
        console.print(f'distances: {path}, {size:.0f} MB, {seconds:.1f} s')
        _print_mean_distances(surface, console)
    if args.npz:
        extra = {'mean_distances': surface.mean_distances}
        mirrored = lambda: surface.entry_mirror  # noqa: E731
        if _attempt('mirror images', mirrored, console):
            extra['vertex_mirror'] = surface.mirror
            extra['chart_mirror'] = surface.entry_mirror
        write_surface(args.npz, surface, **extra)
        console.print(f'wrote {args.npz}')


def _attempt(what: str, get: Callable[[], object], console: Console) -> bool:
    """Whether the surface has it; a surface is of use without."""
    try:
        get()
    except (FileNotFoundError, ValueError) as error:
        console.print(f'no {what}: {error}', style='yellow')
        return False
    return True


def _print_charts(surface: BodySurface, console: Console) -> None:
    """How many faces of each chart are turned over, by area."""
    corners = surface.uv[surface.faces]
    first, second = (
        corners[:, 1] - corners[:, 0],
        corners[:, 2] - corners[:, 0],
    )
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    table = Table()
    for name in ('part', 'name', 'entries', 'faces', 'turned over'):
        table.add_column(name, no_wrap=True)
    for part in surface.parts:
        mine = area[surface.face_part == part]
        total = np.abs(mine).sum()
        # Which way round a chart is seen is up to its maker.
        turned = min(mine[mine > 0].sum(), abs(mine[mine < 0].sum()))
        table.add_row(
            str(part),
            PART_NAMES[part],
            str(np.sum(surface.part == part)),
            str(len(mine)),
            f'{100 * turned / total:.2f} %' if total else '-',
        )
    console.print(table)


def _print_mean_distances(surface: BodySurface, console: Console) -> None:
    table = Table('group', 'mean distance in m', 'DensePose')
    for group, name in enumerate(GROUP_NAMES):
        values = surface.mean_distances[GROUP_OF_PART == group]
        values = values[np.isfinite(values)]
        if group and len(values):
            official = OFFICIAL_MEAN_DISTANCES[group]
            table.add_row(name, f'{values.mean():.3f}', f'{official:.3f}')
    console.print(table)


def _group(text: str) -> tuple[str, int]:
    name, found, part = text.rpartition('=')
    if not found or not part.isdigit():
        raise ValueError(f'--group must be NAME=PART, as belt=2, got {text!r}')
    return name, int(part)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        'path',
        nargs='?',
        help='a .npz or .obj file of a mesh with charts, UV_Processed.mat, '
        'or the folder of the published files; default: the shipped body',
    )
    add(
        '--landmarks',
        type=int,
        metavar='N',
        help='compute distances from N vertices only, not of all pairs',
    )
    add('--dtype', choices=['float16', 'float32'], help='of the distances')
    add('--workers', type=int, metavar='N', help='processes; default: cores')
    add('--cache-dir', metavar='DIR', help='where distances are kept')
    add('--distances', metavar='FILE', help='Pdist_matrix.pkl or .mat')
    add('--symmetry', metavar='FILE', help='UV_symmetry_transforms.mat')
    add(
        '--group',
        nargs='+',
        metavar='NAME=PART',
        help='parts of the groups or materials of an .obj file',
    )
    add(
        '--npz',
        type=Path,
        metavar='FILE',
        help='write the surface with what was computed, but the distances',
    )
    add(
        '--symmetry-output',
        type=Path,
        metavar='FILE',
        help='write the symmetry tables as UV_symmetry_transforms.mat',
    )
    return parser.parse_args(argv)


if __name__ == '__main__':
    main()
