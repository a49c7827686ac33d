"""Packs as a data set, and the golden figures from the file to the metric."""

import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

pytest.importorskip('mmpretrain')
from mmengine.dataset import DefaultSampler, pseudo_collate
from mmengine.evaluator import Evaluator

from mmdense.recognition.datasets import VerificationPacks
from mmdense.recognition.datasets.pack_file import read_pack
from mmdense.recognition.datasets.verification_packs import consecutive_folds
from mmdense.recognition.evaluation import VerificationMetric
from tests.golden import FOLDER, read_arrays, read_json

_FOLDER = FOLDER / 'partial_fc/verification'
_PACK = [dict(type='mmpretrain.PackInputs')]


@pytest.fixture(scope='module')
def expected():
    expected = read_json('partial_fc/verification/expected.json')
    if expected is None:
        pytest.skip('no golden verification')
    return expected


def _packs(*names, **kwargs):
    kwargs = dict(pipeline=_PACK, data_root=str(_FOLDER)) | kwargs
    return VerificationPacks([f'{name}.bin' for name in names], **kwargs)


@pytest.mark.golden
def test_golden_images_and_their_mirror_images(expected):
    small = expected['small_packs']
    for name in ('pairs_py2', 'pairs_ndarray', 'pairs_ndarray_p2'):
        facts = small[name]
        count, channels, *size = facts['shape']
        dataset = _packs(name, flip=True, num_folds=2)
        assert len(dataset) == 2 * count
        images = [dataset[i]['inputs'] for i in range(len(dataset))]
        for image, mirror in zip(images[:count], images[count:], strict=True):
            assert image.shape == (channels, *size)
            assert image.dtype == torch.uint8
            assert torch.equal(image.flip(-1), mirror)
        mean = torch.stack(images[:count]).double().mean(dim=(0, 2, 3))
        np.testing.assert_allclose(mean.flip(0), facts['mean_rgb'], atol=0.5)
        sample = dataset[count + 1]['data_samples']
        assert sample.sample_idx == count + 1
        assert sample.flip
        assert not dataset[1]['data_samples'].flip
        assert sample.img_path.endswith(f'{name}.bin/1')


@pytest.mark.golden
def test_metainfo_of_several_packs(expected):
    dataset = _packs('pairs', 'pairs_py2', flip=True, num_folds=2)
    meta, count = dataset.metainfo, expected['pairs']['count']
    small = expected['small_packs']['pairs_py2']['issame']
    issame = [*expected['pairs']['issame'], *small]
    assert meta['packs'] == ('pairs', 'pairs_py2')
    assert meta['issame'].tolist() == issame
    assert meta['pairs'].tolist() == [
        [2 * i, 2 * i + 1] for i in range(len(issame))
    ]
    assert meta['pack'].tolist() == [0] * count + [1] * len(small)
    assert meta['fold'].tolist() == [
        *consecutive_folds(count, 2),
        *consecutive_folds(len(small), 2),
    ]
    assert (meta['num_images'], meta['num_views']) == (2 * len(issame), 2)
    first = dataset[2 * count]['inputs']
    assert torch.equal(first, _packs('pairs_py2', num_folds=2)[0]['inputs'])
    assert 'pairs_py2.bin' in repr(dataset)


def test_folds_are_those_of_k_fold():
    for pairs, folds in ((6000, 10), (103, 10), (7, 3)):
        sizes = np.bincount(consecutive_folds(pairs, folds)).tolist()
        longer = pairs % folds
        assert sizes == [pairs // folds + 1] * longer + [pairs // folds] * (
            folds - longer
        )
        assert (np.diff(consecutive_folds(pairs, folds)) >= 0).all()


def _embed(samples, projection):
    """The network of the golden data; see its README, section 5."""
    images = torch.stack([sample['inputs'] for sample in samples])
    x = (images.flip(1).float() / 255 - 0.5) / 0.5
    x = torch.nn.functional.avg_pool2d(x, 14).flatten(1)
    return x @ projection


def _evaluate(flip=True, names=('pairs',), num_workers=0, folder=_FOLDER):
    """One rank's part of an evaluation."""
    dataset = _packs(*names, flip=flip, data_root=str(folder))
    projection = torch.from_numpy(
        read_arrays('partial_fc/verification/verification.npz')[
            'pool_projection'
        ]
    )
    loader = DataLoader(
        dataset,
        batch_size=7,
        sampler=DefaultSampler(dataset, shuffle=False),
        num_workers=num_workers,
        collate_fn=lambda samples: samples,
        multiprocessing_context='fork' if num_workers else None,
    )
    metric = VerificationMetric(val_fars=(1e-3,))
    evaluator = Evaluator([metric])
    evaluator.dataset_meta = dataset.metainfo
    for batch in loader:
        embeddings = _embed(batch, projection)
        samples = [sample['data_samples'] for sample in batch]
        for sample, embedding in zip(samples, embeddings, strict=True):
            sample.set_field(embedding, 'embedding')
        evaluator.process(samples)
    return evaluator.evaluate(len(dataset))


def _check(metrics, wanted):
    figures = wanted['evaluate']
    for key, value in (
        ('pairs/accuracy', figures['accuracy_mean']),
        ('pairs/accuracy_std', figures['accuracy_std']),
        ('pairs/val@far=0.001', figures['val_mean']),
        ('pairs/val_std@far=0.001', figures['val_std']),
        ('verification/accuracy', figures['accuracy_mean']),
    ):
        assert metrics[key] == pytest.approx(value, abs=1e-9), key
    assert metrics['pairs/xnorm'] == pytest.approx(wanted['xnorm'], abs=1e-4)


@pytest.mark.golden
@pytest.mark.parametrize('num_workers', [0, 2])
def test_golden_end_to_end(expected, num_workers):
    metrics = _evaluate(num_workers=num_workers)
    _check(metrics, expected['end_to_end'])
    # Without the mirror images the figures are others.
    plain = _evaluate(flip=False)
    assert plain['pairs/xnorm'] != pytest.approx(metrics['pairs/xnorm'])


@pytest.mark.golden
@pytest.mark.parametrize('size', [2, 3])
def test_golden_end_to_end_on_ranks(ranks, expected, size):
    for metrics in ranks(size)(_evaluate):
        _check(metrics, expected['end_to_end'])


@pytest.mark.golden
def test_packs_do_not_disturb_each_other(expected, tmp_path):
    """Each has its own figures; the mean is over packs."""
    images, issame = read_pack(_FOLDER / 'pairs.bin')
    order = np.random.default_rng(0).permutation(len(issame))
    images = [images[2 * i + side] for i in order for side in (0, 1)]
    (tmp_path / 'pairs.bin').symlink_to(_FOLDER / 'pairs.bin')
    (tmp_path / 'other.bin').write_bytes(
        pickle.dumps((images, list(issame[order])))
    )
    names = ('other', 'pairs')
    both = _evaluate(names=names, folder=tmp_path)
    _check(
        both | {'verification/accuracy': both['pairs/accuracy']},
        expected['end_to_end'],
    )
    alone = _evaluate(names=('other',), folder=tmp_path)
    for key, value in alone.items():
        if key.startswith('other/'):
            assert both[key] == pytest.approx(value, abs=1e-6)
    assert both['verification/accuracy'] == pytest.approx(
        (both['pairs/accuracy'] + both['other/accuracy']) / 2
    )


@pytest.mark.golden
def test_golden_image_that_cannot_be_decoded():
    if not (_FOLDER / 'pairs_bad_image.bin').is_file():
        pytest.skip('no pairs_bad_image in the golden data')
    dataset = _packs('pairs_bad_image', num_folds=2)
    with pytest.raises(ValueError, match=r'bad_image\.bin/\d: the \d+ bytes'):
        list(DataLoader(dataset, collate_fn=len))


def test_an_empty_image_is_named(tmp_path):
    (tmp_path / 'a.bin').write_bytes(pickle.dumps(([b'', b''], [True])))
    (tmp_path / 'b.bin').write_bytes(pickle.dumps(([b''] * 4, [True, False])))
    dataset = VerificationPacks(str(tmp_path / 'b.bin'), num_folds=2)
    with pytest.raises(ValueError, match=r'b\.bin/3: the 0 bytes'):
        dataset[3]
    with pytest.raises(ValueError, match=r'a\.bin holds 1 pairs, too few'):
        len(VerificationPacks(str(tmp_path / 'a.bin')))


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match='different names'):
        VerificationPacks(['a/lfw.bin', 'b/lfw.bin'])
    with pytest.raises(ValueError, match='different names'):
        VerificationPacks([])
    with pytest.raises(ValueError, match='num_folds must be at least 2'):
        VerificationPacks('lfw.bin', num_folds=1)
    with pytest.raises(FileNotFoundError, match=r'nowhere/lfw\.bin'):
        len(VerificationPacks('lfw.bin', data_root='nowhere'))


def test_pack_inputs_keeps_what_the_metric_needs(tmp_path):
    """As a loader of mmengine delivers it."""
    (tmp_path / 'a.bin').write_bytes(pickle.dumps(([_png()] * 4, [1, 0])))
    dataset = VerificationPacks(
        str(tmp_path / 'a.bin'), num_folds=2, pipeline=_PACK
    )
    batch = pseudo_collate([dataset[i] for i in range(4)])
    assert [s.sample_idx for s in batch['data_samples']] == [0, 1, 2, 3]
    assert batch['data_samples'][0].ori_shape == (5, 6)


def _png():
    import cv2

    image = np.arange(90, dtype=np.uint8).reshape(5, 6, 3)
    return cv2.imencode('.png', image)[1].tobytes()
