"""Nearest classes as the head predicts them, and mmpretrain's metric."""

import numpy as np
import pytest
import torch
from mmpretrain.evaluation import Accuracy
from mmpretrain.structures import DataSample

from mmdense.distributed.collectives import rank
from mmdense.distributed.optim import RowSparseSGD
from mmdense.recognition.heads import PartialFCHead
from tests.references import random_problem

_COS = dict(type='mmdense.CosFaceLoss', scale=16.0)
_CLASSES = 11


def _order(x, centers):
    unit, rows = (
        a / np.linalg.norm(a, axis=1, keepdims=True) for a in (x, centers)
    )
    return np.argsort(-(unit @ rows.T), axis=1), unit @ rows.T


def _predict(x, centers, labels, topk):
    head = PartialFCHead(_CLASSES, 4, _COS, 0.5, topk=topk).double()
    table = head.centers
    with torch.no_grad():
        table.weight.copy_(torch.tensor(centers[table.start : table.stop]))
    samples = [DataSample().set_gt_label(int(y)) for y in labels[rank()]]
    samples = head.predict((torch.tensor(x[rank()]),), samples)
    return [sample.to_dict() for sample in samples]


@pytest.mark.parametrize('shares', [[6], [4, 2], [1, 0, 5]], ids=str)
def test_predictions_on_ranks(ranks, shares):
    x, centers, labels = random_problem(2, 6, _CLASSES, 4)
    order, cosine = _order(x, centers)
    labels[:2] = order[:2, 0]  # two are right, ...
    labels[2:] = order[2:, 3]  # ... and the others the fourth guess
    cuts = np.cumsum(shares)[:-1]
    args = np.split(x, cuts), centers, np.split(labels, cuts), 5
    parts = [_predict(*args)] if len(shares) == 1 else None
    parts = parts or ranks(len(shares))(_predict, *args)
    samples = [sample for part in parts for sample in part]
    assert len(samples) == 6
    for i, sample in enumerate(samples):
        assert sample['topk_label'].tolist() == order[i, :5].tolist()
        expected = cosine[i, order[i, :5]]
        np.testing.assert_allclose(sample['topk_score'], expected)
        assert sample['pred_label'].tolist() == [order[i, 0]]
        assert np.array_equal(sample['embedding'], x[i])
    metric = Accuracy()
    metric.process({}, samples)
    assert metric.evaluate(6)['accuracy/top1'] == pytest.approx(100 * 2 / 6)


def test_half_precision_does_not_mix_up_near_classes():
    """Validation may run in autocast; these differ in the fifth digit."""
    angles = torch.arange(50) * 0.01
    head = PartialFCHead(50, 2, _COS, topk=3)
    with torch.no_grad():
        head.centers.weight.copy_(
            torch.stack([angles.cos(), angles.sin()], dim=1)
        )
    x = torch.tensor([[np.cos(0.203), np.sin(0.203)]]).float()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        (sample,) = head.predict(x)
    assert sample.topk_label.tolist() == [20, 21, 19]


def test_rows_that_wait_for_their_update_are_brought_up_to_date():
    heads = []
    for update in ('all', 'rows'):
        head = PartialFCHead(40, 4, _COS, 0.1, topk=40, init_std=0.3)
        head.double()
        optimizer = RowSparseSGD(
            head.parameters(),
            lr=0.3,
            momentum=0.9,
            weight_decay=0.3,
            update=update,
        )
        rng = np.random.default_rng(0)
        for _ in range(5):
            optimizer.zero_grad()
            x = torch.tensor(rng.normal(size=(3, 4)))
            labels = torch.tensor(rng.integers(40, size=3))
            head.loss_by_feat(x, labels)['loss'].backward()
            optimizer.step()
        heads.append((head, optimizer))
    lazy, optimizer = heads[0]
    x = torch.tensor(np.random.default_rng(1).normal(size=(2, 4)))
    waiting = lazy.centers.weight.detach().clone()
    scores = torch.stack([s.topk_score for s in lazy.predict(x)])
    assert not torch.equal(waiting, lazy.centers.weight)
    current = lazy.centers.weight.detach().clone()
    optimizer.flush()
    assert torch.equal(current, lazy.centers.weight)
    _, cosine = _order(x.numpy(), current.numpy())
    np.testing.assert_allclose(scores, -np.sort(-cosine), rtol=1e-12)


@pytest.mark.parametrize('topk', [-1, 12])
def test_topk_is_bounded_by_the_classes(topk):
    with pytest.raises(ValueError, match=rf'in \[0, 11\].*got {topk}'):
        PartialFCHead(_CLASSES, 4, _COS, topk=topk)
