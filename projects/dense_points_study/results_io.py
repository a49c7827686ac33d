"""Reading the result files."""

import json
from collections.abc import Mapping
from pathlib import Path

from projects.dense_points_study.grid import Cell

Results = Mapping[Cell, dict]


def read_results(folder: Path) -> dict[Cell, dict]:
    """All results of a folder.

    Raises:
        ValueError: A file holds something else.
    """
    results = {}
    for path in sorted(folder.glob('*.json')):
        result = json.loads(path.read_text())
        try:
            cell = Cell(**result['cell'])
            if result['diverged_at'] is None:
                result['metrics']['gps_AP']
        except (KeyError, TypeError) as error:
            raise ValueError(f'{path} holds no result: {error}') from None
        results[cell] = result
    return results


def values_of(
    results: Results, setting: Cell, measure: str = 'gps_AP'
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


def num_diverged(results: Results, setting: Cell) -> int:
    """How many trainings of a setting diverged."""
    return sum(
        result['diverged_at'] is not None
        for cell, result in results.items()
        if cell.setting == setting.setting
    )
