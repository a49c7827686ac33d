"""The label noise tool, on folders and lists made here."""

import importlib.util
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmdense.recognition.datasets.list_file import ListFile
from mmdense.recognition.functional.label_noise import inter_class_conflict

TOOL = (
    Path(__file__).resolve().parents[2]
    / 'tools'
    / 'dataset_converters'
    / 'label_noise.py'
)


@pytest.fixture
def tool():
    spec = importlib.util.spec_from_file_location('label_noise_tool', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def faces(tmp_path):
    """5 identities of 6 images, whose grey level is 40 x identity."""
    for identity in range(5):
        folder = tmp_path / 'faces' / f'id {identity}'
        folder.mkdir(parents=True)
        for number in range(6):
            image = np.full((8, 8, 3), 40 * identity, np.uint8)
            cv2.imwrite(str(folder / f'{number}.png'), image)
    return tmp_path / 'faces'


def run(tool, *args):
    tool.main([str(arg) for arg in args])


def read(path):
    images = ListFile(path, 'im2rec')
    names = [images.name(i) for i in range(len(images))]
    truth = np.array([int(name.split('/')[0][3:]) for name in names])
    return names, images.labels, truth


def read_classes(path):
    rows = [line.split('\t') for line in path.read_text().splitlines()]
    assert rows[0] == ['label', 'true_label', 'name']
    assert [int(row[0]) for row in rows[1:]] == list(range(len(rows) - 1))
    return np.array([int(row[1]) for row in rows[1:]]), [
        row[2] for row in rows[1:]
    ]


def test_conflict_of_a_folder(tool, faces, tmp_path):
    out = tmp_path / 'new' / 'conflict.lst'
    args = ['conflict', faces, out, '--identities', 2, '--parts', 3]
    run(tool, *args, '--seed', 4)
    names, labels, truth = read(out)
    assert len(names) == len(set(names)) == 30
    assert sorted(Counter(labels.tolist()).values()) == [2] * 6 + [6] * 3
    true_class, class_names = read_classes(out.with_suffix('.classes.tsv'))
    np.testing.assert_array_equal(true_class[labels], truth)
    assert class_names == [f'id {true}' for true in true_class]
    # The same as in Python.
    expected = inter_class_conflict(np.repeat(np.arange(5), 6), 2, 3, 4)
    np.testing.assert_array_equal(labels, expected.labels)


def test_a_list_of_a_list_and_the_data_set_that_reads_it(
    tool, faces, tmp_path
):
    from mmpretrain.registry import DATASETS

    clean, noisy = tmp_path / 'faces' / 'a.lst', tmp_path / 'faces' / 'b.lst'
    run(tool, 'flip', faces, clean, '--share', 0)
    run(tool, 'flip', clean, noisy, '--share', 0.3)
    names, labels, truth = read(clean)
    np.testing.assert_array_equal(labels, truth)
    noisy_names, noisy_labels, truth = read(noisy)
    assert noisy_names == names
    assert (noisy_labels != truth).sum() == 9

    dataset = DATASETS.build(
        dict(
            type='mmdense.ListDataset',
            ann_file=str(noisy),
            data_prefix=str(faces),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='mmpretrain.PackInputs'),
            ],
        )
    )
    for index in range(0, 30, 7):
        item = dataset[index]
        assert item['inputs'].unique().tolist() == [40 * truth[index]]
        assert item['data_samples'].gt_label.item() == noisy_labels[index]


def test_long_tail_by_share(tool, faces, tmp_path):
    out = tmp_path / 'tail.lst'
    args = ['--head', '0.4', '--tail-samples', 1]
    run(tool, 'long_tail', faces, out, *args)
    names, labels, truth = read(out)
    np.testing.assert_array_equal(labels, truth)
    assert sorted(Counter(labels.tolist()).values()) == [1, 1, 1, 6, 6]
    assert names == sorted(names)


@pytest.mark.parametrize(
    ('args', 'match'),
    [
        (['conflict', '--identities', '9'], r'\[0, 5\]'),
        (['conflict', '--identities', '2', '--parts', '7'], 'only 0 of 5'),
        (['flip', '--share', '40'], 'got 40'),
    ],
)
def test_errors_end_in_one_line_and_write_nothing(
    tool, faces, tmp_path, args, match
):
    out = tmp_path / 'out.lst'
    with pytest.raises(SystemExit, match=match):
        run(tool, args[0], faces, out, *args[1:])
    assert not list(tmp_path.glob('*.lst'))


def test_a_record_file_and_the_source_itself_are_refused(tool, tmp_path):
    with pytest.raises(SystemExit, match='unpack it'):
        run(tool, 'flip', 'a.rec', tmp_path / 'b.lst', '--share', 0)
    with pytest.raises(SystemExit, match='overwrite SOURCE'):
        run(tool, 'flip', 'a.lst', 'a.lst', '--share', 0)
