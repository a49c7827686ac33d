"""What the head refuses, what it returns, and its precision."""

import math
import re

import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample

from mmdense.distributed.collectives import rank
from mmdense.recognition.functional.sharded_softmax import margin_softmax_loss
from mmdense.recognition.heads import PartialFCHead, partial_fc_head
from tests.references import cosface_target, dense_step, random_problem

_COS = dict(type='mmdense.CosFaceLoss', scale=16.0, margin=0.3)


@pytest.mark.parametrize('rate', [0, -0.1, 1.1, math.nan])
def test_sample_rate_is_a_share(rate):
    with pytest.raises(ValueError, match=r'sample_rate must be in \(0, 1\]'):
        PartialFCHead(10, 4, _COS, sample_rate=rate)


@pytest.mark.parametrize('num_classes', [0, -3])
def test_at_least_one_class(num_classes):
    with pytest.raises(ValueError, match=f'got {num_classes}'):
        PartialFCHead(num_classes, 4, _COS)


def test_the_loss_must_be_a_margin_loss():
    with pytest.raises(TypeError, match='got EmbeddingNeck'):
        PartialFCHead(
            10,
            4,
            dict(type='mmdense.EmbeddingNeck', in_channels=2, spatial_size=1),
        )


@pytest.mark.parametrize('shape', [(2, 5), (2, 4, 1, 1), (4,)])
def test_embeddings_of_another_shape_are_refused(shape):
    head = PartialFCHead(10, 4, _COS)
    feats = torch.zeros(shape)
    for call in (head, head.predict, lambda x: head.loss(x, [])):
        with pytest.raises(ValueError, match=r'expected \(batch, 4\)'):
            call((feats,))


def _loss_of_bad_input(labels, broken=None):
    head = PartialFCHead(10, 4, _COS, sample_rate=0.5)
    x = torch.ones(2, 4)
    if broken == rank():
        x[1, 2] = math.nan
    head.loss_by_feat(x, torch.tensor(labels[rank()]))


@pytest.mark.parametrize('bad', [-1, 10, 255, -100])
def test_a_bad_label_of_one_rank_raises_on_all(ranks, bad):
    labels = [[0, 9], [3, bad], [4, 4]]
    for outcome in ranks(3).outcomes(_loss_of_bad_input, labels):
        assert isinstance(outcome, ValueError)
        assert f'got label {bad}, expected labels in [0, 10)' in str(outcome)
        assert '1 of 6 labels' in str(outcome)


def test_a_broken_embedding_of_one_rank_raises_on_all(ranks):
    labels = [[0, 9], [3, 1]]
    for outcome in ranks(2).outcomes(_loss_of_bad_input, labels, 1):
        assert isinstance(outcome, ValueError)
        assert 'NaN or infinite' in str(outcome)


def test_loss_logs_and_gradients():
    x, w, y = random_problem(0, 6, 9, 4)
    head = PartialFCHead(9, 4, _COS).double()
    with torch.no_grad():
        head.centers.weight.copy_(torch.tensor(w))
    embeddings = torch.tensor(x, requires_grad=True)
    samples = [DataSample().set_gt_label(int(label)) for label in y]
    results = head.loss((embeddings,), samples)
    results['loss'].backward()
    loss, by_x, by_w = dense_step(
        x, w, y, 16.0, lambda c: cosface_target(c, 0.3)
    )
    assert results['loss'].item() == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(embeddings.grad, by_x, atol=1e-13)
    np.testing.assert_allclose(head.centers.weight.grad, by_w, atol=1e-13)
    unit, rows = (a / np.linalg.norm(a, axis=1)[:, None] for a in (x, w))
    cosine = (unit * rows[y]).sum(axis=1).mean()
    assert results['target_cosine'].item() == pytest.approx(cosine)
    norm = np.linalg.norm(x, axis=1).mean()
    assert results['embedding_norm'].item() == pytest.approx(norm)
    # mmengine sums every key with 'loss' in it.
    assert [key for key in results if 'loss' in key] == ['loss']
    assert not results['target_cosine'].requires_grad


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('inside', [False, True], ids=['after', 'inside'])
def test_half_embeddings_under_autocast(dtype, inside):
    """The softmax stays float32, forward and backward.

    As if the rounded embeddings had been float32 all along.
    """
    x, w, y = random_problem(1, 6, 40, 8)
    head = PartialFCHead(40, 8, dict(_COS, scale=64.0))
    with torch.no_grad():
        head.centers.weight.copy_(torch.tensor(w))
    w = head.centers.weight.detach().double().numpy()
    half = torch.tensor(x).to(dtype).requires_grad_()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = head.loss_by_feat(half, torch.tensor(y))['loss']
        if inside:
            loss.backward()
    if not inside:
        loss.backward()
    expected, by_x, by_w = dense_step(
        half.detach().double().numpy(),
        w,
        y,
        64.0,
        lambda c: cosface_target(c, 0.3),
    )
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    grad = head.centers.weight.grad
    assert grad.dtype == torch.float32
    np.testing.assert_allclose(grad, by_w, atol=2e-5 * abs(by_w).max())
    assert half.grad.dtype == dtype
    eps = torch.finfo(dtype).eps
    np.testing.assert_allclose(
        half.grad.double(), by_x, rtol=eps, atol=eps * abs(by_x).max()
    )


def test_predict_writes_embeddings():
    head = PartialFCHead(10, 4, _COS)
    feats = torch.randn(3, 4, requires_grad=True)
    samples = [DataSample().set_gt_label(i) for i in range(3)]
    results = head.predict((feats,), samples)
    assert [int(sample.gt_label) for sample in results] == [0, 1, 2]
    for made in (results, head.predict(feats)):
        got = torch.stack([sample.embedding for sample in made])
        assert torch.equal(got, feats.detach())
        assert not got.requires_grad


def test_steps_of_an_own_loop_are_counted():
    """Two heads of one seed draw alike, and anew in each step."""
    labels = torch.tensor([0])
    draws = []
    for _ in range(2):
        head = PartialFCHead(40, 4, _COS, sample_rate=0.25, seed=3)
        draws.append([head._sample(labels)[0].tolist() for _ in range(4)])
        assert head.step == 4
    assert draws[0] == draws[1]
    assert len({tuple(draw) for draw in draws[0]}) == 4
    head = PartialFCHead(40, 4, _COS, sample_rate=0.25, seed=3)
    head.step = 2
    assert head._sample(labels)[0].tolist() == draws[0][2]


def test_a_missing_label_of_one_rank_raises_on_all(ranks):
    labels = [[0, 9], [3]]
    for number, outcome in enumerate(
        ranks(2).outcomes(_loss_of_bad_input, labels)
    ):
        assert isinstance(outcome, ValueError)
        assert f'got {len(labels[number])} labels for 2 emb' in str(outcome)
        assert 'wrong on rank 1' in str(outcome)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(num_classes=None), 'got None; set model.head.num_classes to'),
        (dict(num_classes='10'), "num_classes must be an integer, got '10'"),
        (dict(num_classes=2e6), 'an integer, got 2000000.0; set model.head'),
        (dict(in_channels=None), 'in_channels must be an integer, got None'),
        (dict(sample_rate=None), r'a number in \(0, 1\], got None'),
        (dict(sample_rate='0.1'), r"a number in \(0, 1\], got '0.1'"),
        (dict(filter_threshold='0.4'), "1] or None, got '0.4'"),
        (dict(seed=None), 'seed must be an integer, got None'),
        (dict(topk=(1, 5)), r'topk must be an integer, got \(1, 5\)'),
    ],
    ids=str,
)
def test_arguments_of_other_types(settings, message):
    with pytest.raises(TypeError, match=message):
        PartialFCHead(
            **dict(num_classes=10, in_channels=4, loss=_COS) | settings
        )


def test_numbers_of_numpy_are_numbers():
    head = PartialFCHead(
        np.int64(10), np.int32(4), _COS, np.float32(0.5), topk=np.int8(2)
    )
    assert head.centers.weight.shape == (10, 4)


def _sample(label=None, score=None):
    sample = DataSample()
    if label is not None:
        sample.set_gt_label(label)
    if score is not None:
        sample.set_gt_score(torch.tensor(score))
    return sample


_BAD_SAMPLES = {
    'mixed': (
        [_sample(1), _sample(2, [0.0, 0.3, 0.7])],
        'got samples with gt_score.*remove batch_augments',
    ),
    'none': ([_sample(1), _sample()], 'got a sample without gt_label'),
    'real': (
        [_sample(1), _sample(torch.tensor([2.0]))],
        'labels of type torch.float32, expected integers',
    ),
    'many': ([_sample(1), _sample([2, 3])], 'got 3 labels for 2 embeddings'),
}


def _loss_of_bad_samples(case):
    """Of rank 1; those of others are right."""
    samples = [_sample(3), _sample(4)]
    if rank() == 1 or case in ('mixed', 'real'):
        samples = _BAD_SAMPLES[case][0]
    PartialFCHead(10, 4, _COS).loss((torch.ones(2, 4),), samples)


@pytest.mark.parametrize('case', _BAD_SAMPLES)
def test_samples_without_one_class_are_refused(ranks, case):
    samples, message = _BAD_SAMPLES[case]
    head = PartialFCHead(10, 4, _COS)
    with pytest.raises(ValueError, match=message):
        head.loss((torch.ones(2, 4),), samples)
    outcomes = ranks(2).outcomes(_loss_of_bad_samples, case)
    assert all(isinstance(outcome, ValueError) for outcome in outcomes)
    assert re.search(message, str(outcomes[1]))


@pytest.mark.parametrize('shape', [(2, 1), (2, 10), ()])
def test_labels_of_another_shape_are_refused(shape):
    head = PartialFCHead(10, 4, _COS)
    labels = torch.zeros(shape, dtype=torch.int64)
    with pytest.raises(ValueError, match=r'labels of shape.*expected \(2,\)'):
        head.loss_by_feat(torch.ones(2, 4), labels)


@pytest.mark.parametrize('dtype', [torch.int32, torch.uint8])
def test_integers_of_any_size_are_labels(dtype):
    head = PartialFCHead(10, 4, _COS, sample_rate=0.5)
    x = torch.tensor(random_problem(3, 2, 10, 4)[0]).float()
    labels = torch.tensor([7, 2])
    losses = []
    for given in (labels, labels.to(dtype)):
        head.step = 0
        losses.append(head.loss_by_feat(x, given)['loss'])
    assert losses[0] == losses[1]


def test_the_products_are_of_contiguous_embeddings(monkeypatch):
    """Or BLAS copies them, or is slower, for each chunk of classes."""
    seen = []

    def spy(unit, *args):
        seen.append(unit)
        return margin_softmax_loss(unit, *args)

    monkeypatch.setattr(partial_fc_head, 'margin_softmax_loss', spy)
    x = torch.tensor(random_problem(3, 5, 10, 4)[0]).float()
    PartialFCHead(10, 4, _COS).loss_by_feat(x, torch.arange(5))
    (unit,) = seen
    assert unit.is_contiguous()
    expected = x.numpy() / np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose(unit, expected, rtol=1e-6)
