"""Files that are made once."""

import errno
import multiprocessing
import os
import time

import numpy as np
import pytest

from mmdense.densepose.surface.cache import (
    cache_folder,
    create_array,
    fingerprint,
    fingerprint_of_file,
    make_once,
    open_array,
)


def _make(path):
    def make(partial):
        with path.with_suffix('.log').open('a') as file:
            file.write('made\n')
        time.sleep(0.2)
        partial.write_text('content')

    return make_once(path, make).read_text()


def test_of_several_processes_one_makes_it(tmp_path):
    with multiprocessing.get_context('fork').Pool(3) as pool:
        content = pool.map(_make, [tmp_path / 'file'] * 3)
    assert content == ['content'] * 3
    assert (tmp_path / 'file.log').read_text() == 'made\n'


def test_a_failure_leaves_nothing_and_the_next_one_tries_again(tmp_path):
    def fail(partial):
        partial.write_text('half')
        raise RuntimeError

    with pytest.raises(RuntimeError):
        make_once(tmp_path / 'file', fail)
    assert not [path for path in tmp_path.iterdir() if 'lock' not in path.name]
    assert _make(tmp_path / 'file') == 'content'


def test_a_full_disk_is_an_error(tmp_path, monkeypatch):
    """Writing to a mapped file without room would end the process."""

    def full(*args):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, 'posix_fallocate', full, raising=False)
    with pytest.raises(OSError, match='No space left'):
        make_once(
            tmp_path / 'a.npy',
            lambda partial: create_array(partial, (10,), 'float32'),
        )
    assert not [path for path in tmp_path.iterdir() if 'lock' not in path.name]


def test_arrays_are_mapped(tmp_path):
    create_array(tmp_path / 'a.npy', (3, 4), np.float16)[:] = 2
    array = open_array(tmp_path / 'a.npy')
    assert isinstance(array, np.memmap)
    assert not array.flags.writeable
    assert array.shape == (3, 4)
    assert np.all(array == 2)


def test_where_the_cache_is(tmp_path, monkeypatch):
    monkeypatch.setenv('MMDENSE_CACHE_DIR', str(tmp_path / 'a/b'))
    assert cache_folder() == tmp_path / 'a/b'
    assert (tmp_path / 'a/b').is_dir()
    assert cache_folder(tmp_path / 'c') == tmp_path / 'c'
    monkeypatch.delenv('MMDENSE_CACHE_DIR')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'd'))
    assert cache_folder() == tmp_path / 'd/mmdense'


def test_fingerprints(tmp_path):
    a = np.arange(6)
    assert fingerprint('x', a) == fingerprint('x', a.copy())
    others = [('y', a), ('x', a[::-1]), ('x', a.reshape(2, 3)), ('x', a * 1.0)]
    assert len({fingerprint(*other) for other in [('x', a), *others]}) == 5
    path = tmp_path / 'file'
    found = set()
    for content in (b'', b'a', b'b', b'a' * 10**6, b'a' * 999_999 + b'b'):
        path.write_bytes(content)
        found.add(fingerprint_of_file(path))
    assert len(found) == 5
