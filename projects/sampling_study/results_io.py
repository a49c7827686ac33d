"""Reading the result files."""

import json
from collections.abc import Mapping
from pathlib import Path

from projects.sampling_study.grid import Cell

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
            result['metrics']['accuracy'], result['train']['num_sampled']
        except (KeyError, TypeError) as error:
            raise ValueError(f'{path} holds no result: {error}') from None
        results[cell] = result
    return results


def values_of(
    results: Results, setting: Cell, measure: str = 'accuracy'
) -> dict[int, float]:
    """A measure in percent by seed, of the cells of one setting."""
    return {
        cell.seed: 100 * result['metrics'][measure]
        for cell, result in results.items()
        if cell.setting == setting.setting
    }
