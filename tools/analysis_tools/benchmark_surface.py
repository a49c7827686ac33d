"""Speed of the look-ups of a body surface, and accuracy of its geodesics.

    python tools/analysis_tools/benchmark_surface.py [PATH]

Look-ups are compared with the plain search of the DensePose evaluator, side
by side on the same points; geodesics with exact ones if pygeodesic is
installed, and distances by landmarks with those of all pairs.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.sparse.csgraph import dijkstra
from scipy.spatial.distance import cdist

from mmdense.densepose.surface import (
    BodySurface,
    ComputedDistances,
    build_surface,
)
from mmdense.densepose.surface.geodesics import geodesic_graph

POINTS = 100_000
SLOW_POINTS = 2_000


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark; errors of the user end in one line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('path', nargs='?', help='as of prepare_surface.py; the shipped body')
    add('--sources', type=int, default=12, help='of exact geodesics')
    add(
        '--landmarks',
        type=int,
        nargs='*',
        default=[500, 1000, 2000, 4000],
        help='numbers to compare with all pairs',
    )
    args = parser.parse_args(argv)
    console = Console(highlight=False)
    try:
        surface = build_surface(args.path)
        time_lookups(surface, console)
        if surface.faces is not None and surface.vertices is not None:
            compare_geodesics(surface, args.sources, console)
            compare_landmarks(surface, args.landmarks, console)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f'error: {error}')


def time_lookups(surface: BodySurface, console: Console) -> None:
    """Queries a second: best of three, processor time of one process."""
    rng = np.random.default_rng(0)
    part = rng.choice(surface.parts, POINTS)
    quantized = rng.integers(0, 256, (2, POINTS), dtype=np.uint8)
    u, v = quantized / 255.0
    pair = rng.integers(0, surface.num_vertices, (2, POINTS))
    few = slice(SLOW_POINTS)
    calls: dict[str, tuple[Callable[[], object], int]] = {
        'vertex_of_quantized': (
            lambda: surface.vertex_of_quantized(part, *quantized),
            POINTS,
        ),
        'vertex_of': (lambda: surface.vertex_of(part, u, v), POINTS),
        'plain search': (
            lambda: plain_search(surface, part[few], u[few], v[few]),
            SLOW_POINTS,
        ),
        'geodesic': (lambda: surface.geodesic(*pair), POINTS),
    }
    if surface.faces is not None and surface.vertices is not None:
        calls['position_of'] = (
            lambda: surface.position_of(part, u, v),
            POINTS,
        )
    table = Table('look-up', 'first call', 'queries a second')
    for name, (call, count) in calls.items():
        first, *others = (_seconds(call) for _ in range(4))
        rate = count / max(min(others), 1e-9)
        table.add_row(name, f'{first:.2f} s', f'{rate:,.0f}')
    console.print(table)
    same = np.array_equal(
        plain_search(surface, part[few], u[few], v[few]),
        surface.vertex_of_quantized(part[few], *quantized[:, few]),
    )
    console.print(f'vertices equal to those of the plain search: {same}')


def plain_search(
    surface: BodySurface, part: np.ndarray, u: np.ndarray, v: np.ndarray
) -> np.ndarray:
    """Distances to all entries of the part, and the smallest of them."""
    found = np.empty(len(part), dtype=np.int64)
    for number in np.unique(part):
        entries = np.flatnonzero(surface.part == number)
        mine = part == number
        points = np.stack([u[mine], v[mine]], axis=1)
        nearest = cdist(points, surface.uv[entries]).argmin(axis=1)
        found[mine] = surface.vertex[entries[nearest]]
    return found


def compare_geodesics(
    surface: BodySurface, count: int, console: Console
) -> None:
    """Time of a source, and errors against exact geodesics."""
    vertices = surface.positions().astype(np.float64)
    graph = geodesic_graph(vertices, surface.mesh_faces)
    sources = np.linspace(0, len(vertices) - 1, count, dtype=int)
    start = time.process_time()
    ours = dijkstra(graph, indices=sources)
    each = (time.process_time() - start) / count
    console.print(
        f'geodesics: {each * 1e3:.1f} ms a source, all '
        f'{len(vertices):,} {each * len(vertices):.0f} s on one core'
    )
    try:
        from pygeodesic.geodesic import PyGeodesicAlgorithmExact
    except ImportError:
        console.print('pygeodesic is not installed: not compared')
        return
    algorithm = PyGeodesicAlgorithmExact(vertices, surface.mesh_faces)
    start = time.process_time()
    exact = np.stack(
        [algorithm.geodesicDistances(np.array([s]), None)[0] for s in sources]
    )
    each = (time.process_time() - start) / count
    error = ours - exact
    far = np.isfinite(exact) & (exact > 0.02) & (exact < 10)
    console.print(
        f'against exact ones ({each * 1e3:.0f} ms a source): '
        f'{100 * (error[far] / exact[far]).mean():.2f} % longer on average, '
        f'{1e3 * error[far].mean():.1f} mm, at most '
        f'{1e3 * error[far].max():.1f} mm'
    )


def compare_landmarks(
    surface: BodySurface, numbers: Sequence[int], console: Console
) -> None:
    """Errors in millimetres of distances by way of landmarks."""
    rng = np.random.default_rng(0)
    pair = rng.integers(0, surface.num_vertices, (2, POINTS))
    with tempfile.TemporaryDirectory() as folder:
        all_pairs = ComputedDistances(cache_dir=folder)
        size, exact = _file_size(all_pairs, surface), all_pairs(surface)(*pair)
        console.print(f'all pairs: {size / 1e6:.0f} MB')
        table = Table('landmarks', 'MB', 'mean mm', '95 %', 'max')
        for number in numbers:
            few = ComputedDistances(landmarks=number, cache_dir=folder)
            error = 1e3 * np.abs(few(surface)(*pair) - exact)
            table.add_row(
                f'{number:,}',
                f'{_file_size(few, surface) / 1e6:.0f}',
                f'{error.mean():.1f}',
                f'{np.quantile(error, 0.95):.1f}',
                f'{error.max():.1f}',
            )
        console.print(table)


def _file_size(settings: ComputedDistances, surface: BodySurface) -> int:
    settings(surface)
    return settings.path(surface).stat().st_size


def _seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


if __name__ == '__main__':
    main()
