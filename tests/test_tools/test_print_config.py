"""The printed config, and where each of its settings is said to be from."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / 'tools' / 'misc' / 'print_config.py'


@pytest.fixture
def tree(tmp_path):
    """A chain of three levels with every kind of inheritance."""
    files = {
        'base/model.py': (
            'width = 8\n'
            "model = dict(type='Net', width=width, head=dict(type='A', k=1),\n"
            "             neck=dict(type='N', n=3), extra=dict())\n"
        ),
        'base/run.yaml': 'epochs: 10\nhooks:\n  log: 5\n  save: 1\n',
        'base/data.py': (
            "pipeline = [dict(type='Load'), dict(type='Pack', keys=1)]\n"
            'loader = dict(batch=4, pipeline=pipeline)\n'
        ),
        'middle.py': (
            "_base_ = ['base/model.py', 'base/run.yaml'] + ['base/data.py']\n"
            'import math\n'
            'def twice(x):\n'
            '    return 2 * x\n'
            'model = dict(head=dict(_delete_=True, type="B"), width=8)\n'
            'epochs = twice(_base_.epochs) + int(math.sqrt(1))\n'
            'copied = {{_base_.hooks}}\n'
            "place = '{{ fileBasename }}'\n"
        ),
        'top.py': (
            "_base_ = './middle.py'\n"
            'model = dict(neck=dict(n=4), head=dict(z=0))\n'
            'hooks = dict(save=_base_.loader.batch)\n'
        ),
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def run(folder, *arguments):
    path = [str(ROOT), os.environ.get('PYTHONPATH', '')]
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        cwd=folder,
        env=os.environ | {'PYTHONPATH': os.pathsep.join(path)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def printed(folder, *arguments):
    result = run(folder, *arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def origins(folder, *arguments):
    """`{key: (value, file)}` from the lines of the report."""
    found = {}
    for line in printed(folder, *arguments, '--origin').splitlines():
        setting, file = line.rsplit('  # ', 1)
        key, value = setting.split(' = ', 1)
        found[key] = (ast.literal_eval(value), file)
    return found


def test_prints_the_merged_config(tree):
    namespace = {}
    exec(printed(tree, 'top.py'), namespace)
    assert namespace['model'] == dict(
        type='Net',
        width=8,
        head=dict(type='B', z=0),
        neck=dict(type='N', n=4),
        extra=dict(),
    )
    assert namespace['epochs'] == 21
    assert namespace['hooks'] == dict(log=5, save=4)


def test_origin_of_each_setting(tree):
    model, middle = os.path.join('base', 'model.py'), 'middle.py'
    run_file = os.path.join('base', 'run.yaml')
    data = os.path.join('base', 'data.py')
    pipeline = [dict(type='Load'), dict(type='Pack', keys=1)]
    assert origins(tree, 'top.py') == {
        'width': (8, model),
        'model.type': ('Net', model),
        'model.width': (8, middle),  # set again, to the same value
        'model.head.type': ('B', middle),
        'model.head.z': (0, 'top.py'),
        'model.neck.type': ('N', model),
        'model.neck.n': (4, 'top.py'),
        'model.extra': ({}, model),
        'epochs': (21, middle),
        'hooks.log': (5, run_file),
        'hooks.save': (4, 'top.py'),
        'pipeline': (pipeline, data),
        'loader.batch': (4, data),
        'loader.pipeline': (pipeline, data),
        'copied.log': (5, middle),
        'copied.save': (1, middle),
        'place': ('middle.py', middle),
    }


def test_origin_of_command_line_options(tree):
    found = origins(
        tree,
        'top.py',
        '--cfg-options',
        'model.neck.n=9',
        'loader.pipeline.1.keys=7',
        'new.deep.key=a',
    )
    assert found['model.neck.n'] == (9, '--cfg-options')
    assert found['model.neck.type'][1] == os.path.join('base', 'model.py')
    assert found['new.deep.key'] == ('a', '--cfg-options')
    value, file = found['loader.pipeline']
    assert value[1] == dict(type='Pack', keys=7)
    assert file == '--cfg-options'
    assert found['pipeline'][1] == os.path.join('base', 'data.py')


def test_bases_of_a_package(tmp_path):
    pytest.importorskip('mmdet')
    (tmp_path / 'mine.py').write_text(
        "_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'\n"
        'model = dict(backbone=dict(depth=18))\n'
    )
    found = origins(tmp_path, 'mine.py')
    assert found['model.backbone.depth'] == (18, 'mine.py')
    assert found['model.backbone.style'] == (
        'pytorch',
        'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    )
    assert found['train_cfg.max_epochs'] == (
        12,
        'mmdet::_base_/schedules/schedule_1x.py',
    )
    value, file = found['model._scope_']
    assert value == 'mmdet'
    assert file.startswith('mmengine')

    name = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'
    assert "type='MaskRCNN'" in printed(tmp_path, name)


def test_save_path(tree):
    printed(
        tree,
        'top.py',
        '--cfg-options',
        'epochs=3',
        '--save-path',
        'out/all.py',
    )
    saved = Config.fromfile(tree / 'out' / 'all.py')
    assert saved.epochs == 3
    assert saved.model.neck == dict(type='N', n=4)
    result = run(tree, 'top.py', '--save-path', 'all.txt')
    assert result.returncode == 2
    assert 'must end in .py, .json, .yaml, .yml, got all.txt' in result.stderr


def test_pure_python_style_has_no_origin(tree):
    (tree / 'lazy.py').write_text(
        'from mmengine.config import read_base\n'
        'with read_base():\n'
        '    from .base.model import *\n'
        'other = 1\n'
    )
    result = run(tree, 'lazy.py', '--origin')
    assert result.returncode == 1
    assert 'pure-Python style' in result.stderr


def test_missing_config(tree):
    result = run(tree, 'topp.py')
    assert result.returncode == 1
    assert 'topp.py does not exist' in result.stderr
