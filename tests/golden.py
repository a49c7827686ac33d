"""Access to the golden data.

Another set of the same layout can be put in its place through the
environment variable MMDENSE_GOLDEN_DIR, so tests take everything, names and
sizes included, from the files.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(
    os.environ.get('MMDENSE_GOLDEN_DIR', Path(__file__).parent / 'data/golden')
)


def read_json(path: str):
    """The content of a JSON file, or None where the set lacks it."""
    file = FOLDER / path
    return json.loads(file.read_text()) if file.is_file() else None


def read_arrays(path: str) -> dict[str, np.ndarray]:
    """The arrays of an npz file; never unpickles."""
    file = FOLDER / path
    if not file.is_file():
        pytest.skip(f'{path} is not in the golden data')
    with np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def max_rel(a, b) -> float:
    """max|a-b| / max|b|, the error measure of the golden data."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    assert a.shape == b.shape
    return float(np.abs(a - b).max() / np.abs(b).max())
