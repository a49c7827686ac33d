"""Real trainings that are killed, run out of space or find damaged files.

The script that makes the documentation's table checks each outcome itself;
the long version, with fifty kills, is marked slow.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parents[2] / 'tools/analysis_tools/fault_table.py'


def _rows(tmp_path, *options):
    path = tmp_path / 'rows.json'
    done = subprocess.run(
        [sys.executable, _SCRIPT, '--json', path, *options],
        capture_output=True,
        text=True,
        timeout=1500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    rows = json.loads(path.read_text())
    for row in rows:
        assert f'| {row["fault"]} | {row["times"]} |' in done.stdout
    return rows


def test_killed_runs_end_like_undisturbed_ones(tmp_path):
    rows = _rows(tmp_path, '--only', 'kills', '--kills', '6')
    assert [row['times'] for row in rows] == [3, 3]


@pytest.mark.slow
def test_fifty_kills(tmp_path):
    rows = _rows(tmp_path, '--only', 'kills', '--kills', '50', '--seed', '1')
    assert sum(row['times'] for row in rows) == 50


def test_a_full_disk_costs_nothing_that_was_there(tmp_path):
    rows = _rows(tmp_path, '--only', 'space')
    assert [row['fault'] for row in rows] == [
        'no space for the shards',
        'no space for the .pth',
    ]


def test_damage_is_an_error_on_all_ranks_within_seconds(tmp_path):
    rows = _rows(tmp_path, '--only', 'damage')
    assert len(rows) == 12
    assert max(row['seconds'] for row in rows) < 30


def test_one_rank_that_dies_ends_the_other(tmp_path):
    rows = _rows(tmp_path, '--only', 'rank')
    assert len(rows) == 2
    # The collective's timeout is a minute.
    assert max(row['seconds'] for row in rows) < 60
