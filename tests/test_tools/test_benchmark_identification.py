"""The benchmark runs and says what it searched."""

import subprocess
import sys
from pathlib import Path

TOOLS = Path(__file__).parents[2] / 'tools/analysis_tools'


def test_a_row_for_each_size():
    done = subprocess.run(
        [
            *(sys.executable, TOOLS / 'benchmark_identification.py'),
            *('--gallery', '500', '1200', '--queries', '40', '--dims', '8'),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert sum(' MiB' in line for line in lines) == 2
    assert any('1,200' in line for line in lines)
