"""Tables of made-up results, counted by hand."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from projects.dense_points_study import report, tables
from projects.dense_points_study.grid import RATE, RATES, Cell, all_cells
from projects.dense_points_study.results_io import read_results
from projects.study_tools.document import markers, script_of


def result(cell: Cell, ap: float | None, **train) -> dict:
    """Of a training that ended with this AP, or diverged."""
    spread = dict(median=1.0, p05=0.5, p95=2.0, max=3.0, last=1.0)
    metrics = dict(part_accuracy=50.0, uv_error=0.2)
    if ap is not None:
        metrics.update(gpsm_AP=ap, gps_AP=ap / 2)
    return dict(
        cell=cell.to_dict(),
        steps=400,
        data='0d',
        start='0e',
        diverged_at=7 if ap is None else None,
        metrics={} if ap is None else metrics,
        train={
            'grad_norm_u': {**spread, **train},
            'uv_num_points': {**spread, 'median': 900.0},
        },
        cpu_seconds=30.0,
        torch='2.11.0',
    )


def write(folder, results: list[dict]) -> None:
    for entry in results:
        name = Cell(**entry['cell']).name
        (folder / f'{name}.json').write_text(json.dumps(entry))


def row_of(table: str, *cells: str) -> list[str]:
    """The other cells of the row that begins so."""
    begin = '| ' + ' | '.join(cells) + ' |'
    (line,) = (x for x in table.splitlines() if x.startswith(begin))
    return line.removeprefix(begin).strip(' |').split(' | ')


@pytest.fixture
def results(tmp_path):
    """Two conditions at two rates; the sum diverges at the higher one."""
    low, high = RATES[0], RATES[-1]
    entries = []
    for seed, shift in enumerate((-1.0, 1.0)):
        for loss, at_low, at_high in (
            # One is not a number any more, one finds nobody.
            ('sum', 10.0, None if seed else 0.0),
            ('point', 12.0, 20.0),
        ):
            entries += [
                result(Cell(loss, low, 2, 1.0, seed=seed), at_low + shift),
                result(
                    Cell(loss, high, 2, 1.0, seed=seed),
                    at_high + shift if at_high else at_high,
                ),
            ]
        entries.append(result(Cell(seed=seed), 30.0 + shift))
        entries.append(result(Cell('joint', seed=seed), 33.0 + 2 * shift))
        entries.append(
            result(Cell(balancer='dwa', seed=seed), 28.0 if seed else None)
        )
    write(tmp_path, entries)
    return read_results(tmp_path)


def test_main_table(results):
    table = tables.main_table(results, 'gpsm_AP')
    at_sum = row_of(table, '2', 'x 1', '`sum`')
    at_point = row_of(table, '2', 'x 1', '`point`')
    assert at_sum[0] == '10.0 +- 1.4'
    assert at_sum[-1] == '*fails*'
    assert at_point[-1] == '20.0 +- 1.4'
    assert row_of(table, '8', 'x 5', '`sum`') == ['-'] * len(RATES)
    halved = tables.main_table(results, 'gps_AP')
    assert row_of(halved, '2', 'x 1', '`sum`')[0] == '5.0 +- 0.7'


def test_one_rate(results):
    """Cells that are missing are left out; what diverged counts as 0."""
    table = tables.one_rate_table(results)
    high = f'{RATES[-1]:g}'
    found = row_of(table, '`sum`', '0.01', high)
    assert found == ['2 of 2', '0.0', '0.0', '20.0']
    assert row_of(table, '`point`', '10', high)[:2] == ['0 of 2', '20.0']
    low = f'{RATES[0]:g}'
    found = row_of(table, '`sum`', '0.01', low)
    assert found == ['0 of 2', '10.0', '10.0', '10.0']


def test_weights(tmp_path):
    write(
        tmp_path,
        [
            result(Cell(loss, RATE, 2, 5.0, seed=seed), ap + seed)
            for seed in (0, 1)
            for loss, ap in (('sum', 0.0), ('sum-w0.001', 3.0), ('point', 4.0))
        ],
    )
    table = tables.weight_table(read_results(tmp_path))
    found = row_of(table, '2', 'x 5')
    assert found == ['0.5 +- 0.7', '3.5 +- 0.7', '4.5 +- 0.7', '-', '-']
    assert row_of(table, '8', 'x 1') == ['-'] * 5


def test_pairs(tmp_path):
    """Of differences 1, 2 and 6: mean 3, standard error sqrt(7 / 3)."""
    settings = [
        Cell(rate=RATE, images=2, points=5.0),
        Cell(rate=RATE, images=8, points=0.2, seed=1),
        Cell(rate=RATE, images=8, points=0.2, seed=2),
    ]
    pairs = zip(settings, (1.0, 2.0, 6.0), strict=True)
    entries = [
        result(replace(setting, loss=loss), 4.0 + more)
        for setting, difference in pairs
        for loss, more in (('point', 0.0), ('point-w3', difference))
    ]
    # Without its other half.
    entries.append(result(Cell('point-w3', RATE, 8, 5.0), 99.0))
    write(tmp_path, entries)
    table = tables.pair_table(read_results(tmp_path))
    found = row_of(table, '`point`, weight 3', '`point`, weight 10')
    half = 4.302653 * (7 / 3) ** 0.5  # Student's t, 2 degrees of freedom
    expected = f'+3.0 ({3 - half:+.1f} to {3 + half:+.1f})'
    assert found[:2] == ['3', expected]
    assert found[-1] == '+0.000 (+0.000 to +0.000)'
    assert table.count('\n') == 2


def test_gradients(results):
    table = tables.gradient_table(results)
    found = row_of(table, '2', 'x 1')
    assert found == ['900', '1', '4.0', '1', '4.0']


def test_comparisons(results):
    table = tables.form_table(results)
    n, ap, _, _, uv, less, p = row_of(table, '`joint`, weight 10')
    assert (n, ap) == ('2', '33.0 +- 2.8')
    assert uv == '0.200 +- 0.000'
    # 2 and 4: mean 3, standard error 1, one degree of freedom.
    assert less == '+3.0'
    expected = 2 * (0.5 - math.atan(3) / math.pi)
    assert p == f'{expected:.2f}'
    n, ap, *_, less, _ = row_of(
        tables.balancer_table(results), '`dwa`, weight 10'
    )
    # One diverged: its AP is 0, its UV error unknown.
    assert (n, ap, less) == ('2', '14.0 +- 19.8', '-16.0')


def test_all_of_the_grid_makes_a_report_and_plots(tmp_path):
    rng = np.random.default_rng(0)
    write(
        tmp_path,
        [
            result(cell, None if cell.rate > RATE else rng.uniform(10, 20))
            for cell in all_cells([0, 1])
        ],
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
    assert 'no cells are missing' in text
    assert '| - |' not in text.split('### The gradient')[0]
    assert len(list(tmp_path.glob('*.png'))) == 2


def test_what_was_run(results):
    text = tables.what_was_run(results)
    assert text.startswith('14 trainings of 400 steps with seeds 0, 1;')
    # The sum at the higher rate, and a balancer, each with one seed.
    assert 'The loss of 2 became infinite' in text
    assert '7 minutes of one CPU core' in text


@pytest.mark.parametrize(
    ('name', 'value', 'message'),
    [
        ('steps', 3, 'other lengths each, steps is 3, 400'),
        ('data', '1d', 'other images each, data is 0d, 1d'),
        ('start', None, 'other starting weights each, start is 0e, None'),
    ],
)
def test_what_differs_in_more_than_cells_does_not_mix(
    tmp_path, name, value, message
):
    other = {**result(Cell(seed=1), 1.0), name: value}
    write(tmp_path, [result(Cell(), 1.0), other])
    with pytest.raises(ValueError, match=message):
        read_results(tmp_path)


def test_errors(tmp_path):
    with pytest.raises(SystemExit, match='no result'):
        report.main(['--results', str(tmp_path)])
    (tmp_path / 'a.json').write_text('{"cell": {"colour": 1}}')
    with pytest.raises(ValueError, match=r'a\.json holds no result'):
        read_results(tmp_path)
