"""Reading the result files."""

import json
from collections.abc import Mapping
from pathlib import Path

from projects.dense_points_study.grid import Cell

Results = Mapping[Cell, dict]

#: A training has failed with an AP (GPSm) below this.
FAILED_BELOW = 0.5


def read_results(folder: Path) -> dict[Cell, dict]:
    """All results of a folder.

    Raises:
        ValueError: A file holds something else, or they are of trainings of
            different lengths.
    """
    results = {}
    for path in sorted(folder.glob('*.json')):
        result = json.loads(path.read_text())
        try:
            cell = Cell(**result['cell'])
            if result['diverged_at'] is None:
                result['metrics']['gpsm_AP']
        except (KeyError, TypeError) as error:
            raise ValueError(f'{path} holds no result: {error}') from None
        results[cell] = result
    steps = {result['steps'] for result in results.values()}
    if len(steps) > 1:
        raise ValueError(
            f'{folder} holds results of {sorted(steps)} steps, expected one '
            'length: put them into folders of their own'
        )
    return results


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
