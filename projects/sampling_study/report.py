"""Make the tables and plots of the study from its results.

    python projects/sampling_study/report.py

Writes the part between the markers of docs/sampling_study.md, and the plots
into docs/images. It takes the results that are there: run it at any time.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))  # `projects` is not installed

from projects.sampling_study import tables  # noqa: E402
from projects.sampling_study.plots import (  # noqa: E402
    plot_differences,
    plot_long,
    plot_rates,
    plot_samplers,
)
from projects.sampling_study.results_io import (  # noqa: E402
    Results,
    read_results,
)
from projects.study_tools.document import write_report  # noqa: E402


def main(argv: Sequence[str] | None = None) -> None:
    """Read the results and write the report."""
    write_report(argv, __doc__, HERE, read_results, draw_plots, make_report)


def draw_plots(results: Results, folder: Path) -> None:
    """Draw all plots into a folder."""
    plot_rates(results, folder / 'sampling_study_rates.png')
    plot_differences(results, folder / 'sampling_study_differences.png')
    plot_long(results, folder / 'sampling_study_steps.png')
    plot_samplers(results, folder / 'sampling_study_samplers.png')


def make_report(results: Results) -> str:
    """Everything between the markers."""
    return '\n\n'.join(
        [
            tables.what_was_run(results),
            '### All classes against a sample',
            tables.rate_table(results),
            '![Accuracy by sample rate](images/sampling_study_rates.png)',
            '### What a sample rate changes',
            'A sample rate less all classes, with the same labels, margin and '
            'seed, in percentage points: mean, 95 % confidence interval and '
            'p of the paired t-test over margins and seeds. Pairs of one '
            'seed share weights and noise, so they are less independent than '
            'this test takes them to be; p by seed is of the means of the '
            'seeds, which are independent but few. Nothing is corrected for '
            'the number of tests.',
            tables.rate_differences(results),
            '![A sample rate less all classes]'
            '(images/sampling_study_differences.png)',
            '### Does sampling help against noise?',
            'The difference above under noise, less the same difference on '
            'clean labels. Above 0, sampling does better under this noise '
            'than on clean labels; whether it does better than all classes '
            'is in the table above.',
            tables.noise_interaction(results),
            '### Sampler and update rule',
            'CosFace at a rate of 0.1; the base is the default, `cycle` and '
            '`rows`.',
            tables.sampler_table(results),
            'The two choices apart, in pairs that differ in one of them alone '
            '(same labels, seed and other choice):',
            tables.sampler_effects(results),
            '![Samplers and update rules](images/sampling_study_samplers.png)',
            '### The inter-class filter',
            'CosFace under conflicts; 0.4 is the published threshold. The '
            'base is no filter at the same rate.',
            tables.filter_table(results),
            '### Three times as long',
            'CosFace; the base is all classes with as many steps.',
            tables.long_table(results),
            '![Accuracy by number of steps](images/sampling_study_steps.png)',
            '### What a step sees',
            'Classes in a step and the share of them that has an image in the '
            'batch (mean of the last 200 steps).',
            tables.sampled_table(results),
        ]
    )


if __name__ == '__main__':
    main()
