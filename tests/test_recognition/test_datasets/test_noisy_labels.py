"""Noise around a data set: the label follows the image."""

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset as EngineBaseDataset
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS
from mmpretrain.structures import DataSample

from mmdense.recognition.datasets.noisy_labels import NoisyLabels
from mmdense.recognition.functional.label_noise import (
    inter_class_conflict,
    label_flip,
    long_tail,
)
from tests.test_recognition.test_datasets.record_files import (
    make_image,
    pixels_of,
    write_insightface,
)

LABELS = np.repeat(np.arange(6), 5)


class Toy(BaseDataset):
    """30 images that show their number; some cannot be read."""

    METAINFO = dict(classes=tuple('abcdef'))

    def __init__(self, unreadable=(), **kwargs):
        self.unreadable = unreadable
        super().__init__(ann_file='', **kwargs)

    def load_data_list(self):
        return [
            dict(img=np.full((2, 2, 1), i), gt_label=int(label))
            for i, label in enumerate(LABELS)
        ]

    def prepare_data(self, idx):
        if idx in self.unreadable:
            return None  # BaseDataset then takes another sample
        return super().prepare_data(idx)


PACK = [dict(type='mmpretrain.PackInputs')]
CONFLICT = dict(kind='conflict', identities=2, parts=2)
CASES = [
    (CONFLICT, lambda: inter_class_conflict(LABELS, 2, 2, 7)),
    (dict(kind='flip', share=0.5), lambda: label_flip(LABELS, 0.5, 7)),
    (
        dict(kind='long_tail', head=1, tail_samples=2),
        lambda: long_tail(LABELS, 1, 2, 7),
    ),
]


@pytest.mark.parametrize('packed', [True, False])
@pytest.mark.parametrize(('noise', 'expected'), CASES)
def test_items_have_the_new_label_of_their_image(noise, expected, packed):
    expected = expected()
    dataset = NoisyLabels(Toy(pipeline=PACK if packed else []), noise, seed=7)
    assert len(dataset) == len(expected.index)
    np.testing.assert_array_equal(dataset.get_gt_labels(), expected.labels)
    for i in range(len(dataset)):
        item = dataset[i]
        if packed:
            shown = int(item['inputs'].unique())
            label = item['data_samples'].gt_label.item()
        else:
            shown, label = int(item['img'][0, 0, 0]), item['gt_label']
        assert shown == expected.index[i]
        assert label == expected.labels[i]
        assert dataset.get_data_info(i)['gt_label'] == label
        assert dataset.get_cat_ids(i) == [label]


def test_a_sample_in_place_of_another_has_its_own_label():
    noise = label_flip(LABELS, 0.5, 0)
    toy = Toy(pipeline=PACK, unreadable=range(0, 30, 3))
    dataset = NoisyLabels(toy, dict(kind='flip', share=0.5))
    replaced = 0
    for i in range(30):
        item = dataset[i]
        shown = int(item['inputs'].unique())
        replaced += shown != i
        assert item['data_samples'].gt_label.item() == noise.labels[shown]
    assert replaced == 10


def test_records_among_them_damaged_ones(tmp_path):
    """A damaged record is replaced, and so is its label."""
    contents = [make_image(number) for number in range(30)]
    pixels = [pixels_of(content) for content in contents]
    for bad in (4, 17):
        contents[bad] = b'no image'
    write_insightface(tmp_path / 'train.rec', [5] * 6, contents)
    dataset = DATASETS.build(
        dict(
            type='mmdense.NoisyLabels',
            noise=CONFLICT,
            dataset=dict(
                type='mmdense.RecordIODataset',
                data_root=str(tmp_path),
                on_error='skip',
                pipeline=PACK,
            ),
        )
    )
    noise = inter_class_conflict(LABELS, 2, 2, 0)
    assert dataset.metainfo['num_classes'] == 8
    replaced = 0
    for i in range(30):
        item = dataset[i]
        image = item['inputs'].permute(1, 2, 0).numpy()
        (shown,) = (n for n in range(30) if np.array_equal(pixels[n], image))
        replaced += shown != i
        assert item['data_samples'].gt_label.item() == noise.labels[shown]
    assert replaced == 2


def test_metainfo_numbers_and_names_the_new_classes():
    dataset = NoisyLabels(Toy(pipeline=PACK), CONFLICT)
    info = dataset.metainfo
    assert info['num_classes'] == 8
    extra = dataset.noise.true_class[6:]
    assert info['classes'] == (*'abcdef', *('abcdef'[i] for i in extra))
    assert dataset.dataset.metainfo['classes'] == tuple('abcdef')
    assert NoisyLabels(Toy(pipeline=PACK), None).metainfo['num_classes'] == 6


def test_lazy_init_waits():
    dataset = NoisyLabels(
        Toy(pipeline=PACK, lazy_init=True), CONFLICT, lazy_init=True
    )
    assert dataset.noise is None
    assert len(dataset) == 30
    assert dataset.noise is not None


def test_in_a_config_with_the_glyphs_and_a_loader_of_workers():
    config = dict(
        type='mmdense.NoisyLabels',
        noise=dict(kind='long_tail', head=0.01, tail_samples=2),
        seed=3,
        dataset=dict(
            type='mmdense.GlyphIdentities',
            pipeline=PACK,
        ),
    )
    glyphs = DATASETS.build(config['dataset'])
    dataset = DATASETS.build(config)
    clean = glyphs.get_gt_labels()
    noise = long_tail(clean, 0.01, 2, 3)
    np.testing.assert_array_equal(dataset.get_gt_labels(), noise.labels)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.Subset(dataset, range(0, len(dataset), 97)),
        batch_size=8,
        num_workers=2,
        collate_fn=list,
        multiprocessing_context='fork',
    )
    rows = range(0, len(dataset), 97)
    items = [item for batch in loader for item in batch]
    for row, item in zip(rows, items, strict=True):
        original = glyphs[int(noise.index[row])]
        assert torch.equal(item['inputs'], original['inputs'])
        assert item['data_samples'].gt_label.item() == noise.labels[row]


def test_errors():
    with pytest.raises(ValueError, match='conflict, flip, long_tail, got'):
        NoisyLabels(Toy(pipeline=PACK), dict(kind='swap'))
    with pytest.raises(TypeError, match='takes share; got parts'):
        NoisyLabels(Toy(pipeline=PACK), dict(kind='flip', parts=3))
    with pytest.raises(TypeError, match='takes head, tail_samples; got head'):
        NoisyLabels(Toy(pipeline=PACK), dict(kind='long_tail', head=3))

    class Other(EngineBaseDataset):
        def load_data_list(self):
            return [dict()]

    with pytest.raises(TypeError, match='Other has no get_gt_labels'):
        NoisyLabels(Other(ann_file=''), None)

    toy = Toy(pipeline=[lambda info: (info['img'], info['gt_label'])])
    with pytest.raises(TypeError, match='got a tuple'):
        NoisyLabels(toy, None)[0]


def test_a_data_sample_without_a_label_is_an_error():
    toy = Toy(
        pipeline=[lambda info: dict(inputs=info['img'], gt=DataSample())]
    )
    with pytest.raises(TypeError, match="got a dict of \\['gt', 'inputs'\\]"):
        NoisyLabels(toy, None)[0]
