"""The data set of record files: samples, workers, damage."""

import copy
import os
import pickle

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler, pseudo_collate
from torch.utils.data import DataLoader

from mmdense.apis.config_check.data_files import missing_files
from mmdense.engine.seeded_dataset import SeededDataset
from mmdense.recognition.datasets import NoisyLabels, RecordIODataset
from mmdense.recognition.datasets.recordio import RecordError
from mmdense.registry import DATASETS
from tests.test_recognition.test_datasets.record_files import (
    pixels_of,
    write_im2rec,
    write_insightface,
)

COUNTS = [5, 1, 7, 3]
FLIP = [
    dict(type='mmpretrain.RandomFlip', prob=0.5),
    dict(type='mmpretrain.RandomCrop', crop_size=8),
]


@pytest.fixture
def files(tmp_path):
    labels, contents = write_insightface(tmp_path / 'train.rec', COUNTS)
    return str(tmp_path), labels, contents


def same(samples, others):
    assert len(samples) == len(others)
    for sample, other in zip(samples, others, strict=True):
        assert sample.keys() == other.keys()
        for key, value in sample.items():
            assert np.array_equal(value, other[key]), key


def load(dataset, workers, **options):
    loader = DataLoader(
        dataset,
        batch_size=3,
        num_workers=workers,
        collate_fn=lambda batch: batch,
        **options,
    )
    return [sample for batch in loader for sample in batch]


def test_samples(files):
    folder, labels, contents = files
    dataset = DATASETS.build(
        dict(type='mmdense.RecordIODataset', data_root=folder)
    )
    assert len(dataset) == len(labels)
    assert dataset.metainfo == {'num_classes': len(COUNTS)}
    for index, (label, content) in enumerate(
        zip(labels, contents, strict=True)
    ):
        sample = dataset[index]
        assert sorted(sample) == [
            'gt_label',
            'img',
            'img_path',
            'img_shape',
            'ori_shape',
            'sample_idx',
        ]
        assert np.array_equal(sample['img'], pixels_of(content))
        assert sample['img_shape'] == sample['ori_shape'] == (12, 14)
        assert (sample['gt_label'], sample['sample_idx']) == (label, index)
        assert sample['img_path'] == os.path.join(
            folder, 'train.rec', str(index + 1)
        )
        assert dataset.get_cat_ids(index) == [label]
    assert dataset.get_gt_labels().tolist() == labels
    assert dataset[-1]['sample_idx'] == len(labels) - 1
    assert 'train.rec' in repr(dataset)


def test_other_names(tmp_path):
    write_im2rec(tmp_path / 'faces.rec', [[2, 9], [0, 9]], first=100)
    (tmp_path / 'faces.idx').rename(tmp_path / 'other.idx')
    dataset = RecordIODataset(
        rec_file='faces.rec', idx_file='other.idx', data_root=str(tmp_path)
    )
    assert [sample['gt_label'] for sample in dataset] == [2, 0]
    assert dataset.metainfo['num_classes'] == 3
    again = RecordIODataset(
        rec_file=str(tmp_path / 'faces.rec'),
        idx_file=str(tmp_path / 'other.idx'),
        metainfo=dict(num_classes=9),
    )
    assert again.metainfo['num_classes'] == 9


def test_no_record_is_read_at_the_start(files, monkeypatch):
    folder, _, _ = files
    from mmdense.recognition.datasets.recordio import RecordReader

    read = []
    original = RecordReader.read

    def spy(self, position):
        read.append(int(self.keys[position]))
        return original(self, position)

    monkeypatch.setattr(RecordReader, 'read', spy)
    RecordIODataset(data_root=folder)
    assert read == [0]


@pytest.mark.parametrize('workers', [1, 3])
def test_workers_give_the_same(files, workers):
    dataset = RecordIODataset(data_root=files[0])
    same(load(dataset, workers), [dataset[i] for i in range(len(dataset))])


@pytest.mark.parametrize('start', ['spawn', 'forkserver'])
@pytest.mark.slow
def test_workers_that_are_not_forked(files, start):
    dataset = RecordIODataset(data_root=files[0])
    loader = DataLoader(
        dataset,
        batch_size=3,
        num_workers=1,
        collate_fn=pseudo_collate,
        multiprocessing_context=start,
    )
    paths = [path for batch in loader for path in batch['img_path']]
    assert paths == [sample['img_path'] for sample in dataset]


def test_pickled_without_the_index(tmp_path):
    sizes = []
    for count in (4, 400):
        folder = tmp_path / str(count)
        write_im2rec(folder / 'train.rec', [0] * count, [b'x'] * count)
        dataset = RecordIODataset(data_root=str(folder))
        dataset.get_gt_labels()
        state = pickle.dumps(dataset)
        assert len(pickle.loads(state)) == count
        sizes.append(len(state))
    assert sizes[1] - sizes[0] < 100


def test_seeded_and_resumable(files):
    """Augmentation is a function of seed, epoch and sample alone."""
    dataset = SeededDataset(
        dict(type='mmdense.RecordIODataset', data_root=files[0], pipeline=FLIP)
    )
    dataset.set_place(3, 1)
    inline = [dataset[i] for i in range(len(dataset))]
    same(load(dataset, 2), inline)
    same([dataset[i] for i in range(4, 8)], inline[4:8])
    dataset.set_place(3, 2)
    assert not all(
        np.array_equal(dataset[i]['img'], inline[i]['img']) for i in range(9)
    )


@pytest.mark.parametrize(
    ('indices', 'kept'),
    [
        (3, [0, 1, 2]),
        (-2, [14, 15]),
        ([5, 0, 5, -1], [5, 0, 5, 15]),
        (np.array([2, 1]), [2, 1]),
    ],
)
def test_subsets(files, indices, kept):
    folder, labels, contents = files
    whole = RecordIODataset(data_root=folder)
    part = copy.copy(whole)
    part.get_subset_(indices)
    for subset in (
        RecordIODataset(data_root=folder, indices=indices),
        whole.get_subset(indices),
        part,
        whole.get_subset(range(16)).get_subset(indices),
    ):
        assert len(subset) == len(kept)
        assert subset.get_gt_labels().tolist() == [labels[i] for i in kept]
        for index, number in enumerate(kept):
            sample = subset[index]
            assert np.array_equal(sample['img'], pixels_of(contents[number]))
            assert sample['sample_idx'] == index
        assert subset.metainfo == whole.metainfo
    assert len(whole) == len(labels)
    with pytest.raises(IndexError, match='of a data set of 16 samples'):
        whole.get_subset([16])


def test_num_classes(files, tmp_path):
    folder, _, _ = files
    (tmp_path / 'property').write_text('9,12,14')
    with pytest.raises(ValueError, match=r'says 9 identities.* 4; give'):
        RecordIODataset(data_root=folder)
    said = RecordIODataset(data_root=folder, metainfo=dict(num_classes=9))
    assert said.metainfo['num_classes'] == 9
    write_im2rec(tmp_path / 'b.rec', [0, 5])
    assert RecordIODataset('b.rec', data_root=folder).metainfo == {
        'num_classes': 9
    }
    (tmp_path / 'property').unlink()
    assert RecordIODataset('b.rec', data_root=folder).metainfo == {
        'num_classes': 6
    }


@pytest.mark.parametrize('on_error', ['raise', 'skip'])
def test_labels_beyond_the_classes(files, on_error):
    dataset = RecordIODataset(
        data_root=files[0], metainfo=dict(num_classes=3), on_error=on_error
    )
    assert dataset[12]['gt_label'] == 2
    with pytest.raises(ValueError, match='/14 has the label 3, expected one'):
        dataset[13]


def test_pipeline_that_loads(files):
    for kind in ('LoadImageFromFile', 'mmpretrain.LoadImageFromFile'):
        with pytest.raises(ValueError, match='leave it out'):
            RecordIODataset(data_root=files[0], pipeline=[dict(type=kind)])


def test_wrong_option(files):
    with pytest.raises(ValueError, match="'raise' or 'skip'"):
        RecordIODataset(data_root=files[0], on_error='ignore')


def damage(folder, labels, contents, numbers):
    contents = list(contents)
    for number in numbers:
        contents[number] = contents[number][:50]
    write_insightface(f'{folder}/train.rec', COUNTS, contents)


def test_damage_is_raised(files):
    damage(*files, [6])
    dataset = RecordIODataset(data_root=files[0])
    assert dataset[5]['gt_label'] == 1
    with pytest.raises(
        RecordError, match=r'train\.rec: record 7 at byte \d+: its PNG is cut'
    ):
        dataset[6]
    with pytest.raises(RecordError, match='record 7 at byte'):
        load(dataset, 2)


def test_damage_is_skipped_and_counted(files):
    folder, labels, contents = files
    bad = [0, 6, 7, 15]
    damage(*files, bad)
    dataset = RecordIODataset(data_root=folder, on_error='skip')
    samples = load(dataset, 3)
    met = dataset.skipped
    assert met >= len(bad)
    for index, sample in enumerate(samples):
        number = sample['sample_idx']
        assert number not in bad
        assert (number == index) == (index not in bad)
        # Label and image are of the same record.
        assert sample['gt_label'] == labels[number]
        assert np.array_equal(sample['img'], pixels_of(contents[number]))
    # The same ones again, by whichever process.
    same([dataset[i] for i in range(len(dataset))], samples)
    assert dataset.skipped == 2 * met
    same(load(dataset, 2, persistent_workers=True), samples)
    assert dataset.skipped == 3 * met


def test_skipped_of_a_wrapped_one(files):
    damage(*files, [0])
    dataset = SeededDataset(
        dict(
            type='mmdense.RecordIODataset', data_root=files[0], on_error='skip'
        )
    )
    dataset.set_place(0, 0)
    load(dataset, 2)
    assert dataset.skipped == 1


def test_warnings_grow_rare(files, monkeypatch):
    damage(*files, [2])
    from mmdense.recognition.datasets import recordio_dataset

    lines = []
    monkeypatch.setattr(
        recordio_dataset, 'print_log', lambda text, **_: lines.append(text)
    )
    dataset = RecordIODataset(data_root=files[0], on_error='skip')
    for _ in range(250):
        dataset[2]
    # 1 to 10, 20 to 90, 100 and 200.
    assert len(lines) == 20
    assert 'record 3 at byte' in lines[0]
    assert 'damaged record 200 met' in lines[-1]


def test_damaged_headers(files):
    folder, labels, _ = files
    path = f'{folder}/train.rec'
    offset = int(
        RecordIODataset(data_root=folder).data_list.source.reader.offsets[4]
    )
    with open(path, 'r+b') as file:
        file.seek(offset)
        file.write(b'none')
    with pytest.raises(RecordError, match='record 5 at byte'):
        RecordIODataset(data_root=folder).get_gt_labels()
    dataset = RecordIODataset(data_root=folder, on_error='skip')
    found = dataset.get_gt_labels()
    assert found.tolist() == [dataset[i]['gt_label'] for i in range(16)]
    assert np.delete(found, 4).tolist() == np.delete(labels, 4).tolist()
    noisy = NoisyLabels(dataset, dict(kind='flip', share=0.5))
    for index in range(len(noisy)):
        sample = noisy[index]
        new = noisy.get_gt_labels()[sample['sample_idx']]
        assert sample['gt_label'] == new


def test_cut_file(files):
    folder = files[0]
    path = f'{folder}/train.rec'
    source = RecordIODataset(data_root=folder).data_list.source
    os.truncate(path, int(source.reader.offsets[10]))
    with pytest.raises(RecordError, match=r'11 of 21 records are not in'):
        RecordIODataset(data_root=folder, metainfo=dict(num_classes=4))
    # Without the meta record, nothing is known of the others.
    with pytest.raises(RecordError, match='record 0'):
        RecordIODataset(data_root=folder, on_error='skip')


def test_cut_file_without_meta_record(tmp_path):
    write_im2rec(tmp_path / 'train.rec', list(range(20)))
    source = RecordIODataset(data_root=str(tmp_path)).data_list.source
    os.truncate(tmp_path / 'train.rec', int(source.reader.offsets[8]) + 30)
    dataset = RecordIODataset(data_root=str(tmp_path), on_error='skip')
    assert dataset.metainfo['num_classes'] == 8
    found = {sample['sample_idx'] for sample in load(dataset, 2)}
    assert found == set(range(8))
    # What is lost is made up for by many, not by a neighbour.
    in_place = [dataset[i]['sample_idx'] for i in range(8, 20)]
    assert len(set(in_place)) > 4


def test_nothing_is_whole(tmp_path):
    write_im2rec(tmp_path / 'train.rec', [0, 1], [b'x', b'y'])
    dataset = RecordIODataset(data_root=str(tmp_path), on_error='skip')
    with pytest.raises(RecordError, match='so are 50 others'):
        dataset[0]


def test_lazy_init(files):
    dataset = RecordIODataset(data_root=files[0], lazy_init=True)
    assert not dataset._fully_initialized
    assert 'initialized' in repr(dataset)
    assert dataset.skipped == 0
    assert len(dataset) == 16


def test_packed_batches(files):
    """What a training step gets, in the order of mmengine's sampler."""
    dataset = RecordIODataset(
        data_root=files[0], pipeline=[dict(type='mmpretrain.PackInputs')]
    )
    loader = DataLoader(
        dataset,
        batch_size=4,
        num_workers=2,
        sampler=DefaultSampler(dataset, shuffle=True, seed=5),
        collate_fn=pseudo_collate,
    )
    order = [s.sample_idx for batch in loader for s in batch['data_samples']]
    assert order == list(DefaultSampler(dataset, shuffle=True, seed=5))
    batch = next(iter(loader))
    first = batch['data_samples'][0]
    assert torch.equal(
        batch['inputs'][0],
        torch.from_numpy(pixels_of(files[2][first.sample_idx])).permute(
            2, 0, 1
        ),
    )
    assert first.gt_label.item() == files[1][first.sample_idx]


def test_check_config_looks_for_the_file(files):
    cfg = dict(data_root=files[0], rec_file='train.rec', idx_file='b.idx')
    (missing,) = missing_files(cfg)
    assert missing == ('idx_file', os.path.join(files[0], 'b.idx'))
