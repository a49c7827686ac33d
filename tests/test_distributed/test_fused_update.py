"""Rows that are updated inside the backward pass."""

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmdense.distributed.collectives import rank
from mmdense.distributed.model_wrapper import ShardedDistributedDataParallel
from mmdense.distributed.optim import RowSparseSGD
from mmdense.recognition.heads import PartialFCHead

_COS = dict(type='mmdense.CosFaceLoss', scale=16.0, margin=0.3)
_SUB = dict(type='mmdense.SubCenterArcFaceLoss', scale=16.0)


class _Model(BaseModel):
    def __init__(self, classes, loss, sample_rate):
        super().__init__()
        torch.manual_seed(4)
        self.backbone = nn.Linear(6, 4)
        self.head = PartialFCHead(classes, 4, loss, sample_rate, init_std=0.3)

    def forward(self, inputs, labels, mode='tensor'):
        return self.head.loss_by_feat(self.backbone(inputs), labels)


def _config(fused, momentum=0.9, decay=0.01, nesterov=False, **kwargs):
    return dict(
        constructor='mmdense.ShardedOptimWrapperConstructor',
        optimizer=dict(
            type='mmdense.RowSparseSGD',
            lr=0.05,
            momentum=momentum,
            weight_decay=decay,
            nesterov=nesterov,
            fused=fused,
        ),
        # Its rates belong to the fused update too.
        paramwise_cfg=dict(custom_keys={'head.centers': dict(lr_mult=3.0)}),
        **kwargs,
    )


def _train(classes, loss, sample_rate, config):
    model = _Model(classes, loss, sample_rate).double()
    wrapped = model
    if dist.is_initialized():
        wrapped = ShardedDistributedDataParallel(model)
    wrapper = build_optim_wrapper(wrapped, config)
    wrapper.initialize_count_status(wrapped, 0, 5)
    rng = np.random.default_rng(rank())
    table = model.head.centers
    for step in range(5):
        for group in wrapper.optimizer.param_groups:
            group['lr'] *= 0.9**step
        batch = dict(
            inputs=torch.tensor(rng.normal(size=(3, 6))),
            labels=torch.tensor(rng.integers(classes, size=3)),
        )
        wrapped.train_step(batch, wrapper)
        if config['optimizer']['fused']:
            assert table.weight.grad is None, 'no gradient may be held'
    state = wrapper.optimizer.state_dict()['state'].values()
    return [
        *(p.detach().numpy() for p in model.parameters()),
        *(slots['momentum_buffer'].numpy() for slots in state if slots),
    ]


@pytest.mark.parametrize(
    ('classes', 'loss', 'sample_rate', 'settings'),
    [
        (3000, _COS, 0.9, {}),  # three chunks of classes
        (40, _COS, 0.3, dict(momentum=0.0, decay=0.0)),
        (40, _COS, 0.3, dict(nesterov=True)),
        (40, _SUB, 0.3, {}),
        (1, _COS, 0.5, {}),  # takes all its classes, as a slice
    ],
    ids=['chunks', 'plain', 'nesterov', 'subcenters', 'single'],
)
def test_equals_the_deferred_update(classes, loss, sample_rate, settings):
    fused, deferred = (
        _train(classes, loss, sample_rate, _config(choice, **settings))
        for choice in (True, False)
    )
    assert len(fused) == len(deferred)
    for a, b in zip(fused, deferred, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize('classes', [41, 3])
def test_equals_the_deferred_update_on_ranks(ranks, classes):
    args = classes, _COS, 0.5
    fused, deferred = (
        ranks(2)(_train, *args, _config(choice)) for choice in (True, False)
    )
    for one, two in zip(fused, deferred, strict=True):
        for a, b in zip(one, two, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_dense_tables_are_left_to_the_step():
    """With all classes the gradient is dense and the optimizer torch's."""
    fused, deferred = (_train_dense(choice) for choice in (True, False))
    for a, b in zip(fused, deferred, strict=True):
        assert np.array_equal(a, b)


def _train_dense(fused):
    head = PartialFCHead(20, 4, _COS, init_std=0.3)
    optimizer = RowSparseSGD(
        head.parameters(), lr=0.1, momentum=0.9, fused=fused
    )
    x = torch.tensor(np.random.default_rng(0).normal(size=(4, 4))).float()
    for _ in range(3):
        optimizer.zero_grad()
        head.loss_by_feat(x, torch.arange(4))['loss'].backward()
        assert not head.centers.weight.grad.is_sparse
        optimizer.step()
    return [head.centers.weight.detach().numpy()]


def _build(**kwargs):
    return build_optim_wrapper(_Model(40, _COS, 0.3), _config(True, **kwargs))


def test_what_needs_the_gradients_is_refused():
    with pytest.raises(ValueError, match='accumulative_counts > 1 adds them'):
        _build(accumulative_counts=2)
    with pytest.raises(ValueError, match='set include_shards=False'):
        _build(clip_grad=dict(max_norm=1.0))
    _build(clip_grad=dict(max_norm=1.0, include_shards=False))


@pytest.mark.filterwarnings('ignore:.*CUDA is not available')
def test_a_loss_scaler_is_refused(monkeypatch):
    # mmengine's wrapper refuses to exist without an accelerator.
    module = 'mmengine.optim.optimizer.amp_optimizer_wrapper'
    monkeypatch.setattr(f'{module}.is_cuda_available', lambda: True)
    with pytest.raises(ValueError, match='the loss scaler would have to'):
        _build(type='AmpOptimWrapper')


@pytest.mark.parametrize('frozen', ['before', 'after'])
def test_frozen_centers_stay(frozen):
    """Before the optimizer is built, or after; the rest trains as ever."""
    results = []
    for fused in (True, False):
        model = _Model(40, _COS, 0.3).double()
        weight = model.head.centers.weight
        weight.requires_grad_(frozen == 'after')
        optimizer = RowSparseSGD(
            model.parameters(), lr=0.1, weight_decay=0.1, fused=fused
        )
        weight.requires_grad_(False)
        start = weight.clone()
        rng = np.random.default_rng(0)
        for _ in range(3):
            optimizer.zero_grad()
            x = torch.tensor(rng.normal(size=(3, 6)))
            labels = torch.tensor(rng.integers(40, size=3))
            model(x, labels)['loss'].backward()
            optimizer.step()
        assert torch.equal(weight, start)
        results.append(model.backbone.weight.detach())
    assert torch.equal(*results)
    assert not torch.equal(results[0], _Model(40, _COS, 0.3).backbone.weight)
