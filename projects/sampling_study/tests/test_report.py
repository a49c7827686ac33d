"""Statistics and tables of results that are made up."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from projects.sampling_study import report, tables
from projects.sampling_study.grid import Cell, all_cells
from projects.sampling_study.results_io import read_results, values_of
from projects.study_tools.document import insert, markers, script_of
from projects.study_tools.statistics import (
    differences,
    mean_std,
    paired,
)


def result(cell, accuracy):
    return dict(
        cell=cell.to_dict(),
        num_classes=3296 if cell.noise == 'conflict' else 2000,
        metrics={
            'accuracy': accuracy,
            'tar@far=0.01': accuracy / 2,
            'tar@far=0.001': accuracy / 4,
        },
        train=dict(num_sampled=200.0, positive_share=0.3),
        cpu_seconds=60.0,
        torch='2.x',
    )


def write(folder, results):
    for each in results:
        path = folder / f'{Cell(**each["cell"]).name}.json'
        path.write_text(json.dumps(each))


def row_of(table, *start):
    rows = [
        [column.strip() for column in line.strip('|').split('|')]
        for line in table.splitlines()
    ]
    found = [row for row in rows if row[: len(start)] == list(start)]
    assert len(found) == 1
    return found[0][len(start) :]


def test_paired_is_the_paired_t_test():
    rng = np.random.default_rng(0)
    a, b = rng.normal(1, 1, 8), rng.normal(0, 1, 8)
    got = paired(a - b)
    expected = stats.ttest_rel(a, b)
    interval = expected.confidence_interval(0.95)
    assert got.p == pytest.approx(expected.pvalue)
    assert (got.low, got.high) == pytest.approx(tuple(interval))
    assert got.mean == pytest.approx((a - b).mean())
    assert got.n == 8


def test_one_value_has_no_spread():
    assert math.isnan(mean_std([3.0])[1])
    assert math.isnan(paired([3.0]).p)
    assert mean_std([1.0, 3.0]) == (2.0, pytest.approx(2**0.5), 2)


def test_differences_are_of_the_same_seed():
    assert differences({0: 5.0, 2: 7.0, 3: 1.0}, {2: 4.0, 0: 3.0}) == [2, 3]


def test_tables_hold_the_means_and_differences_of_the_results(tmp_path):
    full = Cell('clean', 1.0)
    accuracies = {full: [0.92, 0.94], replace(full, rate=0.1): [0.91, 0.91]}
    # Under conflicts sampling helps by 2 points.
    noisy = Cell('conflict', 1.0)
    accuracies[noisy] = [0.80, 0.80]
    accuracies[replace(noisy, rate=0.1)] = [0.82, 0.82]
    write(
        tmp_path,
        [
            result(replace(cell, seed=seed), values[seed])
            for cell, values in accuracies.items()
            for seed in (0, 1)
        ],
    )
    results = read_results(tmp_path)
    assert len(results) == 8
    assert values_of(results, full) == {0: 92.0, 1: 94.0}

    row = row_of(tables.rate_table(results), 'clean', '1')
    assert row[:4] == ['2', '93.0 +- 1.4', '46.5 +- 0.7', '23.2 +- 0.4']
    row = row_of(tables.rate_differences(results), 'clean', '0.1')
    # -1 and -3: mean -2, half width 12.706 * 1.
    assert row[:4] == ['-2.0', '-14.7 to +10.7', '0.295', '2']
    assert row[4] == '0.295'  # one margin: the seeds' means are the pairs
    row = row_of(tables.noise_interaction(results), 'conflict', '0.1')
    assert row[0] == '+4.0'
    row = row_of(
        tables.sampler_table(results), 'conflict', '`cycle`', '`rows`'
    )
    assert row[1:2] + row[4:5] == ['82.0 +- 0.0', 'base']
    row = row_of(tables.sampled_table(results), 'conflict', '3296', '0.1')
    assert row == ['200', '0.30']
    text = tables.what_was_run(results)
    assert '8 trainings, 8 of 1200 steps' in text
    assert f'{2 * 46 - 8} cells are missing' in text


def test_p_by_seed_is_of_the_means_of_the_seeds(tmp_path):
    effects = {('cosface', 0): 0.05, ('arcface', 0): 0.01}
    effects |= {('cosface', 1): 0.02, ('arcface', 1): 0.04}
    effects |= {('cosface', 2): 0.03, ('arcface', 2): 0.07}
    found = []
    for (margin, seed), effect in effects.items():
        full = Cell('flip', 1.0, margin, seed=seed)
        found += [
            result(full, 0.7),
            result(replace(full, rate=0.1), 0.7 + effect),
        ]
    write(tmp_path, found)
    row = row_of(
        tables.rate_differences(read_results(tmp_path)), 'flip', '0.1'
    )
    pairs = stats.ttest_1samp(list(effects.values()), 0).pvalue
    seeds = stats.ttest_1samp([0.03, 0.03, 0.05], 0).pvalue
    assert row[2:5] == [f'{pairs:.3f}', '6', f'{seeds:.3f}']


def test_the_two_choices_apart(tmp_path):
    """`all` costs 4 points, `independent` 1, where both are 6 less."""
    base = Cell('clean', 0.1)
    kinds = {
        ('cycle', 'rows'): 0.90,
        ('cycle', 'all'): 0.86,
        ('independent', 'rows'): 0.89,
        ('independent', 'all'): 0.84,
    }
    write(
        tmp_path,
        [
            result(replace(base, sampler=sampler, update=update), accuracy)
            for (sampler, update), accuracy in kinds.items()
        ],
    )
    table = tables.sampler_effects(read_results(tmp_path))
    # Differences -1 and -2, then -4 and -5.
    assert row_of(table, '`independent` less `cycle`')[0] == '-1.5'
    assert row_of(table, '`all` less `rows`')[0] == '-4.5'
    assert row_of(table, '`all` less `rows`')[3] == '2'


def test_all_of_the_grid_makes_a_report_and_plots(tmp_path):
    rng = np.random.default_rng(0)
    write(
        tmp_path,
        [result(cell, rng.uniform(0.8, 0.9)) for cell in all_cells([0, 1])],
    )
    document = tmp_path / 'study.md'
    begin, end = markers(script_of(report.HERE))
    document.write_text(f'Before.\n{begin}\nold\n{end}\nAfter.')
    args = ['--results', str(tmp_path), '--doc', str(document)]
    report.main(args)
    text = document.read_text()
    assert text.startswith('Before.\n')
    assert text.endswith('\nAfter.')
    assert '\nold\n' not in text
    assert '| 0 | - |' not in text  # no cell is missing
    assert len(list(tmp_path.glob('*.png'))) == 4
    report.main(args)
    assert document.read_text() == text


def test_errors(tmp_path):
    with pytest.raises(SystemExit, match='no result'):
        report.main(['--results', str(tmp_path)])
    with pytest.raises(ValueError, match='once each'):
        insert(' '.join(reversed(markers('x.py'))), 'text', 'x.py')
    (tmp_path / 'a.json').write_text('{"cell": {"colour": 1}}')
    with pytest.raises(ValueError, match=r'a\.json holds no result'):
        read_results(tmp_path)
