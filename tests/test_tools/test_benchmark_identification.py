"""The benchmark searches what it says."""

from pathlib import Path
from types import SimpleNamespace

import pytest

TOOLS = Path(__file__).parents[2] / 'tools/analysis_tools'


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    import benchmark_identification

    return benchmark_identification


def test_one_size(tool):
    args = SimpleNamespace(
        dims=64, queries=40, query_block=16, gallery_chunk=100
    )
    row = tool.measure(args, 1200)
    assert row['gallery_mib'] == pytest.approx(1200 * 64 * 4 / 2**20)
    assert row['extra_mib'] >= 0
    assert row['seconds'] > 0
    # Mates are nearer than others, so that the search is a realistic one.
    assert row['rank_1'] > 0.8
