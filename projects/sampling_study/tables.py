"""The tables of the study, as Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from projects.sampling_study.grid import (
    LONG_NOISES,
    LONG_STEPS,
    MARGINS,
    NOISES,
    RATES,
    SAMPLERS,
    STEPS,
    UPDATES,
    Cell,
    all_cells,
    sampler_cells,
)
from projects.sampling_study.results_io import Results, values_of
from projects.study_tools.document import markdown_table
from projects.study_tools.statistics import (
    differences,
    mean_std,
    paired,
)

# Key in the result files and heading.
MEASURES = {
    'accuracy': 'accuracy',
    'tar@far=0.01': 'TAR@FAR=0.01',
    'tar@far=0.001': 'TAR@FAR=0.001',
}
# Those that are tested; of 6,000 impostors, 0.001 are six.
TESTED = ('accuracy', 'tar@far=0.01')
LOWER_RATES = (0.3, 0.1, 0.01)


def what_was_run(results: Results) -> str:
    """How many trainings of what kind."""
    short = sum(cell.steps == STEPS for cell in results)
    seeds = sorted({cell.seed for cell in results})
    missing = len(set(all_cells(seeds)) - results.keys())
    minutes = sum(r['cpu_seconds'] for r in results.values()) / 60
    versions = sorted({r['torch'] for r in results.values()})
    return (
        f'{len(results)} trainings, {short} of {STEPS} steps and '
        f'{len(results) - short} of {LONG_STEPS}, with seeds '
        f'{", ".join(map(str, seeds))}; of the grid with these seeds '
        f'{missing or "no"} cells are missing. n is the number of seeds or '
        f'pairs. {minutes:.0f} minutes of one CPU core in all, torch '
        f'{", ".join(versions)}. Figures are percent on clean pairs of unseen '
        'identities, after the last step; +- is the standard deviation over '
        'seeds (n - 1).'
    )


def rate_table(results: Results) -> str:
    """Sample rate x labels x margin."""
    heads = ['labels', 'rate']
    for margin in MARGINS:
        heads += ['n', *(f'{margin}: {name}' for name in MEASURES.values())]
    rows = []
    for noise, rate in product(NOISES, sorted(RATES, reverse=True)):
        row = [noise, f'{rate:g}']
        for margin in MARGINS:
            row += _means(results, Cell(noise, rate, margin))
        rows.append(row)
    return markdown_table(heads, rows)


def rate_differences(results: Results) -> str:
    """What a sample rate changes against all classes, in pairs."""
    rows = []
    for noise, rate in product(NOISES, LOWER_RATES):
        row = [noise, f'{rate:g}']
        for measure in TESTED:
            effects = _rate_effects(results, noise, rate, measure)
            row += _test_twice(effects)
        rows.append(row)
    return markdown_table(['labels', 'rate', *_tested_heads()], rows)


def noise_interaction(results: Results) -> str:
    """Is the effect of a sample rate another one under noise?"""
    rows = []
    for noise, rate in product(list(NOISES)[1:], LOWER_RATES):
        row = [noise, f'{rate:g}']
        for measure in TESTED:
            noisy, clean = (
                _rate_effects(results, labels, rate, measure)
                for labels in (noise, 'clean')
            )
            both = noisy.keys() & clean.keys()
            row += _test_twice({k: noisy[k] - clean[k] for k in sorted(both)})
        rows.append(row)
    return markdown_table(['labels', 'rate', *_tested_heads()], rows)


def sampler_table(results: Results) -> str:
    """Sampler x update rule."""
    rows = []
    for noise in ('clean', 'conflict'):
        base = Cell(noise, 0.1)
        for sampler, update in product(SAMPLERS, UPDATES):
            cell = replace(base, sampler=sampler, update=update)
            row = [noise, f'`{sampler}`', f'`{update}`']
            rows.append(row + _compared(results, cell, base))
    return markdown_table(
        ['labels', 'sampler', 'update', *_compared_heads()], rows
    )


def sampler_effects(results: Results) -> str:
    """Each of the two choices alone, over labels, seeds and the other one."""
    seeds = sorted({cell.seed for cell in results})
    cells = [cell for seed in seeds for cell in sampler_cells(seed)]
    rows = []
    for choice, (base, other) in dict(
        sampler=SAMPLERS, update=UPDATES
    ).items():
        row = [f'`{other}` less `{base}`']
        for measure in TESTED:
            effects = {}
            for cell in cells:
                twin = replace(cell, **{choice: base})
                if cell != twin and cell in results and twin in results:
                    value, without = (
                        100 * results[c]['metrics'][measure]
                        for c in (cell, twin)
                    )
                    effects[cell.name, cell.seed] = value - without
            row += _test_twice(effects)
        rows.append(row)
    return markdown_table(['', *_tested_heads()], rows)


def filter_table(results: Results) -> str:
    """The inter-class filter under conflicts."""
    rows = []
    for rate, threshold in product((1.0, 0.1), (None, 0.4)):
        base = Cell('conflict', rate)
        cell = replace(base, filter_threshold=threshold)
        row = [f'{rate:g}', 'off' if threshold is None else f'{threshold}']
        rows.append(row + _compared(results, cell, base))
    return markdown_table(['rate', 'filter', *_compared_heads()], rows)


def long_table(results: Results) -> str:
    """A tenth against all classes, for two lengths of training."""
    rows = []
    for noise, steps, rate in product(
        LONG_NOISES, (STEPS, LONG_STEPS), (1.0, 0.1)
    ):
        base = Cell(noise, 1.0, steps=steps)
        row = [noise, f'{steps}', f'{rate:g}']
        rows.append(row + _compared(results, replace(base, rate=rate), base))
    return markdown_table(
        ['labels', 'steps', 'rate', *_compared_heads()], rows
    )


def sampled_table(results: Results) -> str:
    """How many classes a step had."""
    rows = []
    for noise, rate in product(NOISES, sorted(RATES, reverse=True)):
        found = [
            result
            for cell, result in results.items()
            if (cell.noise, cell.rate) == (noise, rate)
        ]
        if not found:
            continue
        sampled, share = (
            np.mean([result['train'][key] for result in found])
            for key in ('num_sampled', 'positive_share')
        )
        classes = str(found[0]['num_classes'])
        rows.append(
            [noise, classes, f'{rate:g}', f'{sampled:.0f}', f'{share:.2f}']
        )
    heads = ['labels', 'classes', 'rate', 'in a step', 'share in the batch']
    return markdown_table(heads, rows)


def _rate_effects(
    results: Results, noise: str, rate: float, measure: str
) -> dict[tuple[str, int], float]:
    """A rate less all classes, by margin and seed."""
    effects = {}
    for margin in MARGINS:
        full = values_of(results, Cell(noise, 1.0, margin), measure)
        part = values_of(results, Cell(noise, rate, margin), measure)
        for seed in sorted(full.keys() & part.keys()):
            effects[margin, seed] = part[seed] - full[seed]
    return effects


def _means(results: Results, cell: Cell) -> list[str]:
    """Number of seeds, and mean and spread of each measure."""
    columns = []
    for measure in MEASURES:
        values = values_of(results, cell, measure)
        if not values:
            return ['0', *['-'] * len(MEASURES)]
        mean, std, n = mean_std(values.values())
        columns.append(f'{mean:.1f}' + f' +- {std:.1f}' * (n > 1))
    return [str(n), *columns]


def _compared_heads() -> list[str]:
    return ['n', *MEASURES.values(), 'accuracy less base', '95 %', 'p']


def _compared(results: Results, cell: Cell, base: Cell) -> list[str]:
    """The means of a cell and its accuracy less that of its base."""
    if cell == base:
        return [*_means(results, cell), 'base', '', '']
    found = differences(values_of(results, cell), values_of(results, base))
    return [*_means(results, cell), *_test(found)[:3]]


def _tested_heads() -> list[str]:
    heads = []
    for measure in TESTED:
        heads += [MEASURES[measure], '95 %', 'p', 'n', 'p by seed']
    return heads


def _test_twice(effects: Mapping[tuple[str, int], float]) -> list[str]:
    """The test over all effects, and p over their means by seed.

    Args:
        effects: By what they are of, and seed.
    """
    by_seed: dict[int, list[float]] = {}
    for (_, seed), effect in effects.items():
        by_seed.setdefault(seed, []).append(effect)
    means = [float(np.mean(found)) for found in by_seed.values()]
    return [*_test(list(effects.values())), _test(means)[2]]


def _test(found: Sequence[float]) -> list[str]:
    """Mean, confidence interval, p and number of differences."""
    if not found:
        return ['-', '-', '-', '0']
    test = paired(found)
    if test.n == 1:
        return [f'{test.mean:+.1f}', '-', '-', '1']
    return [
        f'{test.mean:+.1f}',
        f'{test.low:+.1f} to {test.high:+.1f}',
        '< 0.001' if test.p < 0.001 else f'{test.p:.3f}',
        str(test.n),
    ]
