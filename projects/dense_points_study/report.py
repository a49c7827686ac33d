"""Make the tables and plots of the study from its results.

    python projects/dense_points_study/report.py

Writes the part between the markers of docs/dense_points_study.md, and the
plots into docs/images. It takes the results that are there: run it at any
time.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))  # `projects` is not installed

from projects.dense_points_study import tables  # noqa: E402
from projects.dense_points_study.grid import RATE  # noqa: E402
from projects.dense_points_study.plots import (  # noqa: E402
    plot_forms,
    plot_rates,
)
from projects.dense_points_study.results_io import (  # noqa: E402
    Results,
    read_results,
)
from projects.study_tools.document import write_report  # noqa: E402


def main(argv: Sequence[str] | None = None) -> None:
    """Read the results and write the report."""
    write_report(argv, __doc__, HERE, read_results, draw_plots, make_report)


def draw_plots(results: Results, folder: Path) -> None:
    """Draw all plots into a folder."""
    plot_rates(results, folder / 'dense_points_study_rates.png')
    plot_forms(results, folder / 'dense_points_study_forms.png')


def make_report(results: Results) -> str:
    """Everything between the markers."""
    return '\n\n'.join(
        [
            tables.what_was_run(results),
            '### The sum against the mean',
            'Both losses are `smooth_l1`; `sum` has the legacy weight 0.01, '
            '`point` 10: at 1,000 points in a step they are the same. '
            'AP (GPSm):',
            tables.main_table(results, 'gpsm_AP'),
            'AP (GPS):',
            tables.main_table(results, 'gps_AP'),
            '![AP by learning rate](images/dense_points_study_rates.png)',
            '### One learning rate for all',
            'Over the six conditions above: how many trainings failed, '
            'the mean AP (GPSm), that of the worst condition, and how much '
            'is lost on average against the best of these rows in each '
            'condition.',
            tables.one_rate_table(results),
            f'AP (GPSm) in each condition at a learning rate of {RATE:g}:',
            tables.weight_table(results),
            'Differences over these conditions and all seeds, with 95 % '
            'confidence intervals by the paired t-test:',
            tables.pair_table(results),
            '### The gradient of U',
            'Norm of the gradient of the weighted loss of U at the output '
            'of the trunk, at the smallest learning rate: the median step, '
            'and how far steps are apart.',
            tables.gradient_table(results),
            '### Shapes, reductions, weights',
            f'At a learning rate of {RATE:g}, the best one of the reference, '
            'with 8 images and all points; what is steeper would want a '
            'smaller one. `l2` differs from `smooth_l1` only where U or V is '
            'more than 1 off. The UV error is that of points whose part is '
            'right, so rows with fewer of them have it easier. p is of the '
            'paired t-test over seeds; nothing is corrected for the number '
            'of tests.',
            tables.form_table(results),
            '### Balancers',
            'On top of fixed weights: 5 (coarse), 1 (part) and that of U, V.',
            tables.balancer_table(results),
            '![Forms and balancers](images/dense_points_study_forms.png)',
        ]
    )


if __name__ == '__main__':
    main()
