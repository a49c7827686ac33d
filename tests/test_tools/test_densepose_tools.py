"""validate_densepose.py and browse_dataset.py on the tiny data set."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.image import imread

from tests.densepose_data import (
    make_annotations,
    write_data_set,
    write_symmetry,
)

ROOT = Path(__file__).parents[2]
VALIDATE = ROOT / 'tools/misc/validate_densepose.py'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('tools')
    content = make_annotations()
    content['annotations'][-1]['id'] = 16
    write_data_set(folder, content)
    write_symmetry(folder)
    return folder


def run(tool: Path, *args: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, tool, *map(str, args)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, 'COLUMNS': '200'},
    )


def test_a_good_file(folder):
    done = run(
        VALIDATE,
        folder / 'annotations.json',
        '--img-root',
        folder / 'images',
        '--surface',
        'body',
    )
    lines = done.stdout.splitlines()
    # Random points of random parts: some are off the charts.
    assert all(
        'off the chart' in line for line in lines if 'annot' in line[:4]
    )
    done = run(
        VALIDATE, folder / 'annotations.json', '--img-root', folder / 'images'
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        '4 images, 7 annotations, 5 of them dense with 101 points\n'
        'no problem\n'
    )


def test_a_bad_file(folder):
    content = make_annotations()
    content['annotations'][0]['dp_U'][3] = 1.5
    content['annotations'][2]['dp_x'][4] = 300.0
    content['images'][3]['width'] = 111
    file = folder / 'bad.json'
    file.write_text(json.dumps(content))
    done = run(VALIDATE, file, '--img-root', folder / 'images')
    assert done.returncode == 1
    image = folder / 'images/000000000004.png'
    listed = done.stdout.splitlines()[:5]
    assert listed[0] == (
        f'{image}: image is 240 x 320 (height x width), {file} says 240 x 111'
    )
    assert listed[1] == (
        f'{file}: annotation 10: dp_U[3] must be in [0, 1], got 1.5'
    )
    assert listed[2].startswith(f'{file}: annotation 12: dp_x[4] is outside')
    assert listed[2].endswith('got 300 (usable)')
    assert listed[3] == f'{file}: annotation 15: id occurs 2 times (usable)'
    table = [
        [cell.strip() for cell in line.strip('│').split('│')]
        for line in done.stdout.splitlines()
        if line.startswith('│')
    ]
    assert table == [
        ['dp_U', '1', '0', '1'],
        ['dp_x', '1', '1', '1'],
        ['id', '2', '2', '1'],
        ['image', '1', '0', '0'],
    ]


@pytest.mark.parametrize(
    ('args', 'what'),
    [
        (['nowhere.json'], 'nowhere.json does not exist'),
        ([VALIDATE], 'no JSON file or cut off'),
        (['{file}', '--img-root', 'nowhere'], 'nowhere does not exist'),
        (['{file}', '--surface', 'nowhere.npz'], 'nowhere.npz'),
    ],
)
def test_wrong_arguments(folder, args, what):
    file = folder / 'annotations.json'
    done = run(VALIDATE, *[str(arg).format(file=file) for arg in args])
    assert done.returncode == 1
    assert done.stderr.startswith('error: ')
    assert what in ' '.join(done.stderr.split())


@pytest.fixture
def browse(monkeypatch):
    """The tool in this process, where the libraries are imported already."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools/analysis_tools'))
    import browse_dataset

    def run(*args: object) -> int:
        monkeypatch.setattr(sys, 'argv', ['browse_dataset', *map(str, args)])
        return browse_dataset.main()

    return run


def test_pictures_of_dense_pose(browse, capsys, folder, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(
        f"""
_base_ = {str(ROOT / 'configs/_base_/datasets/synthetic_bodies.py')!r}
default_scope = 'mmdet'
train_dataloader = dict(dataset=dict(
    data_root={str(folder)!r}, ann_file='annotations.json',
    data_prefix=dict(img='images/')))
"""
    )
    out = tmp_path / 'pictures'
    assert browse(config, '--output-dir', out, '--number', 2) == 0
    assert f'2 pictures in {out}' in capsys.readouterr().out
    for name in ('000000.png', '000001.png'):
        height, width = imread(out / name).shape[:2]
        # Four panels of 4 : 3 and three lines between.
        assert height in range(384, 513, 32)
        assert (width - 12) / 4 == pytest.approx(height * 4 / 3, abs=1)


def test_pictures_of_identities(browse, tmp_path):
    config = ROOT / (
        'configs/partial_fc/partial-fc_resnet18-cosface_1xb128-6e_glyphs.py'
    )
    assert browse(config, '--output-dir', tmp_path, '--number', 3) == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [name.split('_')[0] for name in names] == [
        '000000',
        '000001',
        '000002',
    ]
    assert all('_label-' in name for name in names)
    assert imread(tmp_path / names[0]).shape[:2] == (48, 48)


def test_no_such_dataloader(browse, capsys, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text('val_dataloader = None')
    assert browse(config, '--output-dir', tmp_path, '--split', 'val') == 1
    error = capsys.readouterr().err
    assert error.endswith('config.py has no val_dataloader\n')
