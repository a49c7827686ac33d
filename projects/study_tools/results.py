"""Reading the result files of a study."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

C = TypeVar('C')


def read_results(
    folder: Path, cell_type: Callable[..., C], check: Callable[[dict], object]
) -> dict[C, dict]:
    """All results of a folder.

    Args:
        folder: Where `run.py` wrote them.
        cell_type: Makes a cell of the keywords in a file.
        check: Takes out of a result what the tables need; an error of it is
            one of the file.

    Raises:
        ValueError: A file holds something else.
    """
    results = {}
    for path in sorted(folder.glob('*.json')):
        result = json.loads(path.read_text())
        try:
            cell = cell_type(**result['cell'])
            check(result)
        except (KeyError, TypeError) as error:
            raise ValueError(f'{path} holds no result: {error!r}') from None
        results[cell] = result
    return results
