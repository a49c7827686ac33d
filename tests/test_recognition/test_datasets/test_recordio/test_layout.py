"""Which records are images, and their classes."""

import numpy as np
import pytest

from mmdense.recognition.datasets.recordio import (
    RecordError,
    RecordReader,
    RecordWriter,
    layout,
    pack_image,
    read_labels,
    read_layout,
)
from tests.test_recognition.test_datasets.record_files import (
    make_image,
    write_im2rec,
    write_insightface,
)


def test_keys_in_any_order(tmp_path):
    order = [0, 5, 3, 6, 1, 2, 4]
    with RecordWriter(tmp_path / 'a.rec') as writer:
        for key in order:
            label = [5, 7] if key == 0 else key % 2
            writer.write(key, pack_image(label, b'x' if 0 < key < 5 else b''))
    reader = RecordReader(tmp_path / 'a.rec')
    found = read_layout(reader)
    assert [order[position] for position in found.positions] == [1, 2, 3, 4]
    assert (found.identities, found.meta) == (2, 0)
    assert read_labels(reader, found.positions).tolist() == [1, 0, 1, 0]


def test_image_of_key_0_with_several_labels(tmp_path):
    """The reference takes it for a meta record, as of a shuffled file."""
    write_im2rec(tmp_path / 'a.rec', [[3, 1], [0, 1], [2, 0]])
    reader = RecordReader(tmp_path / 'a.rec')
    found = read_layout(reader)
    assert (list(found.positions), found.meta) == ([0, 1, 2], None)
    assert read_labels(reader, found.positions).tolist() == [3, 0, 2]


@pytest.mark.parametrize(
    ('meta', 'message'),
    [
        ([9, 11], '2 of them are not in the index, the first being 7'),
        ([3.5, 5], r'says \[3.5, 5\]'),
        ([5, 3], r'says \[5, 3\]'),
    ],
)
def test_meta_record_that_cannot_be(meta, message, tmp_path):
    with RecordWriter(tmp_path / 'a.rec') as writer:
        for key in range(1, 7):
            writer.write(key, pack_image(0, b'x'))
        writer.write(0, pack_image(meta))
    with pytest.raises(RecordError, match=message):
        read_layout(RecordReader(tmp_path / 'a.rec'))


@pytest.mark.parametrize('said', [7, 8, 9, 10, 11])
def test_counts_float32_has_rounded(said, tmp_path, monkeypatch):
    """As of Glint360K and WebFace42M, with a limit of 4 instead of 2^24."""
    monkeypatch.setattr(layout, 'MAX_LABEL', 4)
    labels, _ = write_insightface(tmp_path / 'a.rec', [4, 2, 2])
    data = (tmp_path / 'a.rec').read_bytes()
    true, wrong = pack_image([9, 12]), pack_image([said, said + 4])
    assert data.count(true) == 1
    (tmp_path / 'a.rec').write_bytes(data.replace(true, wrong))
    reader = RecordReader(tmp_path / 'a.rec')
    found = read_layout(reader)
    assert reader.keys[np.asarray(found.positions)].tolist() == list(
        range(1, 9)
    )
    assert found.identities == 3
    assert read_labels(reader, found.positions).tolist() == labels


def test_labels_of_damaged_and_split_records(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, '_CHUNK', 4)
    magic = b'\x0a\x23\xd7\xce'
    payloads = [
        pack_image(7, b'x'),
        # The magic number within the header: the label is in part 2.
        pack_image([5.0, 1.0], b'y', id=int.from_bytes(magic, 'little')),
        pack_image(3, b'')[:20],
        pack_image(2, magic * 3 + b'z'),
        b'',
        pack_image([4.0, 2.0], b''),
        pack_image(1.5, b''),
        pack_image(-1, b''),
        pack_image(6, b''),
    ]
    with RecordWriter(tmp_path / 'a.rec') as writer:
        for key, payload in enumerate(payloads):
            writer.write(key, payload)
    reader = RecordReader(tmp_path / 'a.rec')
    wanted = [7, 5, -1, 2, -1, 4, -1, -1, 6]
    assert read_labels(reader, range(9)).tolist() == wanted
    backwards = np.arange(9)[::-1]
    assert read_labels(reader, backwards).tolist() == wanted[::-1]
    one_by_one = []
    for position in range(9):
        try:
            one_by_one.append(reader.read_label(position))
        except RecordError:
            one_by_one.append(-1)
    assert one_by_one == wanted


def test_one_tiny_record(tmp_path):
    write_im2rec(tmp_path / 'a.rec', [2], [make_image(0)])
    reader = RecordReader(tmp_path / 'a.rec')
    assert read_labels(reader, range(1)).tolist() == [2]
    with RecordWriter(tmp_path / 'b.rec') as writer:
        writer.write(5, pack_image(1))
    assert read_labels(RecordReader(tmp_path / 'b.rec'), range(1)) == [1]


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('6,112,96\n', {'num_classes': 6, 'height': 112, 'width': 96}),
        ('6', {'num_classes': 6}),
    ],
)
def test_property(text, said, tmp_path):
    assert layout.read_property(tmp_path) is None
    (tmp_path / 'property').write_text(text)
    assert layout.read_property(tmp_path) == said


@pytest.mark.parametrize('text', ['', 'six', '0,112,112', '1,2,3,4'])
def test_property_that_is_none(text, tmp_path):
    (tmp_path / 'property').write_text(text)
    with pytest.raises(RecordError, match='expected identities,height,width'):
        layout.read_property(tmp_path)
