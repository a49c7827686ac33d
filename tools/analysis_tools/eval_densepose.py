"""Score saved detections of dense pose, ours or detectron2's.

    python tools/analysis_tools/eval_densepose.py RESULTS --ann ANN
        --surface data/densepose

RESULTS is a JSON file in the layout of the COCO DensePose challenges, which
`mmdense.DensePoseCocoMetric(outfile_prefix=...)` writes, or the
`coco_densepose_predictions.pth` of detectron2's evaluator. All images of ANN
are evaluated. docs/densepose_evaluation.md explains the numbers.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track

from mmdense.densepose.evaluation.detections import Detections
from mmdense.densepose.evaluation.ground_truth import DensePoseGroundTruth
from mmdense.densepose.evaluation.report import report
from mmdense.densepose.evaluation.results_file import read_results
from mmdense.densepose.evaluation.scorer import DensePoseScorer
from mmdense.densepose.evaluation.summary import Evaluation, evaluate_images
from mmdense.densepose.functional.average_precision import (
    similarity_thresholds,
)
from mmdense.densepose.surface import BodySurface, build_surface
from mmdense.densepose.visualization.evaluation_plots import draw_evaluation

ERRORS = (FileNotFoundError, ImportError, OSError, TypeError, ValueError)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('results', metavar='RESULTS', help='.json or detectron2 .pth')
    add('--ann', required=True, help='annotations, DensePose-COCO format')
    add(
        '--surface',
        required=True,
        help='what they were annotated on: the folder of the published '
        "files, a mesh with charts, 'body' for the one that ships, or "
        "'none' for what can be told without",
    )
    add(
        '--kappa',
        type=float,
        help='one tolerance in metres for all parts; 0.255 in the first '
        "paper (default: the surface's, by part)",
    )
    add(
        '--lowest-threshold',
        type=float,
        default=0.5,
        help='where AP starts (default: 0.5)',
    )
    add(
        '--strict',
        action='store_true',
        help='correct what is wrong in the published evaluator',
    )
    add(
        '--classes',
        nargs='+',
        default=['person'],
        help='categories to evaluate (default: person)',
    )
    add('--out-dir', type=Path, help='folder for metrics.json and pictures')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool; errors of the user end in one line."""
    args = parse_args(argv)
    try:
        surface = load_surface(args.surface)
        evaluation = evaluate(args, surface)
        print(report(evaluation))
        if args.out_dir is not None:
            write(evaluation, surface, args.out_dir)
    except ERRORS as error:
        sys.exit(f'error: {error}')


def load_surface(name: str) -> BodySurface | None:
    if name == 'none':
        return None
    return build_surface(None if name == 'body' else name)


def evaluate(
    args: argparse.Namespace, surface: BodySurface | None
) -> Evaluation:
    if args.kappa is not None and not args.kappa > 0:
        raise ValueError(f'--kappa must be positive metres, got {args.kappa}')
    scorer = DensePoseScorer(
        surface,
        args.kappa,
        similarity_thresholds(args.lowest_threshold),
        strict=args.strict,
    )
    ground_truth = DensePoseGroundTruth(args.ann, args.classes, args.strict)
    detections = read_results(args.results, ground_truth)
    nothing = Detections.empty()
    results = []
    console = Console(stderr=True)
    for image in track(
        ground_truth.image_ids, 'images', console=console, transient=True
    ):
        for category in ground_truth.category_ids:
            people = ground_truth.people(image, category)
            found = detections.get((image, category), nothing)
            try:
                result = scorer.score(image, category, people, found)
            except ValueError as error:
                raise ValueError(f'image {image}: {error}') from error
            results.append(result)
    return evaluate_images(results, scorer, ground_truth.category_ids)


def write(
    evaluation: Evaluation, surface: BodySurface | None, folder: Path
) -> None:
    files = draw_evaluation(evaluation, surface, folder)
    metrics = folder / 'metrics.json'
    metrics.write_text(json.dumps(evaluation.metrics(), indent=2) + '\n')
    print('wrote ' + ', '.join(map(str, [metrics, *files])))


if __name__ == '__main__':
    main()
