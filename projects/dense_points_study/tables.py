"""The tables of the study, as Markdown."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import product

import numpy as np

from projects.dense_points_study.grid import (
    BALANCED,
    BALANCERS,
    EVERYWHERE,
    IMAGES,
    LOSSES,
    POINTS,
    RATE,
    RATES,
    SHAPES,
    WEIGHTS,
    Cell,
    all_cells,
)
from projects.dense_points_study.results_io import (
    FAILED_BELOW,
    Results,
    num_failed,
    values_of,
)
from projects.study_tools.document import markdown_table
from projects.study_tools.statistics import differences, mean_std, paired

MAIN = ('sum', 'point')
# Key in the result files and heading.
MEASURES = {
    'gpsm_AP': 'AP GPSm',
    'gps_AP': 'AP GPS',
    'part_accuracy': 'right part, %',
    'uv_error': 'UV error',
}


def what_was_run(results: Results) -> str:
    """How many trainings of what kind."""
    seeds = sorted({cell.seed for cell in results})
    missing = len(set(all_cells(seeds)) - results.keys())
    minutes = sum(r['cpu_seconds'] for r in results.values()) / 60
    versions = sorted({r['torch'] for r in results.values()})
    (steps,) = {r['steps'] for r in results.values()}
    diverged = sum(r['diverged_at'] is not None for r in results.values())
    return (
        f'{len(results)} trainings of {steps} steps with seeds '
        f'{", ".join(map(str, seeds))}; of the grid with these seeds '
        f'{missing or "no"} cells are missing. The loss of '
        f'{diverged or "none"} became infinite or not a number; *fails* '
        f'stands for an AP (GPSm) below {FAILED_BELOW:g} with every seed. '
        f'{minutes:.0f} minutes of one '
        f'CPU core in all, torch {", ".join(versions)}. Figures are means '
        'over seeds, +- their standard deviation (n - 1).'
    )


def main_table(results: Results, measure: str) -> str:
    """AP by condition and rate, the sum and the mean below each other."""
    heads = ['images', 'points', 'loss', *(f'lr {rate:g}' for rate in RATES)]
    rows = []
    for images, points, loss in product(IMAGES, POINTS, MAIN):
        row = [str(images), f'x {points:g}', f'`{loss}`']
        row += [
            _value(results, Cell(loss, rate, images, points), measure)
            for rate in RATES
        ]
        rows.append(row)
    return markdown_table(heads, rows)


def one_rate_table(results: Results) -> str:
    """How a loss does if one rate has to serve all conditions."""
    heads = ['loss', 'weight', 'lr', 'failed', 'mean AP', 'worst AP', 'lost']
    rows = []
    tried = [*product(MAIN, RATES), *product(EVERYWHERE, [RATE])]
    for loss, rate in tried:
        settings = [
            Cell(loss, rate, images, points)
            for images, points in product(IMAGES, POINTS)
        ]
        means, lost = [], []
        for setting in settings:
            mean = _mean(results, setting)
            if mean is None:
                continue
            others = [
                _mean(results, replace(setting, loss=other, rate=r))
                for other, r in tried
            ]
            means.append(mean)
            lost.append(max(x for x in others if x is not None) - mean)
        if not means:
            continue
        count = sum(len(values_of(results, s)) for s in settings)
        failed = sum(num_failed(results, s) for s in settings)
        rows.append(
            [
                f'`{loss.split("-")[0]}`',
                f'{LOSSES[loss]["weight"]:g}',
                f'{rate:g}',
                f'{failed} of {count}',
                f'{np.mean(means):.1f}',
                f'{np.min(means):.1f}',
                f'{np.mean(lost):.1f}',
            ]
        )
    return markdown_table(heads, rows)


def weight_table(results: Results) -> str:
    """AP (GPSm) of each weight in each condition, at one rate."""
    losses = ('sum', 'sum-w0.001', 'point', 'point-w3', 'point-w1')
    heads = ['images', 'points', *map(_describe, losses)]
    rows = [
        [
            str(images),
            f'x {points:g}',
            *(
                _value(results, Cell(loss, RATE, images, points), 'gpsm_AP')
                for loss in losses
            ),
        ]
        for images, points in product(IMAGES, POINTS)
    ]
    return markdown_table(heads, rows)


def pair_table(results: Results) -> str:
    """Differences of weights over all conditions and seeds, at one rate."""
    pairs = (
        ('point-w3', 'point'),
        ('point-w3', 'point-w1'),
        ('point-w3', 'sum-w0.001'),
        ('point', 'sum'),
    )
    heads = ['', 'less', 'n', *MEASURES.values()]
    rows = []
    for treated, control in pairs:
        found = {
            measure: _over_conditions(results, treated, control, measure)
            for measure in MEASURES
        }
        if all(found.values()):
            rows.append(
                [
                    _describe(treated),
                    _describe(control),
                    str(len(found['gpsm_AP'])),
                    *(
                        _interval(pairs, _digits(m))
                        for m, pairs in found.items()
                    ),
                ]
            )
    return markdown_table(heads, rows)


def _over_conditions(
    results: Results, treated: str, control: str, measure: str
) -> list[float]:
    """Differences of two losses, of all conditions and seeds."""
    return [
        difference
        for images, points in product(IMAGES, POINTS)
        for difference in differences(
            *(
                values_of(results, Cell(loss, RATE, images, points), measure)
                for loss in (treated, control)
            )
        )
    ]


def _digits(measure: str) -> int:
    return 3 if measure == 'uv_error' else 1


def _interval(pairs: list[float], digits: int) -> str:
    test = paired(pairs)
    text = f'{test.mean:+.{digits}f}'
    if np.isnan(test.p):
        return text
    return f'{text} ({test.low:+.{digits}f} to {test.high:+.{digits}f})'


def gradient_table(results: Results) -> str:
    """The gradient of U at the smallest rate."""
    heads = ['images', 'points', 'points in a step']
    for loss in MAIN:
        heads += [f'`{loss}`: median', '95 % / 5 %']
    rows = []
    for images, points in product(IMAGES, POINTS):
        row = [str(images), f'x {points:g}']
        counts = _train(
            results, Cell('point', min(RATES), images, points), 'uv_num_points'
        )
        row.append(_number(counts, 'median'))
        for loss in MAIN:
            setting = Cell(loss, min(RATES), images, points)
            norms = _train(results, setting, 'grad_norm_u')
            row.append(_number(norms, 'median'))
            # None is what was not a number.
            ratios = [
                norm['p95'] / norm['p05']
                for norm in norms
                if norm['p95'] and norm['p05']
            ]
            row.append(f'{np.mean(ratios):.1f}' if ratios else '-')
        rows.append(row)
    return markdown_table(heads, rows)


def form_table(results: Results) -> str:
    """Other shapes, reductions and weights, against the reference."""
    names = {'point': 'reference: mean over points, `smooth_l1`, weight 10'}
    names |= {name: _describe(name) for name in (*SHAPES, *WEIGHTS)}
    names['sum'] = '`sum`, weight 0.01 (legacy)'
    names['sum-w0.001'] = _describe('sum-w0.001')
    return _compare(
        results, {Cell(loss): name for loss, name in names.items()}.items()
    )


def balancer_table(results: Results) -> str:
    """Balancers against fixed weights."""
    return _compare(
        results,
        [
            (
                Cell(loss, balancer=balancer),
                f'`{balancer}`, weight {LOSSES[loss]["weight"]:g}',
            )
            for loss, balancer in product(BALANCED, BALANCERS)
        ],
    )


def _describe(name: str) -> str:
    form = name.split('-')[0]
    weight = LOSSES[name]['weight']
    return f'`{form}`, weight {weight:g}'


def _compare(results: Results, settings: Iterable[tuple[Cell, str]]) -> str:
    heads = ['', 'n', *MEASURES.values(), 'AP GPSm less reference', 'p']
    base = values_of(results, Cell())
    rows = []
    for setting, name in settings:
        values = values_of(results, setting)
        if not values:
            continue
        row = [name, str(len(values))]
        for measure in MEASURES:
            found = values_of(results, setting, measure).values()
            row.append(_spread(found, _digits(measure)))
        pairs = differences(values, base)
        if setting == Cell() or not pairs:
            row += ['-', '-']
        else:
            test = paired(pairs)
            row.append(f'{test.mean:+.1f}')
            row.append('-' if np.isnan(test.p) else f'{test.p:.2f}')
        rows.append(row)
    return markdown_table(heads, rows)


def _value(results: Results, setting: Cell, measure: str) -> str:
    values = values_of(results, setting, measure)
    if values and num_failed(results, setting) == len(values):
        return '*fails*'
    return _spread(values.values(), 1)


def _mean(results: Results, setting: Cell) -> float | None:
    values = values_of(results, setting)
    return float(np.mean(list(values.values()))) if values else None


def _spread(values: Iterable[float], digits: int) -> str:
    values = list(values)
    if not values:
        return '-'
    mean, std, _ = mean_std(values)
    text = f'{mean:.{digits}f}'
    return text if np.isnan(std) else f'{text} +- {std:.{digits}f}'


def _train(results: Results, setting: Cell, name: str) -> list[dict]:
    """What was logged of trainings that ended."""
    return [
        result['train'][name]
        for cell, result in results.items()
        if cell.setting == setting.setting and result['diverged_at'] is None
    ]


def _number(logged: list[dict], key: str) -> str:
    return f'{np.mean([x[key] for x in logged]):.3g}' if logged else '-'
