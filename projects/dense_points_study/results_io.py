"""Reading the result files."""

from collections.abc import Mapping
from pathlib import Path

from projects.dense_points_study.grid import Cell
from projects.study_tools import results as study_results

Results = Mapping[Cell, dict]

#: A training has failed with an AP (GPSm) below this.
FAILED_BELOW = 0.5


def read_results(folder: Path) -> dict[Cell, dict]:
    """All results of a folder.

    Raises:
        ValueError: A file holds something else, or they are of trainings that
            differ in more than their cells.
    """
    results = study_results.read_results(folder, Cell, _check)
    for name, kind in (
        ('steps', 'lengths'),
        ('data', 'images'),
        ('start', 'starting weights'),
    ):
        found = {result[name] for result in results.values()}
        if len(found) > 1:
            values = ', '.join(sorted(map(str, found)))
            raise ValueError(
                f'{folder} holds results of other {kind} each, {name} is '
                f'{values}; expected one: put them into folders of their own'
            )
    return results


def _check(result: dict) -> None:
    result['steps'], result['data'], result['start']
    if result['diverged_at'] is None:
        result['metrics']['gpsm_AP']


def values_of(
    results: Results, setting: Cell, measure: str = 'gpsm_AP'
) -> dict[int, float]:
    """A measure by seed, of the cells of one setting.

    Where training diverged an AP is 0; other measures are left out.
    """
    values = {}
    for cell, result in results.items():
        if cell.setting != setting.setting:
            continue
        if result['diverged_at'] is None:
            values[cell.seed] = result['metrics'][measure]
        elif measure.endswith('AP'):
            values[cell.seed] = 0.0
    return values


def num_failed(results: Results, setting: Cell) -> int:
    """How many trainings of a setting diverged, or found next to nobody."""
    values = values_of(results, setting, 'gpsm_AP')
    return sum(value < FAILED_BELOW for value in values.values())
