"""How much faster the evaluation of dense pose is than the usual steps.

    python tools/analysis_tools/benchmark_densepose_eval.py
    python tools/analysis_tools/benchmark_densepose_eval.py
        --surface published-size
    python tools/analysis_tools/benchmark_densepose_eval.py
        --surface data/densepose --ann ANN --results RESULTS

Compares with the steps of the published evaluator, written plainly: one run
for each of GPS, GPSm and mask IoU, and in each, for every pair of a detection
and a person, a search for the vertices of both and a loop over the distances.
Both score the same detections, made up or given, in processes of their own
that take turns; the tables must agree. Loading annotations, detections and
distances is not in the times, though the published evaluator loads the
distances three times; nor are tables that are made once for a process, which
have a line of their own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from densepose_eval_bench import made_up, plain_steps
from process_memory import peak_mib
from rich.console import Console
from rich.table import Table

from mmdense.densepose.evaluation.detections import Detections
from mmdense.densepose.evaluation.ground_truth import DensePoseGroundTruth
from mmdense.densepose.evaluation.results_file import read_results
from mmdense.densepose.evaluation.scorer import DensePoseScorer
from mmdense.densepose.evaluation.summary import evaluate_images
from mmdense.densepose.surface import BodySurface, build_surface

NOTHING = Detections.empty()
ARMS = ('plain', 'ours')


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark; errors of the user end in one line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        '--surface',
        help="default: the body that ships; 'published-size' for a made-up "
        'one with as many entries as the published body',
    )
    add('--ann', help='annotations; default: made up')
    add('--results', help='detections; default: made up')
    add('--images', type=int, default=40, help='how many to make up')
    add('--repeats', type=int, default=2, help='runs of each (default: 2)')
    add('--arm', choices=ARMS, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    try:
        if args.arm is not None:
            print(json.dumps(run_arm(args)))
            return
        if (args.ann is None) != (args.results is None):
            raise ValueError('give both --ann and --results, or neither')
        with tempfile.TemporaryDirectory() as folder:
            if args.surface == 'published-size':
                args.surface = made_up.write_published_size(Path(folder))
            if args.ann is None:
                surface = build_surface(args.surface)
                args.ann, args.results = made_up.write(
                    surface, args.images, Path(folder)
                )
            show(alternate(args))
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f'error: {error}')


def alternate(args: argparse.Namespace) -> dict[str, list[dict]]:
    """Runs of both, in turn, each in a new process."""
    runs: dict[str, list[dict]] = {arm: [] for arm in ARMS}
    for _ in range(args.repeats):
        for arm in ARMS:
            command = [sys.executable, __file__, '--arm', arm]
            for name in ('surface', 'ann', 'results'):
                if getattr(args, name) is not None:
                    command += [f'--{name}', str(getattr(args, name))]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
            if done.returncode:
                raise ValueError(f'{arm} failed, see above')
            runs[arm].append(json.loads(done.stdout.splitlines()[-1]))
    return runs


def run_arm(args: argparse.Namespace) -> dict[str, Any]:
    """Processor times, tables and memory of one of the two."""
    surface = build_surface(args.surface)
    ground_truth = DensePoseGroundTruth(args.ann)
    detections = read_results(args.results, ground_truth)
    detections = {key: d.unpacked() for key, d in detections.items()}
    # Opens files or computes, which both need alike.
    surface.distances(0, 0)
    surface.mean_distances  # noqa: B018
    category = ground_truth.category_ids[0]
    images = [
        (image, detections.get((image, category), NOTHING))
        for image in ground_truth.image_ids
    ]
    before = peak_mib()
    if args.arm == 'plain':
        result = plain_steps.run(surface, args.ann, images)
    else:
        result = run_ours(surface, args.ann, images, category)
    return {**result, 'memory': peak_mib() - before}


def run_ours(
    surface: BodySurface, ann: str, images: list, category: Any
) -> dict[str, Any]:
    """Everything at once, and then the points alone."""
    scorer = DensePoseScorer(surface)
    start = time.process_time()
    none = np.zeros(1, dtype=np.uint8)
    surface.vertex_of_quantized(none, none, none)
    setup = time.process_time() - start
    ground_truth = DensePoseGroundTruth(ann)
    start = time.process_time()
    results = [
        scorer.score(
            image, category, ground_truth.people(image, category), found
        )
        for image, found in images
    ]
    evaluation = evaluate_images(results, scorer, [category])
    total = time.process_time() - start
    # Anew, so that the vertices of people are looked up again.
    ground_truth = DensePoseGroundTruth(ann)
    points = []
    for _ in range(2):
        start = time.process_time()
        pairs = 0
        for image, found in images:
            people = ground_truth.people(image, category)
            best = found.best(20)
            scorer.point_similarities(people, best)
            pairs += len(best.scores) * int((~people.is_ignored).sum())
        points.append(time.process_time() - start)
    return dict(
        setup=setup,
        total=total,
        points=points[0],
        known=points[1],
        pairs=pairs,
        tables=evaluation.tables,
    )


def show(runs: dict[str, list[dict]]) -> None:
    """The best of each, and ratios."""
    plain, ours = (runs[arm] for arm in ARMS)
    difference = max(
        abs(ours[0]['tables'][measure][name] - value)
        for measure, table in plain[0]['tables'].items()
        for name, value in table.items()
    )
    pairs = ours[0]['pairs']
    table = Table(title=f'{pairs} pairs of a detection and a person')
    for name in ('', 'plain steps', 'ours', 'ratio'):
        table.add_column(name, justify='left' if not name else 'right')
    each = 1e6 / max(pairs, 1)
    for what, key, scale, unit in (
        ('points of a pair', 'points', each, 'us'),
        ('the same, people seen before', 'known', each, 'us'),
        ('whole evaluation', 'total', 1.0, 's'),
        ('once for a process', 'setup', 1.0, 's'),
        ('added peak memory', 'memory', 1.0, 'MiB'),
    ):
        first, second = (
            scale * min(run[key] for run in arm) for arm in (plain, ours)
        )
        ratio = f'{first / second:.1f}' if first > 0 and second > 0 else '-'
        table.add_row(
            what, f'{first:.3g} {unit}', f'{second:.3g} {unit}', ratio
        )
    console = Console(highlight=False)
    console.print(table)
    for arm in ARMS:
        spread = ', '.join(f'{run["total"]:.2f}' for run in runs[arm])
        console.print(f'{arm}: {spread} s of processor time')
    console.print(f'largest difference of the tables: {difference:.1e} %')


if __name__ == '__main__':
    main()
