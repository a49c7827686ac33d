"""Files that mxnet wrote, whole and damaged."""

import hashlib
import shutil
import struct

import numpy as np
import pytest

from mmdense.recognition.datasets import RecordIODataset
from mmdense.recognition.datasets.list_file import ListFile
from mmdense.recognition.datasets.recordio import (
    RecordError,
    RecordReader,
    RecordWriter,
    decode_image,
    pack_image,
    read_labels,
    read_layout,
    scan_records,
    unpack_image,
)
from mmdense.recognition.datasets.recordio.indexing import rebuild_index
from mmdense.recognition.datasets.recordio.packing import Packing, pack
from mmdense.recognition.datasets.recordio.sources import open_source
from mmdense.recognition.datasets.recordio.unpacking import (
    Unpacking,
    unpack,
)
from tests.golden import FOLDER, read_json

pytestmark = pytest.mark.golden

ROOT = 'partial_fc/recordio'
RECORDS = FOLDER / ROOT
SETS = sorted(
    path.parent.name
    for path in RECORDS.glob('*/expected.json')
    if path.parent.name != 'corrupt'
)
CORRUPT = read_json(f'{ROOT}/corrupt/expected.json') or {}
# What mxnet reads without a word, though it is damaged.
SILENT = {'orphan_middle', 'split_then_whole', 'bad_image'}


@pytest.fixture(params=SETS)
def golden(request):
    expected = read_json(f'{ROOT}/{request.param}/expected.json')
    folder = RECORDS / request.param
    return folder, RecordReader(folder / 'train.rec'), expected


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def test_records(golden):
    _, reader, expected = golden
    assert len(reader) == expected['num_records']
    assert reader.keys.tolist() == expected['key_order_in_idx']
    for record in expected['records']:
        position = reader.find(record['key'])
        assert reader.offsets[position] == record['offset']
        image = reader.read_image(position)
        assert image.flag == record['flag']
        assert (image.flag > 0) == record['label_is_array']
        assert image.labels.tolist() == record['label']
        assert (image.id, image.id2) == (record['id'], record['id2'])
        assert len(image.content) == record['image_len']
        assert sha256(image.content) == record['sha256']


def test_images(golden):
    _, reader, expected = golden
    for record in expected['records']:
        content = reader.read_image(reader.find(record['key'])).content
        if not content:
            with pytest.raises(RecordError, match='has no image'):
                decode_image(content)
            continue
        image = decode_image(content)
        assert list(image.shape) == record['decoded_shape']
        mean = image[..., ::-1].mean((0, 1))
        assert np.allclose(mean, record['decoded_mean_rgb'], atol=0.5)


def test_parts_on_disk(golden):
    """Against a reading of the headers that shares no code with ours."""
    _, reader, expected = golden
    file = reader.rec_file.read_bytes()
    for record in expected['records']:
        place, parts = record['offset'], []
        while True:
            magic, word = struct.unpack_from('<II', file, place)
            assert magic == 0xCED7230A
            parts.append([word >> 29, word & 0x1FFFFFFF])
            place += 8 + (parts[-1][1] + 3) // 4 * 4
            if parts[-1][0] in (0, 3):
                break
        assert parts == record['parts']


def test_written_again(golden, tmp_path):
    """Payloads taken apart and packed again, in their order."""
    _, reader, _ = golden
    with RecordWriter(tmp_path / 'again.rec') as writer:
        for position in np.argsort(reader.offsets):
            image = reader.read_image(position)
            label = image.labels if image.flag else image.labels[0]
            writer.write(
                int(reader.keys[position]),
                pack_image(label, image.content, image.id, image.id2),
            )
    for suffix in ('.rec', '.idx'):
        again = (tmp_path / 'again').with_suffix(suffix).read_bytes()
        assert again == reader.rec_file.with_suffix(suffix).read_bytes()


def test_layout(golden):
    folder, reader, expected = golden
    layout = read_layout(reader)
    reference = expected.get('reference_dataset')
    if reference is None:  # the reference cannot read it
        keys = expected['key_order_in_idx']
        labels = [record['label'][0] for record in expected['records']]
    else:
        keys, labels = reference['keys'], reference['labels']
    assert reader.keys[np.asarray(layout.positions)].tolist() == keys
    assert read_labels(reader, layout.positions).tolist() == labels
    if (folder / 'property').is_file():
        said = int((folder / 'property').read_text().split(',')[0])
        assert layout.identities == said


def test_dataset(golden, tmp_path):
    folder, reader, expected = golden
    dataset = RecordIODataset(data_root=str(folder), cache_dir=str(tmp_path))
    by_key = {record['key']: record for record in expected['records']}
    layout = read_layout(reader)
    assert len(dataset) == len(layout.positions)
    assert dataset.metainfo['num_classes'] == len(
        {by_key[int(reader.keys[p])]['label'][0] for p in layout.positions}
    )
    for index, position in enumerate(layout.positions):
        record = by_key[int(reader.keys[position])]
        sample = dataset[index]
        assert sample['gt_label'] == record['label'][0]
        assert sample['sample_idx'] == index
        assert sample['img_path'].endswith(f'train.rec/{record["key"]}')
        assert list(sample['img'].shape) == record['decoded_shape']
        assert list(sample['img_shape']) == record['decoded_shape'][:2]
        mean = sample['img'][..., ::-1].mean((0, 1))
        assert np.allclose(mean, record['decoded_mean_rgb'], atol=0.5)


def test_scan_and_index(golden, tmp_path):
    _, reader, expected = golden
    found = list(scan_records(reader.rec_file))
    assert [offset for offset, _, _ in found] == sorted(
        record['offset'] for record in expected['records']
    )
    assert found[-1][1] == expected['rec_size']
    rebuild_index(reader.rec_file, tmp_path / 'new.idx')
    assert (tmp_path / 'new.idx').read_bytes() == reader.idx_file.read_bytes()


@pytest.mark.parametrize('workers', [1, 2])
def test_unpacked_and_packed(golden, tmp_path, workers):
    """The bytes of RecBuilder and of the im2rec tool, from image files."""
    folder, reader, expected = golden
    unpack(Unpacking(reader, tmp_path / 'images', workers=workers))
    images = ListFile(tmp_path / 'images' / 'train.lst')
    layout = read_layout(reader)
    assert images.labels.tolist() == [
        reader.read_label(position) for position in layout.positions
    ]
    for number in range(len(images)):
        path = tmp_path / 'images' / images.name(number)
        image = reader.read_image(reader.find(images.key(number)))
        assert path.read_bytes() == image.content
    kind = 'im2rec' if layout.meta is None else 'insightface'
    source = open_source(tmp_path / 'images' / 'train.lst')
    out = tmp_path / 'out' / 'train.rec'
    pack(Packing(source, out, kind, workers=workers))
    again = RecordReader(out)
    if 'RecBuilder' in expected['written_by'] or kind == 'im2rec':
        assert out.read_bytes() == reader.rec_file.read_bytes()
        assert again.idx_file.read_bytes() == reader.idx_file.read_bytes()
    if (folder / 'property').is_file():
        said = (out.parent / 'property').read_text().split()
        assert said == (folder / 'property').read_text().split()
    new = read_layout(again)
    assert new.identities == layout.identities
    for old_place, place in zip(layout.positions, new.positions, strict=True):
        old, image = reader.read_image(old_place), again.read_image(place)
        assert (old.content, old.class_label) == (
            image.content,
            image.class_label,
        )


def attempt(function, *args):
    try:
        return function(*args), None
    except RecordError as error:
        return None, error


@pytest.mark.parametrize('name', CORRUPT)
def test_damage(name):
    """What mxnet reports is an error here, and so is what it does not."""
    path = RECORDS / 'corrupt' / f'{name}.rec'
    by_key = CORRUPT[name]['mxnet_1_9_1_per_key']
    reader, error = attempt(RecordReader, path)
    if error:
        # The index as such is damaged.
        assert str(path.with_suffix('.idx')) in str(error)
        assert name.startswith('idx_')
        return
    wrong = set()
    for key, expected in by_key.items():
        key = int(key)
        position = reader.find(key)
        payload, error = attempt(reader.read_key, key)
        if not error:
            image, error = attempt(reader.read_image, position)
        if not error:
            _, error = attempt(reader.decode, position)
        if error:
            wrong.add(key)
            assert name in str(error)
            assert f'record {key}' in str(error)
            assert error.key == key
            if position >= 0:
                assert error.offset == reader.offsets[position]
                assert f'at byte {error.offset}' in str(error)
            continue
        assert expected['result'] == 'ok'
        assert len(payload) == expected['payload_len']
        assert image.labels.tolist() == expected['label']
        assert sha256(image.content) == expected['sha256'] or (
            sha256(payload) == expected['sha256']
        )
    reported = {int(k) for k, e in by_key.items() if e['result'] != 'ok'}
    assert reported <= wrong
    if name in SILENT:
        assert len(wrong) == len(reported) + 1
    else:
        assert wrong == reported


@pytest.mark.parametrize('name', CORRUPT)
def test_damage_skipped(name, tmp_path):
    """The data set gives what is left, whatever is asked for."""
    path = RECORDS / 'corrupt' / f'{name}.rec'

    def build(on_error, labels=()):
        return RecordIODataset(
            path.name,
            data_root=str(path.parent),
            on_error=on_error,
            metainfo=dict(num_classes=int(max(labels, default=0)) + 1),
            cache_dir=str(tmp_path),
        )

    reader, error = attempt(RecordReader, path)
    if not error:
        # Whether key 0 is an image or a meta record cannot be told.
        _, error = attempt(reader.read_image, 0)
    if error:
        with pytest.raises(RecordError, match=name):
            build('skip')
        return
    good = {
        reader.read_label(position)
        for position in range(len(reader))
        if not attempt(reader.decode, position)[1]
    }
    dataset = build('skip', good)
    samples = [dataset[i] for i in range(len(dataset))]
    assert {sample['gt_label'] for sample in samples} == good
    assert (dataset.skipped > 0) == (len(good) < len(dataset))
    if len(good) < len(dataset):
        with pytest.raises(RecordError, match=name):
            list(build('raise', good))


def test_index_of_a_damaged_file(tmp_path):
    """What is whole behind the damage is found again."""
    expected = CORRUPT.get('wrong_magic')
    if expected is None:
        pytest.skip('wrong_magic is not in the golden data')
    path = tmp_path / 'wrong_magic.rec'
    shutil.copy(RECORDS / 'corrupt' / path.name, path)
    idx = path.with_suffix('.idx')
    with pytest.raises(RecordError, match='magic number'):
        rebuild_index(path, idx)
    assert not idx.exists()
    count, damaged = rebuild_index(path, idx, skip=True)
    by_key = expected['mxnet_1_9_1_per_key']
    ok = [int(k) for k, e in by_key.items() if e['result'] == 'ok']
    assert count == len(ok)
    assert len(damaged) == 1
    reader = RecordReader(path)
    assert sorted(reader.keys.tolist()) == sorted(ok)
    for key in ok:
        image = unpack_image(reader.read_key(key))
        assert sha256(image.content) == by_key[str(key)]['sha256']
