"""Ranks without classes or samples, and labels that nobody could own."""

import uuid

import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample

from mmdense.distributed.collectives import rank, world_size
from mmdense.recognition.heads import PartialFCHead
from mmdense.registry import DATASETS
from tests.references import cosface_target, dense_step
from tests.toy_training import final_state, train

_COS = dict(type='mmdense.CosFaceLoss', scale=16.0, margin=0.3)
_OPTIMIZERS = [
    dict(type='mmdense.RowSparseSGD', momentum=0.9, weight_decay=0.01),
    dict(type='mmdense.RowSparseSGD', momentum=0.9, update='all'),
    dict(type='mmdense.RowSparseSGD', weight_decay=0.01, update='all'),
    dict(type='mmdense.RowSparseSGD', momentum=0.9, fused=True),
    dict(type='mmdense.RowSparseAdamW'),
]


@DATASETS.register_module(force=True)
class FewLabels(torch.utils.data.Dataset):
    """Random vectors of so many classes."""

    def __init__(self, num_classes):
        self.num_classes = num_classes

    def __len__(self):
        return 12

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        return dict(
            inputs=torch.randn(6, generator=generator),
            label=torch.tensor(index % self.num_classes),
        )


def _train(work_dir, epochs, num_classes, optimizer, resume=False):
    runner = train(
        work_dir,
        epochs,
        uuid.uuid4().hex,
        resume=resume,
        launcher='pytorch' if world_size() > 1 else 'none',
        model_wrapper_cfg=dict(type='mmdense.ShardedDistributedDataParallel'),
        model=dict(
            type='mmdense.ToyRecognizer',
            num_classes=num_classes,
            sample_rate=0.5,
        ),
        optim_wrapper=dict(
            constructor='mmdense.ShardedOptimWrapperConstructor',
            optimizer=dict(optimizer, lr=0.01),
        ),
        train_dataloader=dict(
            batch_size=2,
            num_workers=0,
            collate_fn=dict(type='default_collate'),
            dataset=dict(type='mmdense.FewLabels', num_classes=num_classes),
            sampler=dict(type='DefaultSampler', shuffle=True, seed=3),
        ),
    )
    return final_state(runner)


@pytest.mark.parametrize(
    ('classes', 'optimizer'),
    [(4, optimizer) for optimizer in _OPTIMIZERS]
    + [(2, optimizer) for optimizer in _OPTIMIZERS[-2:]],
    ids=str,
)
def test_ranks_with_a_class_or_none_train_and_resume(
    ranks, tmp_path, classes, optimizer
):
    """Of 4 classes one rank samples, and two take the one they have."""
    straight = ranks(3)(_train, str(tmp_path / 'a'), 2, classes, optimizer)
    args = str(tmp_path / 'b'), classes, optimizer
    ranks(3)(_train, args[0], 1, *args[1:])
    resumed = ranks(3)(_train, args[0], 2, *args[1:], True)
    for a, b in zip(straight, resumed, strict=True):
        if len(a['head.centers.weight']):  # else there is no state to hold
            assert a.keys() == b.keys() == straight[0].keys()
        for name, value in a.items():
            # Not bit for bit: three ranks add up in an order that depends
            # on how DDP has grouped the gradients so far.
            np.testing.assert_allclose(
                value, b[name], rtol=1e-4, atol=1e-6, err_msg=name
            )
            assert np.isfinite(value).all()
            if name.startswith('backbone'):
                assert np.array_equal(value, straight[0][name])
    # Another number of ranks reads them, and trains on.
    _train(args[0], 3, *args[1:], True)


def _loss(shares, x, labels, centers, rate):
    """The head's, from samples without any where the share is 0."""
    head = PartialFCHead(len(centers), 4, _COS, rate).double()
    table = head.centers
    with torch.no_grad():
        table.weight.copy_(torch.tensor(centers[table.start : table.stop]))
    start = sum(shares[: rank()])
    mine = slice(start, start + shares[rank()])
    embeddings = torch.tensor(x[mine], requires_grad=True)
    samples = [DataSample().set_gt_label(int(y)) for y in labels[mine]]
    loss = head.loss((embeddings,), samples)['loss']
    loss.backward()
    grad = table.weight.grad
    used = np.arange(table.start, table.stop)
    if grad.is_sparse:
        used = grad.coalesce().indices()[0].numpy() + table.start
        grad = grad.to_dense()
    by_x = embeddings.grad.numpy() / world_size()
    return loss.item(), by_x, grad.numpy(), used


@pytest.mark.parametrize('rate', [1.0, 0.1])
@pytest.mark.parametrize('shares', [[4], [0, 4], [4, 0], [3, 0, 1]], ids=str)
@pytest.mark.parametrize('classes', [2, 5])
def test_loss_of_few_classes_and_samples(ranks, classes, shares, rate):
    """At 0.1 of 5 classes or less, each rank still takes one."""
    rng = np.random.default_rng(classes)
    x, centers = rng.normal(size=(4, 4)), rng.normal(size=(classes, 4))
    labels = np.array([1, 0, 1, 1])
    args = shares, x, labels, centers, rate
    size = len(shares)
    parts = [_loss(*args)] if size == 1 else ranks(size)(_loss, *args)
    kept = np.concatenate([part[3] for part in parts])
    if rate < 1:
        # Two positives at least, and one class of each other rank.
        assert 2 <= len(kept) <= max(2, min(size + 1, classes))
    loss, by_x, by_centers = dense_step(
        x, centers, labels, 16.0, lambda c: cosface_target(c, 0.3), kept
    )
    for part in parts:
        assert part[0] == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(
        np.concatenate([part[1] for part in parts]), by_x, atol=1e-12
    )
    np.testing.assert_allclose(
        np.concatenate([part[2] for part in parts]), by_centers, atol=1e-12
    )


def _empty(rate):
    head = PartialFCHead(6, 4, _COS, rate)
    head.loss((torch.zeros(0, 4, requires_grad=True),), [])


@pytest.mark.parametrize('rate', [1.0, 0.5])
def test_no_sample_anywhere_raises_on_all(ranks, rate):
    outcomes = ranks(2).outcomes(_empty, rate)
    for outcome in outcomes:
        assert isinstance(outcome, ValueError)
        assert 'a batch without images on all ranks' in str(outcome)
    with pytest.raises(ValueError, match='without images'):
        _empty(rate)


@pytest.mark.parametrize('label', [2**31, 2**62, -(2**63)])
def test_huge_labels_are_named(label):
    head = PartialFCHead(6, 4, _COS, 0.5)
    labels = torch.tensor([1, label])
    with pytest.raises(ValueError, match=f'got label {label}, expected'):
        head.loss_by_feat(torch.ones(2, 4), labels)
