"""The `.mim` folder, which mmengine and mim look into."""

import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def add_mim_extension(tmp_path):
    """setup.py's function, at work on a small tree."""
    (tmp_path / 'mmdense').mkdir()
    for folder in ('configs', 'tools'):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / 'a.py').write_text(folder)
    (tmp_path / 'model-index.yml').write_text('Import: []')
    script = tmp_path / 'setup.py'
    script.write_text((ROOT / 'setup.py').read_text())
    return runpy.run_path(str(script))['add_mim_extension']


@pytest.mark.parametrize('command', ['editable_wheel', 'develop', 'dist_info'])
def test_an_editable_install_links(
    add_mim_extension, tmp_path, monkeypatch, command
):
    monkeypatch.setattr(sys, 'argv', ['setup.py', command])
    add_mim_extension()
    (tmp_path / 'configs' / 'later.py').write_text('new')
    mim = tmp_path / 'mmdense' / '.mim'
    assert (mim / 'configs' / 'later.py').read_text() == 'new'
    assert (mim / 'model-index.yml').read_text() == 'Import: []'


@pytest.mark.parametrize('command', ['bdist_wheel', 'sdist'])
def test_a_wheel_carries_copies_whatever_was_there(
    add_mim_extension, tmp_path, monkeypatch, command
):
    monkeypatch.setattr(sys, 'argv', ['setup.py', 'develop'])
    add_mim_extension()
    monkeypatch.setattr(sys, 'argv', ['setup.py', command])
    add_mim_extension()
    mim = tmp_path / 'mmdense' / '.mim'
    assert not any(path.is_symlink() for path in mim.iterdir())
    assert (mim / 'tools' / 'a.py').read_text() == 'tools'
    # The source is untouched when the copy goes.
    monkeypatch.setattr(sys, 'argv', ['setup.py', 'develop'])
    add_mim_extension()
    assert (tmp_path / 'configs' / 'a.py').read_text() == 'configs'
