"""The environment report, on this installation and on broken ones."""

import importlib.metadata
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / 'tools' / 'check_env.py'

# Python runs `sitecustomize` from the path at its start.
BLOCK = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {blocked!r}:
            raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)

sys.meta_path.insert(0, Block())
"""


@pytest.fixture
def report(tmp_path):
    """Run the tool with `tmp_path` first on the path; its output and code."""

    def run():
        path = [tmp_path, ROOT, os.environ.get('PYTHONPATH', '')]
        env = os.environ | {'PYTHONPATH': os.pathsep.join(map(str, path))}
        env['COLUMNS'] = '200'
        result = subprocess.run(
            [sys.executable, str(SCRIPT)],
            env=env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert 'Traceback' not in result.stderr, result.stderr
        return result.stdout, result.returncode

    return run


def distribution(folder, name, version):
    info = folder / f'{name.replace("-", "_")}-{version}.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text(
        f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n'
    )


def package(folder, name, text):
    (folder / name).mkdir()
    (folder / name / '__init__.py').write_text(text)


def remedy_of(output, problem):
    """The line below the one problem that begins with `problem`."""
    lines = output.splitlines()
    found = [
        remedy
        for line, remedy in itertools.pairwise(lines)
        if line.startswith('Problem ')
        and line.partition(': ')[2].startswith(problem)
    ]
    assert len(found) == 1, output
    return found[0]


def test_reports_this_environment(report):
    output, code = report()
    for name in ('torch', 'torchvision', 'numpy', 'safetensors'):
        assert importlib.metadata.version(name) in output
    assert sys.version.split()[0] in output
    for item in ('mmengine', 'mmcv', 'ops of mmcv', 'gloo', 'fonttools'):
        assert item in output
    assert (code == 0) == ('No problems found.' in output)
    assert (code == 1) == ('Problem 1:' in output)


def test_nothing_installed(report, tmp_path):
    blocked = (
        *('torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'mmpretrain'),
        *('rich', 'packaging'),
    )
    (tmp_path / 'sitecustomize.py').write_text(BLOCK.format(blocked=blocked))
    output, code = report()
    assert code == 1
    assert 'not importable' in output
    remedy = remedy_of(output, 'torch cannot be imported')
    assert 'pip install torch torchvision' in remedy
    assert 'pip install packaging' in remedy_of(
        output, 'the versions of the Open'
    )
    remedy_of(output, 'mmdense cannot be imported')


def test_missing_siblings(report, tmp_path):
    blocked = ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet')
    (tmp_path / 'sitecustomize.py').write_text(BLOCK.format(blocked=blocked))
    output, code = report()
    assert code == 1
    assert 'onedl-mmengine' in remedy_of(output, 'mmengine is missing')
    assert 'onedl-mmcv' in remedy_of(output, 'mmcv is missing')
    assert 'missing, for dense pose' in output
    assert 'neither' not in output  # mmpretrain is found, if not usable
    assert 'mmdense needs mmengine' in output


def test_both_families_and_an_old_version(report, tmp_path):
    blocked = ('torch', 'torchvision')  # only to be quick
    (tmp_path / 'sitecustomize.py').write_text(BLOCK.format(blocked=blocked))
    distribution(tmp_path, 'onedl-mmdetection', '3.5.1')
    distribution(tmp_path, 'mmdet', '3.1.0')
    output, code = report()
    assert code == 1
    remedy = remedy_of(
        output, 'mmdet is installed by onedl-mmdetection 3.5.1, mmdet 3.1.0'
    )
    assert 'pip uninstall -y onedl-mmdetection mmdet' in remedy
    remedy = remedy_of(output, 'mmdense needs mmdet>=3.3.0, got mmdet 3.1.0')
    assert 'pip install -U mmdet' in remedy


def test_setuptools_trap_of_upstream_mmengine(report, tmp_path):
    blocked = ('torch', 'torchvision')
    (tmp_path / 'sitecustomize.py').write_text(BLOCK.format(blocked=blocked))
    distribution(tmp_path, 'setuptools', '82.0.1')
    distribution(tmp_path, 'mmengine', '0.10.7')
    output, _ = report()
    remedy = remedy_of(
        output,
        'upstream mmengine needs pkg_resources, which setuptools 82.0.1',
    )
    assert "pip install 'setuptools<82'" in remedy


def test_torchvision_of_another_build(report, tmp_path):
    cause = 'operator torchvision::nms does not exist'
    package(tmp_path, 'torchvision', f'raise RuntimeError({cause!r})')
    blocked = ('mmdet', 'mmpretrain')  # only to be quick
    (tmp_path / 'sitecustomize.py').write_text(BLOCK.format(blocked=blocked))
    output, code = report()
    assert code == 1
    remedy = remedy_of(
        output, f'torchvision cannot be imported: RuntimeError: {cause}'
    )
    assert 'pip install torch torchvision' in remedy
    assert 'not of the build' not in output


def test_broken_compiled_ops(report, tmp_path):
    blocked = ('torch', 'torchvision', 'mmdet', 'mmpretrain')
    (tmp_path / 'sitecustomize.py').write_text(BLOCK.format(blocked=blocked))
    package(tmp_path, 'mmcv', '__version__ = "2.1.0"')
    cause = 'undefined symbol: _ZN3c10'
    (tmp_path / 'mmcv' / '_ext.py').write_text(f'raise ImportError({cause!r})')
    output, code = report()
    assert code == 1
    remedy = remedy_of(
        output, f'the compiled ops of mmcv do not load: ImportError: {cause}'
    )
    assert 'docs/install.md' in remedy
