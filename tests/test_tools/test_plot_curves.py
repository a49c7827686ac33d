"""Reading and drawing the scalars of runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.image import imread

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/plot_curves.py'


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOL.parent))
    import plot_curves

    return plot_curves


def write(folder: Path, start: str, rows: list[dict]) -> None:
    target = folder / start / 'vis_data'
    target.mkdir(parents=True)
    text = '\n'.join(json.dumps(row) for row in rows)
    (target / 'scalars.json').write_text(text)


def test_a_resumed_run_replaces_the_steps_it_repeats(tool, tmp_path):
    train = [dict(loss=float(9 - i), lr=0.1, time=1.0, step=i) for i in (1, 2)]
    write(tmp_path, '20260101_000000', [*train, dict(accuracy=0.5, step=1)])
    write(tmp_path, '20260101_000001', [dict(loss=3.5, lr=0.2, step=2)])
    curves = tool.collect(tool.read_scalars(tmp_path))
    assert curves == {
        'loss': ([1, 2], [8.0, 3.5], 'iteration'),
        'lr': ([1, 2], [0.1, 0.2], 'iteration'),
        'accuracy': ([1], [0.5], 'epoch'),
    }


def test_the_command_draws_a_panel_for_each_scalar(tmp_path):
    for name in ('a', 'b'):
        rows = [dict(loss=1.0 / i, step=i) for i in range(1, 9)]
        write(tmp_path / name, '20260101_000000', rows)
    out = tmp_path / 'curves.png'
    done = subprocess.run(
        [sys.executable, TOOL, tmp_path / 'a', tmp_path / 'b', '--out', out],
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(out) in done.stdout
    picture = imread(out)
    # One row of three panels at 110 dots an inch, and a curve in it.
    assert picture.shape[:2] == (round(2.8 * 110), 12 * 110)
    assert picture[..., :3].std() > 0.05


def test_a_folder_without_scalars_is_named(tool, tmp_path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        tool.read_scalars(tmp_path)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (None, 'holds no */vis_data/scalars.json; give the work dir'),
        (
            '{"loss": 1.0, "step": 1}\n{"loss": 2.',
            'line 2 is cut off or no li',
        ),
        ('[1]', 'line 1 is cut off or no line of a log'),
        ('{"loss": 1.0}', 'expected an object with step'),
        ('{"lr": "none", "step": 1}', 'nothing to draw'),
    ],
)
def test_errors_end_in_a_line(tool, tmp_path, monkeypatch, text, message):
    if text is not None:
        write(tmp_path, '20260101_000000', [])
        file = tmp_path / '20260101_000000/vis_data/scalars.json'
        file.write_text(text)
    monkeypatch.setattr('sys.argv', ['plot_curves', str(tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        tool.main()
    (line,) = str(stopped.value).splitlines()
    assert line.startswith('error: ')
    assert str(tmp_path) in line
    assert message in line
    assert not (tmp_path / 'curves.png').exists()
