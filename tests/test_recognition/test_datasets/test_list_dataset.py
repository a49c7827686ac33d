"""Lists of images, of im2rec and of InsightFace."""

import pickle

import numpy as np
import pytest
from mmpretrain.datasets import CustomDataset
from torch.utils.data import DataLoader

from mmdense.recognition.datasets import ListDataset
from mmdense.recognition.datasets.list_file import ListFile
from tests.golden import FOLDER
from tests.test_recognition.test_datasets.record_files import (
    make_image,
    pixels_of,
)

LOAD = [dict(type='LoadImageFromFile')]
IM2REC = '7\t2.000000\tb/2.png\n5\t0.000000\ta/0.png\n6\t1\ta b/1.png\n'
FACES = '1\tb/2.png\t2\n0\ta/0.png\t0\t1\t2\t3\t4\n1\ta b/1.png\t1\n'
NAMES = ['b/2.png', 'a/0.png', 'a b/1.png']


def write_images(folder):
    for number, name in enumerate(NAMES):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(make_image(number))


@pytest.mark.parametrize(
    ('text', 'kind'), [(IM2REC, 'im2rec'), (FACES, 'insightface')]
)
@pytest.mark.parametrize('end', ['\n', '\r\n', '\n\n'])
def test_samples(text, kind, end, tmp_path):
    folder = tmp_path / 'images'
    folder.mkdir()
    write_images(folder)
    text = text.rstrip('\n') if end == '\n' else text.replace('\n', end)
    (tmp_path / 'train.lst').write_bytes(text.encode())
    for list_format in ('auto', kind):
        dataset = ListDataset(
            data_root=str(tmp_path),
            data_prefix='images',
            list_format=list_format,
            pipeline=LOAD,
        )
        assert dataset.metainfo == {'num_classes': 3}
        assert dataset.get_gt_labels().tolist() == [2, 0, 1]
        loader = DataLoader(
            pickle.loads(pickle.dumps(dataset)),
            num_workers=2,
            batch_size=None,
            collate_fn=lambda sample: sample,
        )
        for number, sample in enumerate(loader):
            assert np.array_equal(sample['img'], pixels_of(make_image(number)))
            assert sample['gt_label'] == [2, 0, 1][number]
            assert sample['img_path'] == str(folder / NAMES[number])
            assert sample['sample_idx'] == number
    part = dataset.get_subset([2, 0])
    assert part.get_gt_labels().tolist() == [1, 2]
    assert part[0]['gt_label'] == 1
    assert dataset.data_list.source.images.unaligned == (kind == 'insightface')


def test_several_labels_and_absolute_paths(tmp_path):
    (tmp_path / 'a.png').write_bytes(make_image(0))
    (tmp_path / 'train.lst').write_text(f'0\t4\t0.5\t-2\t{tmp_path}/a.png\n')
    dataset = ListDataset(
        data_root=str(tmp_path), data_prefix='elsewhere', pipeline=LOAD
    )
    assert dataset[0]['gt_label'] == 4
    images = ListFile(tmp_path / 'train.lst')
    assert images.extra_labels(0) == [4, 0.5, -2]


@pytest.mark.golden
@pytest.mark.parametrize('path', sorted(FOLDER.glob('*/recordio/*/*.lst')))
def test_lists_of_im2rec(path):
    images = ListFile(path)
    assert images.list_format == 'im2rec'
    for number, line in enumerate(path.read_text().splitlines()):
        key, label, *_, name = line.split('\t')
        assert images.key(number) == int(key)
        assert images.labels[number] == float(label)
        assert images.name(number) == name


def test_labels_float32_could_not_hold(tmp_path):
    (tmp_path / 'train.lst').write_text(f'0\t{2**24 + 1}\ta.png\n')
    dataset = ListDataset(data_root=str(tmp_path))
    assert dataset.get_gt_labels().tolist() == [2**24 + 1]


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'lists no image'),
        ('0\ta.png\n', 'cannot tell of which kind'),
        ('0\t1\t2\n', 'cannot tell of which kind'),
        ('a.png 1\n', 'cannot tell of which kind'),
        ('0\t1\ta.png\n1\tx\tb.png\n', 'line 2.*expected number, one or'),
        ('0\t1\ta.png\n1\t1.5\tb.png\n', 'line 2.*no whole number'),
        ('0\t1\ta.png\n1\t-1\tb.png\n', 'line 2.*no whole number'),
        ('0\t1\ta.png\n1\tinf\tb.png\n', 'line 2'),
        ('0\t1\ta.png\n1\tnan\tb.png\n', 'line 2'),
        ('0\t1\ta.png\n\n1\t2\n', 'line 3.*there are 2 columns'),
        ('1\ta.png\t1\n2\tb.png\t1\n', 'line 2.*neither 0 nor 1'),
    ],
)
def test_lists_that_are_none(text, message, tmp_path):
    (tmp_path / 'train.lst').write_text(text)
    with pytest.raises(ValueError, match=message):
        ListFile(tmp_path / 'train.lst')


def test_wrong_arguments(tmp_path):
    with pytest.raises(FileNotFoundError, match='there is no list'):
        ListDataset(data_root=str(tmp_path))
    (tmp_path / 'train.lst').write_text(IM2REC)
    with pytest.raises(ValueError, match="'auto', 'im2rec' or"):
        ListDataset(data_root=str(tmp_path), list_format='csv')
    with pytest.raises(ValueError, match='labels up to 2, expected'):
        ListDataset(data_root=str(tmp_path), metainfo=dict(num_classes=2))


def test_folders_need_no_list(tmp_path):
    """What docs/data.md says of mmpretrain's data set."""
    write_images(tmp_path)
    dataset = CustomDataset(data_root=str(tmp_path), pipeline=LOAD)
    assert list(dataset.CLASSES) == ['a', 'a b', 'b']
    assert [sample['gt_label'] for sample in dataset] == [0, 1, 2]
