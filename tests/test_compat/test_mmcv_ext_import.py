"""When the stand-in for `mmcv._ext` is used, and what it refuses."""

import importlib
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch

import mmdense
from mmdense.compat import mmcv_ext

ROOT = Path(mmdense.__file__).resolve().parents[1]

pytest.importorskip('mmcv')
ops = importlib.import_module('mmcv.ops')

needs_stand_in = pytest.mark.skipif(
    not mmcv_ext.is_stand_in(sys.modules['mmcv._ext']),
    reason='mmcv has compiled ops here',
)


@needs_stand_in
def test_max_pooling_is_refused():
    inputs, rois = torch.ones(1, 1, 8, 8), torch.zeros(1, 5)
    with pytest.raises(NotImplementedError, match="pool_mode='max'"):
        ops.roi_align(inputs, rois, (2, 2), 1.0, 2, 'max', True)


@needs_stand_in
def test_other_ops_are_refused_when_called():
    extension = sys.modules['mmcv._ext']
    assert callable(extension.deform_conv_forward)  # asking is no call
    with pytest.raises(NotImplementedError) as error:
        ops.soft_nms(torch.zeros(3, 4), torch.zeros(3))
    message = str(error.value)
    assert 'softnms' in message
    assert 'without its compiled ops' in message
    assert 'docs/install.md' in message
    assert not hasattr(extension, '__path__')


@needs_stand_in
def test_environment_report_of_mmcv_works():
    info = importlib.import_module('mmcv.utils.env').collect_env()
    assert 'stand-in' in info['MMCV Compiler']


def run(code, *folders):
    """Run `code` in a fresh interpreter, `folders` first on its path."""
    path = [*map(str, folders), str(ROOT), os.environ.get('PYTHONPATH', '')]
    return subprocess.run(
        [sys.executable, '-c', code],
        env=os.environ | {'PYTHONPATH': os.pathsep.join(path)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def fake_package(folder, name, text=''):
    package = folder / name
    package.mkdir()
    (package / '__init__.py').write_text(text)
    return package


def test_importing_mmdense_is_cheap():
    heavy = ('torch', 'torchvision', 'mmcv', 'mmdet', 'mmpretrain')
    result = run(
        f'import sys, mmdense\nprint([m for m in {heavy} if m in sys.modules])'
    )
    assert result.stdout.strip() == '[]', result.stderr


def test_finder_is_installed_once_and_last():
    for _ in range(3):
        mmcv_ext.install_finder()
        importlib.reload(mmdense)
    ours = [f for f in sys.meta_path if 'StandIn' in type(f).__name__]
    assert len(ours) == 1
    result = run('import sys, mmdense; print(type(sys.meta_path[-1]))')
    assert 'StandIn' in result.stdout, result.stderr
    assert ours[0].find_spec('mmcv') is None
    assert ours[0].find_spec('other._ext') is None


def test_real_extension_wins(tmp_path):
    package = fake_package(tmp_path, 'mmcv')
    (package / '_ext.py').write_text('nms = "the real one"')
    result = run('import mmdense, mmcv._ext; print(mmcv._ext.nms)', tmp_path)
    assert result.stdout.strip() == 'the real one', result.stderr


def test_extension_that_fails_to_load_is_not_masked(tmp_path):
    suffix = sysconfig.get_config_var('EXT_SUFFIX')
    package = fake_package(tmp_path, 'mmcv')
    (package / f'_ext{suffix}').write_bytes(b'not a library')
    result = run('import mmdense, mmcv._ext', tmp_path)
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith('ImportError')
    assert f'_ext{suffix}' in last
    assert 'stand-in' not in result.stderr


def test_extension_for_another_python_is_not_masked(tmp_path):
    package = fake_package(tmp_path, 'mmcv')
    (package / '_ext.cpython-36m-x86_64-linux-gnu.so').write_bytes(b'')
    result = run('import mmdense, mmcv._ext', tmp_path)
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith('ImportError')
    assert 'cpython-36m' in last
    assert 'Install mmcv for this Python' in last


def test_torchvision_of_another_build_is_explained(tmp_path):
    fake_package(tmp_path, 'mmcv')
    fake_package(tmp_path, 'torch')
    cause = 'operator torchvision::nms does not exist'
    fake_package(tmp_path, 'torchvision', f'raise RuntimeError({cause!r})')
    result = run('import mmdense, mmcv._ext', tmp_path)
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith('ImportError: mmcv is installed without')
    assert cause in last
    assert 'same build' in last


@needs_stand_in
def test_works_after_mmcv_and_announces_itself_once():
    result = run(
        'import sys, mmcv, mmdense\n'
        'import mmcv.ops\n'
        'first = sys.modules.pop("mmcv._ext")\n'
        'import mmcv._ext\n'
        'print("reloaded", mmcv._ext is not first)\n'
    )
    assert result.returncode == 0, result.stderr
    output = result.stdout + result.stderr
    assert 'reloaded' in output
    assert output.count('through torchvision') == 1
