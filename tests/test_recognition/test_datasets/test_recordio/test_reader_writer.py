"""Records of any content, interrupted writing, and readers on the move."""

import multiprocessing
import os
import pickle
import struct
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdense.recognition.datasets.recordio import (
    RecordError,
    RecordReader,
    RecordWriter,
    pack_image,
    scan_records,
    unpack_image,
)
from mmdense.recognition.datasets.recordio.container import (
    MAGIC_BYTES,
    encode_record,
)
from mmdense.recognition.datasets.recordio.index import read_index

# Pieces of which records are made: many a magic number, at any alignment.
PIECES = st.sampled_from(
    [MAGIC_BYTES, MAGIC_BYTES[:3], MAGIC_BYTES[1:], b'', b'\0', b'abcde']
)
PAYLOADS = st.lists(PIECES | st.binary(max_size=9), max_size=8).map(b''.join)


def write(path, payloads, **options):
    with RecordWriter(path, **options) as writer:
        for key, payload in enumerate(payloads):
            writer.write(key, payload)
    return RecordReader(path)


def reference_encoding(payload):
    """The rule of dmlc-core word by word."""
    words = [payload[i : i + 4] for i in range(0, len(payload), 4)]
    parts = [[]]
    for word in words:
        if word == MAGIC_BYTES:
            parts.append([])
        else:
            parts[-1].append(word)
    out = b''
    for number, part in enumerate(parts):
        flag = 0
        if len(parts) > 1:
            flag = 1 if number == 0 else 3 if number == len(parts) - 1 else 2
        content = b''.join(part)
        out += MAGIC_BYTES + struct.pack('<I', flag * 2**29 + len(content))
        out += content
        while len(out) % 4:
            out += b'\0'
    return out


@given(PAYLOADS)
def test_encoding(payload):
    assert encode_record(payload) == reference_encoding(payload)


@settings(max_examples=25, deadline=None)
@given(payloads=st.lists(PAYLOADS, min_size=1, max_size=6))
def test_round_trip(payloads, tmp_path_factory):
    path = tmp_path_factory.mktemp('records') / 'a.rec'
    reader = write(path, payloads)
    assert [reader.read(i) for i in range(len(reader))] == payloads
    assert [found for _, _, found in scan_records(path)] == payloads


@settings(max_examples=30, deadline=None)
@given(
    payloads=st.lists(PAYLOADS, min_size=1, max_size=4),
    data=st.data(),
)
def test_any_cut_is_noticed(payloads, data, tmp_path_factory):
    """Every record that does not end before the cut is an error."""
    path = tmp_path_factory.mktemp('cut') / 'a.rec'
    reader = write(path, payloads)
    whole = path.read_bytes()
    size = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(whole[:size])
    ends = [*reader.offsets[1:].tolist(), len(whole)]
    reader = RecordReader(path)
    for position, end in enumerate(ends):
        if end <= size:
            assert reader.read(position) == payloads[position]
        else:
            with pytest.raises(RecordError, match=f'record {position} at'):
                reader.read(position)


@given(
    labels=st.integers(0, 2**24)
    | st.lists(st.floats(-(2**24), 2**24, width=32), min_size=1, max_size=5),
    content=st.binary(max_size=20),
    ids=st.tuples(*[st.integers(0, 2**64 - 1)] * 2),
)
def test_image_header(labels, content, ids):
    payload = pack_image(labels, content, *ids)
    image = unpack_image(payload)
    assert image.labels.tolist() == np.atleast_1d(labels).tolist()
    assert (image.content, image.id, image.id2) == (content, *ids)
    assert image.flag == (len(labels) if isinstance(labels, list) else 0)
    if isinstance(labels, int):
        assert image.class_label == labels


@pytest.mark.parametrize('label', [2**24 + 1, 29_000_001, [0, 2**24 + 2]])
def test_labels_float32_cannot_hold_are_not_written(label):
    with pytest.raises(ValueError, match='up to 2\\^24 = 16777216'):
        pack_image(label)


@pytest.mark.parametrize(
    ('label', 'message'),
    [
        (29_000_000, 'the class it stood for is lost'),
        (1.5, 'a whole number'),
        (-1, 'counted from 0'),
        (float('nan'), 'counted from 0'),
        (float('inf'), 'is lost'),
    ],
)
def test_labels_that_are_no_class(label, message, tmp_path):
    payload = struct.pack('<IfQQ', 0, label, 0, 0) + b'image'
    reader = write(tmp_path / 'a.rec', [payload])
    with pytest.raises(RecordError, match=message):
        reader.read_label(0)
    assert reader.read_image(0).content == b'image'


def test_error_survives_pickling():
    error = RecordError('is cut', file='a.rec', key=3, offset=12)
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == 'a.rec: record 3 at byte 12: is cut'
    assert (again.key, again.offset, again.reason) == (3, 12, 'is cut')
    # As a DataLoader makes it anew in the main process.
    assert str(RecordError(str(error))) == str(error)


def test_old_format_is_named(tmp_path):
    reader = write(tmp_path / 'a.rec', [b'x'])
    with reader.rec_file.open('r+b') as file:
        file.write(struct.pack('<I', 0x3ED7230A))
    with pytest.raises(RecordError, match='format of old'):
        reader.read(0)


def test_find(tmp_path):
    keys = [7, 3, 0, 12, 5]
    with RecordWriter(tmp_path / 'a.rec') as writer:
        for key in keys:
            writer.write(key, b'%d' % key)
    reader = RecordReader(tmp_path / 'a.rec')
    assert [reader.find(key) for key in keys] == list(range(5))
    assert reader.find_all(np.array([5, 4, 0, 99])).tolist() == [4, -1, 2, -1]
    assert [reader.read_key(key) for key in keys] == [
        b'7',
        b'3',
        b'0',
        b'12',
        b'5',
    ]
    with pytest.raises(RecordError, match='record 4: is not in the index'):
        reader.read_key(4)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match='no record file'):
        RecordReader(tmp_path / 'a.rec')
    (tmp_path / 'a.rec').touch()
    with pytest.raises(FileNotFoundError, match=r'recordio.py index'):
        RecordReader(tmp_path / 'a.rec')


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'is empty'),
        ('1\t0\n2\n', 'line 2 of the index'),
        ('1\t0\n2\t3\t4\n', 'line 2'),
        ('1\t0\n\n2\tx\n', 'record 2: line 3'),
        ('1\t0\n2\t-4\n', 'line 2'),
        ('1 0\n', 'line 1'),
        ('1\t0\n1\t8\n', 'record 1 at byte 8: is there twice'),
    ],
)
def test_index_lines(text, message, tmp_path):
    path = tmp_path / 'a.idx'
    path.write_text(text)
    with pytest.raises(RecordError, match=message) as caught:
        read_index(path)
    assert str(path) in str(caught.value)


def test_index_of_windows(tmp_path):
    path = tmp_path / 'a.idx'
    path.write_bytes(b'0\t0\r\n1\t12\r\n')
    assert read_index(path).tolist() == [[0, 0], [1, 12]]


def _read_all(reader):
    return [reader.read(i) for i in range(len(reader))]


@pytest.mark.parametrize('cached', [False, True])
def test_pickled_and_forked(cached, tmp_path):
    payloads = [b'%d' % i * i for i in range(50)]
    write(tmp_path / 'a.rec', payloads)
    cache = tmp_path / 'cache' if cached else None
    reader = RecordReader(tmp_path / 'a.rec', cache_dir=cache)
    assert _read_all(reader) == payloads
    state = pickle.dumps(reader)
    assert _read_all(pickle.loads(state)) == payloads
    # A cached index is mapped again and does not travel.
    assert (len(state) < reader.keys.nbytes) == cached
    with multiprocessing.get_context('fork').Pool(2) as pool:
        assert pool.map(_read_all, [reader] * 3) == [payloads] * 3


def test_cache_follows_the_files(tmp_path):
    path = tmp_path / 'a.rec'
    cache = tmp_path / 'cache'
    write(path, [b'one'])
    assert len(RecordReader(path, cache_dir=cache)) == 1
    (first,) = cache.iterdir()
    write(path, [b'one', b'two'])
    # Of equal size, but another time.
    for _ in range(2):
        reader = RecordReader(path, cache_dir=cache)
        assert [reader.read(i) for i in range(2)] == [b'one', b'two']
        (second,) = cache.iterdir()
        assert second != first
        first = second
        path.write_bytes(path.read_bytes())
        os.utime(path, ns=(time.time_ns(), time.time_ns() + 10**9))
    for file in cache.iterdir():
        file.write_bytes(b'damaged')
    assert len(RecordReader(path, cache_dir=cache)) == 2


def test_cache_that_cannot_be_written(tmp_path):
    write(tmp_path / 'a.rec', [b'one'])
    (tmp_path / 'file').touch()
    reader = RecordReader(tmp_path / 'a.rec', cache_dir=tmp_path / 'file')
    assert reader.read(0) == b'one'


def test_nothing_under_the_name_before_the_end(tmp_path):
    path = tmp_path / 'a.rec'
    writer = RecordWriter(path)
    writer.write(0, b'x')
    writer.__exit__(KeyError)
    assert not path.exists()
    assert not path.with_suffix('.idx').exists()
    with RecordWriter(path, resume=True) as writer:
        assert list(writer.keys) == [0]
        assert not path.exists()
    assert RecordReader(path).read(0) == b'x'
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a.idx', 'a.rec']


def test_keys_are_unique(tmp_path):
    writer = RecordWriter(tmp_path / 'a.rec')
    writer.write(1, b'x')
    writer.write(1, b'y')
    with pytest.raises(ValueError, match='is there twice'):
        writer.close()
    assert not (tmp_path / 'a.rec').exists()


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_resume_after_any_kill(data, tmp_path_factory):
    """Whatever of the two files got to the disk, the result is the same."""
    folder = tmp_path_factory.mktemp('kill')
    payloads = [b'%d' % i + MAGIC_BYTES * (i % 4) for i in range(8)]
    write(folder / 'whole.rec', payloads)
    count = data.draw(st.integers(0, len(payloads)))
    writer = RecordWriter(folder / 'a.rec')
    for key in range(count):
        writer.write(key, payloads[key])
    writer._rec.close()
    writer._idx.close()
    for suffix in ('rec', 'idx'):
        path = folder / f'.a.{suffix}.partial'
        content = path.read_bytes()
        path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with RecordWriter(folder / 'a.rec', resume=True) as writer:
        assert list(writer.keys) == list(range(len(writer.keys)))
        assert len(writer.keys) <= count
        for key in range(len(writer.keys), len(payloads)):
            writer.write(key, payloads[key])
    for suffix in ('.rec', '.idx'):
        made = (folder / 'a').with_suffix(suffix).read_bytes()
        assert made == (folder / 'whole').with_suffix(suffix).read_bytes()


def test_killed_between_the_two_names(tmp_path):
    write(tmp_path / 'a.rec', [b'x', b'y'])
    (tmp_path / 'a.rec').rename(tmp_path / '.a.rec.partial')
    with RecordWriter(tmp_path / 'a.rec', resume=True) as writer:
        assert list(writer.keys) == [0, 1]
    assert RecordReader(tmp_path / 'a.rec').read(1) == b'y'
