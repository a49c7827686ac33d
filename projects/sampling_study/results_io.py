"""Reading the result files."""

from collections.abc import Mapping
from pathlib import Path

from projects.sampling_study.grid import Cell
from projects.study_tools import results as study_results

Results = Mapping[Cell, dict]


def read_results(folder: Path) -> dict[Cell, dict]:
    """All results of a folder.

    Raises:
        ValueError: A file holds something else.
    """
    return study_results.read_results(
        folder,
        Cell,
        lambda r: (r['metrics']['accuracy'], r['train']['num_sampled']),
    )


def values_of(
    results: Results, setting: Cell, measure: str = 'accuracy'
) -> dict[int, float]:
    """A measure in percent by seed, of the cells of one setting."""
    return {
        cell.seed: 100 * result['metrics'][measure]
        for cell, result in results.items()
        if cell.setting == setting.setting
    }
