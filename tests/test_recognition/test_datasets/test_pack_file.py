"""Packs of every origin are read, and nothing that they name is run."""

import hashlib
import os
import pickle

import numpy as np
import pytest

from mmdense.recognition.datasets import pack_file
from mmdense.recognition.datasets.pack_file import read_pack
from tests.golden import FOLDER, read_json

_FOLDER = FOLDER / 'partial_fc/verification'


def _expected():
    expected = read_json('partial_fc/verification/expected.json')
    if expected is None:
        pytest.skip('no golden verification')
    return expected


def _hash(data):
    return hashlib.sha256(data).hexdigest()


@pytest.mark.golden
def test_golden_packs_of_all_protocols():
    small = _expected()['small_packs']
    read = 0
    for name, facts in small.items():
        if 'shape' not in facts or not all(
            isinstance(same, bool) for same in facts['issame']
        ):
            continue
        pack = read_pack(_FOLDER / f'{name}.bin')
        assert pack.issame.tolist() == facts['issame']
        assert [_hash(image) for image in pack.images] == small['sha256']
        read += 1
    assert read >= 3


@pytest.mark.golden
def test_golden_pack_of_jpegs():
    facts = _expected()['pairs']
    pack = read_pack(_FOLDER / 'pairs.bin')
    assert pack.issame.tolist() == facts['issame']
    assert len(pack.images) == facts['images'] == 2 * facts['count']
    for image, start in zip(pack.images, facts['sha256'], strict=True):
        assert _hash(image).startswith(start)


@pytest.mark.golden
@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('pairs_forbidden', r'it names (posix|os|nt)\.'),
        ('pairs_truncated', 'cannot be read.*cut off'),
        ('pairs_image_missing', r'holds \d+ images for \d+ pairs, expected'),
    ],
)
def test_golden_packs_that_are_refused(name, message, monkeypatch):
    path = _FOLDER / f'{name}.bin'
    if not path.is_file():
        pytest.skip(f'no {name} in the golden data')

    def run(*args):
        raise AssertionError('the pickle was run')

    monkeypatch.setattr(os, 'getcwd', run)
    with pytest.raises(ValueError, match=message) as error:
        read_pack(path)
    assert f'{name}.bin' in str(error.value)


_IMAGES = [b'\xff\xd8first', b'', bytes(range(256)), b'\x89PNG\x00\xff']
_FORMS = {
    'bytes': lambda data: data,
    'bytearray': bytearray,
    'array': lambda data: np.frombuffer(data, np.uint8),
    'fresh array': lambda data: np.frombuffer(data, np.uint8).copy(),
}
_KINDS = {
    'bool': lambda same: same,
    'int': lambda same: [int(i) for i in same],
    'numpy bool': lambda same: list(np.array(same)),
    'numpy int': lambda same: list(np.array(same, np.int64)),
    'array': np.array,
    'int array': lambda same: np.array(same, '>i4'),
}


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize('form', _FORMS)
def test_images_of_every_form(tmp_path, form, protocol):
    images = [_FORMS[form](image) for image in _IMAGES]
    path = tmp_path / 'a.bin'
    path.write_bytes(pickle.dumps((images, [True, False]), protocol))
    assert read_pack(path).images == _IMAGES


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize('kind', _KINDS)
def test_answers_of_every_kind(tmp_path, kind, protocol):
    answers = _KINDS[kind]([False, True])
    path = tmp_path / 'a.bin'
    path.write_bytes(pickle.dumps((_IMAGES, answers), protocol))
    issame = read_pack(path).issame
    assert issame.dtype == bool
    assert issame.tolist() == [False, True]


def test_arrays_of_numpy_2(tmp_path):
    content = ([np.frombuffer(image, np.uint8) for image in _IMAGES], [1, 0])
    for protocol in (2, 5):
        data = pickle.dumps(content, protocol)
        old, new = b'numpy.core.', b'numpy._core.'
        assert (old in data) != (new in data)
        if protocol == 2:  # there the name's length is not written
            data = data.replace(new, old) if new in data else data
        path = tmp_path / f'{protocol}.bin'
        path.write_bytes(data)
        assert read_pack(path).images == _IMAGES


class _Calls:
    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    'item',
    [
        _Calls(os.mkdir, 'made'),
        _Calls(eval, '__import__("os").mkdir("made")'),
        _Calls(np.load, 'file.npy'),
        _Calls(np.frombuffer, b'abc'),
        np.ma.masked_array([1]),
        np.random.default_rng(0),
        {1, 2},
        os.mkdir,
    ],
)
def test_whatever_else_a_pickle_names_is_refused(tmp_path, monkeypatch, item):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'evil.bin'
    for protocol in (2, 4):
        path.write_bytes(pickle.dumps((_IMAGES, [True, item]), protocol))
        with pytest.raises(ValueError, match=r'evil\.bin.*(names|pair 1)'):
            read_pack(path)
    assert not (tmp_path / 'made').exists()


@pytest.mark.parametrize('name', ['_codecs\nencode', 'numpy\ndtype'])
def test_stand_ins_keep_their_behaviour(tmp_path, name):
    """A pickle may set attributes of what it is handed, our functions too."""
    before = dict(vars(pack_file._Dtype)), pack_file._encode.__defaults__
    state = pickle.dumps((None, {'__defaults__': None, 'x': 1}), 0)[:-1]
    path = tmp_path / 'a.bin'
    path.write_bytes(b'c' + name.encode() + b'\n' + state + b'b.')
    with pytest.raises(ValueError, match=r'a\.bin'):
        read_pack(path)
    assert not hasattr(pack_file._encode, 'x')
    after = dict(vars(pack_file._Dtype)), pack_file._encode.__defaults__
    assert before == after


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ([1, 2, 3], 'got list'),
        ('text', 'got str'),
        ((5, [True]), 'got int 5'),
        ((['text', b'a'], [True]), 'image 0 is str'),
        (([None, b'a'], [True]), 'image 0 is NoneType'),
        (([b'a', b'b'], [2]), 'issame of pair 0 is int 2'),
        (([b'a', b'b'], ['yes']), 'issame of pair 0 is str'),
        (([b'a', b'b', b'c'], [True]), '3 images for 1 pairs, expected 2'),
        (([np.zeros((2, 2), 'u1')] * 2, [True]), r'shape \(2, 2\)'),
        (([np.zeros(2, 'f4')] * 2, [True]), "type 'f4'"),
        (([np.zeros(2, 'i4')] * 2, [True]), 'image 0 is Array of int32'),
        (([np.array([{}])] * 2, [True]), "type 'O8'"),
    ],
)
def test_other_content_is_refused(tmp_path, content, message):
    path = tmp_path / 'other.bin'
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=message) as error:
        read_pack(path)
    assert 'other.bin' in str(error.value)


@pytest.mark.parametrize('data', [b'', b'\xff\xd8\xff\xe0', b'hello\n', b'.'])
def test_files_that_are_no_pickles(tmp_path, data):
    path = tmp_path / 'photo.bin'
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r'photo\.bin cannot be read'):
        read_pack(path)


def test_a_missing_file_names_its_neighbours(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no \.bin file'):
        read_pack(tmp_path / 'lfw.bin')
    (tmp_path / 'cfp_fp.bin').touch()
    with pytest.raises(FileNotFoundError, match=r'there is cfp_fp\.bin'):
        read_pack(tmp_path / 'lfw.bin')
