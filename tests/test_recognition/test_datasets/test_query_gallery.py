"""Two folders become one data set with common labels."""

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip('mmpretrain')
from mmdense.recognition.datasets import QueryGallery

_PIPELINE = [
    dict(type='mmpretrain.LoadImageFromFile'),
    dict(type='mmpretrain.PackInputs'),
]


@pytest.fixture
def folders(tmp_path):
    """Queries of ann, carl and zoe; a gallery of ann, bob, carl and dora."""
    content = dict(
        query=dict(ann=2, carl=1, zoe=1),
        gallery=dict(ann=1, bob=2, carl=3, dora=1),
    )
    for part, counts in content.items():
        for name, count in counts.items():
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                image = np.full((8, 8, 3), 40 * len(name) + i, np.uint8)
                cv2.imwrite(str(folder / f'{i}.png'), image)
    return {
        part: dict(
            type='mmpretrain.CustomDataset', data_prefix=str(tmp_path / part)
        )
        for part in content
    }


@pytest.mark.parametrize('lazy_init', [False, True])
def test_classes_are_matched_by_name(folders, lazy_init):
    dataset = QueryGallery(**folders, pipeline=_PIPELINE, lazy_init=lazy_init)
    assert len(dataset) == 4 + 7
    meta = dataset.metainfo
    assert meta['num_queries'] == 4
    assert meta['classes'] == ('ann', 'bob', 'carl', 'dora', 'zoe')
    names, indices = [], []
    for i in range(len(dataset)):
        sample = dataset[i]['data_samples']
        names.append(meta['classes'][int(sample.gt_label)])
        indices.append(sample.sample_idx)
        assert names[-1] in sample.img_path
    assert names == (
        ['ann'] * 2 + ['carl', 'zoe']
        + ['ann'] + ['bob'] * 2 + ['carl'] * 3 + ['dora']
    )  # fmt: skip
    assert indices == list(range(11))


def test_views_of_test_time_augmentation(folders):
    flips = [dict(type='mmpretrain.RandomFlip', prob=p) for p in (1.0, 0.0)]
    tta = dict(type='TestTimeAug', transforms=[flips, [_PIPELINE[1]]])
    dataset = QueryGallery(**folders, pipeline=[_PIPELINE[0], tta])
    samples = dataset[3]['data_samples']
    assert [sample.sample_idx for sample in samples] == [3, 3]
    assert [int(sample.gt_label) for sample in samples] == [4, 4]
    assert torch.equal(samples[0].gt_label, torch.tensor([4]))


def test_a_pipeline_of_one_part_is_refused(folders):
    folders['query']['pipeline'] = _PIPELINE
    with pytest.raises(ValueError, match='query has a pipeline of its own'):
        QueryGallery(**folders, pipeline=_PIPELINE)
