"""What a model predicts, as a field of InstanceData."""

import copy
import pickle

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from mmdense.densepose.functional.iuv_png import encode_iuv
from mmdense.densepose.structures import DensePoseResults, RaggedTensors

SIZES = [(3, 4), (1, 1), (50, 20), (7, 2)]


def _iuvs():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (3, *s), dtype=np.uint8) for s in SIZES]


@pytest.fixture(params=['tensors', 'arrays', 'PNGs', 'compressed'])
def results(request):
    iuvs = _iuvs()
    if request.param == 'PNGs':
        iuvs = [encode_iuv(iuv) for iuv in iuvs]
    elif request.param != 'arrays':
        iuvs = [torch.from_numpy(iuv) for iuv in iuvs]
    results = DensePoseResults(iuvs)
    return results.compressed() if request.param == 'compressed' else results


def _assert_are(results, numbers):
    iuvs = _iuvs()
    assert isinstance(results, DensePoseResults)
    assert len(results) == len(numbers)
    for iuv, number in zip(results, numbers, strict=True):
        assert iuv.dtype == torch.uint8
        np.testing.assert_array_equal(iuv.numpy(), iuvs[number])


def test_like_a_list(results):
    _assert_are(results, [0, 1, 2, 3])
    assert results.sizes == SIZES
    np.testing.assert_array_equal(results[-2].numpy(), _iuvs()[2])
    with pytest.raises(IndexError):
        results[4]
    _assert_are(results[1:3], [1, 2])
    _assert_are(results[[3, 0, 0]], [3, 0, 0])
    _assert_are(results[torch.tensor([True, False, False, True])], [0, 3])
    _assert_are(results[np.array([False] * 4)], [])
    _assert_are(results[[]], [])
    with pytest.raises(IndexError):
        results[torch.tensor([True])]
    _assert_are(DensePoseResults.cat([results[2:], results[:1]]), [2, 3, 0])
    _assert_are(DensePoseResults.cat([]), [])


def test_copies(results):
    for copied in (
        results.to('cpu'),
        results.to(torch.device('cpu')),
        results.cpu().detach(),
        copy.deepcopy(results),
        pickle.loads(pickle.dumps(results)),
        results.compressed(),
        DensePoseResults(results.pngs()),
    ):
        _assert_are(copied, [0, 1, 2, 3])
    # A dtype is for boxes and scores, not for this.
    _assert_are(results.to(torch.float16), [0, 1, 2, 3])


def test_without_a_device_nothing_moves():
    there = DensePoseResults([torch.zeros(3, 2, 1, dtype=torch.uint8)])
    there = there.to('meta')
    for moved in (
        there.to(torch.float16),
        there.to(non_blocking=True),
        there.detach(),
    ):
        assert moved[0].device.type == 'meta'
        assert moved[0].dtype == torch.uint8


def test_other_fields_of_different_sizes():
    items = [torch.full(size, float(i)) for i, size in enumerate(SIZES)]
    data = InstanceData(
        scores=torch.arange(4.0), densepose_sigma=RaggedTensors(items)
    )
    for chosen, numbers in (
        (data[torch.tensor([2, 0])], [2, 0]),
        (data[data.scores > 1.5], [2, 3]),
        (data[1], [1]),
        (InstanceData.cat([data, data[:1]]), [0, 1, 2, 3, 0]),
    ):
        sigma = chosen.densepose_sigma
        assert isinstance(sigma, RaggedTensors)
        assert [x[0, 0].item() for x in sigma] == numbers
    moved = data.to('meta').densepose_sigma
    assert {x.device.type for x in moved} == {'meta'}
    assert data.densepose_sigma.to(torch.float64)[3].dtype == torch.float64


def test_field_of_instance_data(results):
    data = InstanceData(scores=torch.arange(4.0), densepose=results)
    _assert_are(data[torch.tensor([2, 0])].densepose, [2, 0])
    _assert_are(data[data.scores > 1.5].densepose, [2, 3])
    _assert_are(data[data.scores > 9].densepose, [])
    _assert_are(data[1].densepose, [1])
    _assert_are(InstanceData.cat([data, data[:1]]).densepose, [0, 1, 2, 3, 0])
    _assert_are(data.to('cpu').densepose, [0, 1, 2, 3])
    with pytest.raises(AssertionError):
        InstanceData(scores=torch.arange(3.0), densepose=results)


def test_compressed_is_smaller():
    smooth = torch.zeros(3, 200, 100, dtype=torch.uint8)
    smooth[0, 50:150] = 2
    (png,) = DensePoseResults([smooth]).pngs()
    assert len(png) < smooth.numel() / 50


@pytest.mark.parametrize(
    ('iuv', 'error', 'message'),
    [
        (torch.zeros(3, 2, 2), TypeError, 'uint8'),
        (np.zeros((3, 2, 2), np.int64), TypeError, 'uint8'),
        (torch.zeros(3, 2, dtype=torch.uint8), ValueError, 'shape'),
        (torch.zeros(3, 0, 2, dtype=torch.uint8), ValueError, 'one pixel'),
        ('iuv', TypeError, 'got str'),
        (b'iuv', ValueError, 'no PNG'),
    ],
)
def test_other_things(iuv, error, message):
    with pytest.raises(error, match=message):
        DensePoseResults([iuv])
