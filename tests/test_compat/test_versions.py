"""Checks of the installed stack, with real metadata on the import path."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from mmengine.registry import Registry

import mmdense
from mmdense.compat import versions
from mmdense.compat.missing import register_missing

ROOT = Path(mmdense.__file__).resolve().parents[1]


@pytest.fixture
def install(tmp_path, monkeypatch):
    """A function that makes pip's record of a distribution, found first."""
    monkeypatch.syspath_prepend(tmp_path)

    def record(name, version):
        folder = tmp_path / f'{name.replace("-", "_")}-{version}.dist-info'
        folder.mkdir()
        (folder / 'METADATA').write_text(
            f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n'
        )

    return record


@pytest.fixture
def only_family(monkeypatch):
    """Hide the names of the other family, whichever runs the tests."""
    kept = {
        library: sibling._replace(distributions=(name,))
        for library, sibling in versions.SIBLINGS.items()
        for name in sibling.distributions[:1]
    }
    monkeypatch.setattr(versions, 'SIBLINGS', kept)


def test_the_stack_of_the_tests_passes():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        versions.check_stack()


def test_missing_mmengine_is_an_import_error(monkeypatch):
    monkeypatch.setattr(versions, 'is_available', lambda name: False)
    with pytest.raises(ImportError) as error:
        versions.check_stack()
    message = str(error.value)
    assert 'mmdense needs mmengine, which is not installed' in message
    assert 'pip install onedl-mmengine' in message


@pytest.mark.parametrize(
    ('name', 'library', 'version', 'floor'),
    [
        ('onedl-mmengine', 'mmengine', '0.10.3', '0.10.4'),
        ('onedl-mmcv', 'mmcv', '1.7.2', '2.0.0'),
        ('onedl-mmdetection', 'mmdet', '3.2.0', '3.3.0'),
        ('onedl-mmpretrain', 'mmpretrain', '1.2.0rc1', '1.2.0'),
    ],
)
def test_too_old(install, only_family, name, library, version, floor):
    install(name, version)
    with pytest.raises(ImportError) as error:
        versions.check_stack()
    message = str(error.value)
    assert f'needs {library}>={floor}, got {name} {version}' in message
    assert f'pip install -U {name}' in message


def test_too_new_is_a_warning(install, only_family):
    install('onedl-mmdetection', '4.0.0')
    with pytest.warns(UserWarning, match=r'mmdet<4, got .* 4\.0\.0'):
        versions.check_stack()


def test_both_families_is_a_warning(install):
    install('onedl-mmdetection', '3.5.1')
    install('mmdet', '3.3.0')
    with pytest.warns(UserWarning, match='mmdet is installed twice') as seen:
        versions.check_stack()
    message = str(seen[0].message)
    assert 'onedl-mmdetection and mmdet' in message
    assert 'Uninstall all of them' in message


def test_installed_distributions_tells_versions(install):
    install('onedl-mmcv', '2.3.9')
    install('mmcv-lite', '2.1.7')
    found = versions.installed_distributions('mmcv')
    assert found['onedl-mmcv'] == '2.3.9'
    assert found['mmcv-lite'] == '2.1.7'


def test_require():
    versions.require('mmengine', 'a test')
    with pytest.raises(ImportError) as error:
        versions.require('no_such_library', 'mmdense.X')
    assert str(error.value) == (
        'mmdense.X needs no_such_library, which is not installed. '
        'Run: pip install no_such_library'
    )
    assert not versions.is_available('mmengine.no_such_part.at_all')


def test_placeholder_of_a_missing_library_explains_itself():
    registry = Registry('scratch', scope='mmdense')
    register_missing(registry, 'mmdet', ['UVHead', 'UVRoIHead'])
    assert registry.get('UVHead').__name__ == 'UVHead'
    for name in ('UVHead', 'UVRoIHead'):
        with pytest.raises(ImportError) as error:
            registry.build(dict(type=name, num_classes=3))
        message = str(error.value)
        assert f'mmdense.{name} needs mmdet, which is not' in message
        assert 'pip install onedl-mmdetection' in message


BLOCK = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {blocked!r}:
            raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)

sys.meta_path.insert(0, Block())
import mmdense
from mmdense.registry import {registry}
try:
    {registry}.build(dict(type={name!r}))
except Exception as error:
    print(type(error).__name__, error)
"""


def without(blocked, registry, name):
    """What building `name` prints in an interpreter without `blocked`."""
    path = [str(ROOT), os.environ.get('PYTHONPATH', '')]
    code = BLOCK.format(blocked=blocked, registry=registry, name=name)
    result = subprocess.run(
        [sys.executable, '-c', code],
        env=os.environ | {'PYTHONPATH': os.pathsep.join(path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_head_without_mmpretrain_and_mmdet():
    output = without(
        ('mmpretrain', 'mmdet'), 'MODELS', 'mmdense.PartialFCHead'
    )
    assert 'ImportError mmdense.PartialFCHead needs mmpretrain' in output
    assert 'pip install onedl-mmpretrain' in output


def test_dataset_without_mmpretrain():
    output = without(('mmpretrain',), 'DATASETS', 'mmdense.GlyphIdentities')
    assert 'ImportError mmdense.GlyphIdentities needs mmpretrain' in output
    assert 'pip install onedl-mmpretrain' in output


def test_import_without_mmengine_gives_the_advice():
    result = subprocess.run(
        [
            sys.executable,
            '-c',
            'import sys; sys.modules["mmengine"] = None; import mmdense',
        ],
        env=os.environ | {'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith('ImportError: mmdense needs mmengine')
    assert 'pip install' in last
