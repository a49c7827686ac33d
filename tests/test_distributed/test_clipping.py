"""The optimizer wrapper's constructor: clipping, groups, refusals."""

import math

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine.optim import build_optim_wrapper
from torch import nn

import mmdense.distributed.optim  # noqa: F401
from mmdense.distributed.sharding import ShardedTable, shard_range

_ROWS, _DIM = 7, 3


class _Model(nn.Module):
    def __init__(self, sparse=False):
        super().__init__()
        self.backbone = nn.Linear(2, _DIM)
        self.head = nn.Module()
        self.head.centers = ShardedTable(_ROWS, _DIM, sparse=sparse)


def _config(**kwargs):
    optimizer = dict(
        type='mmdense.RowSparseSGD', lr=1.0, momentum=0.0, weight_decay=0.0
    )
    return dict(
        type='OptimWrapper',
        constructor='mmdense.ShardedOptimWrapperConstructor',
        optimizer=optimizer,
        **kwargs,
    )


def _clip(clip_grad, sparse, grads):
    """Change of backbone and table after a step with given gradients."""
    torch.manual_seed(0)
    model = _Model(sparse)
    table = model.head.centers
    wrapper = build_optim_wrapper(model, _config(clip_grad=clip_grad))
    before = [p.detach().clone() for p in model.parameters()]
    model.backbone.weight.grad = torch.tensor(grads['weight'])
    model.backbone.bias.grad = torch.tensor(grads['bias'])
    mine = torch.tensor(grads['rows'][table.start : table.stop])
    if sparse:
        rows = mine.abs().sum(dim=1).nonzero().squeeze(1)
        # Not coalesced, as after accumulation over two micro-batches.
        mine = torch.sparse_coo_tensor(
            torch.cat([rows, rows])[None],
            torch.cat([mine[rows] * 0.25, mine[rows] * 0.75]),
            mine.shape,
            check_invariants=True,
        )
    table.weight.grad = mine
    wrapper._clip_grad()
    wrapper.step()
    after = list(model.parameters())
    return [
        (a - b).detach().numpy() for a, b in zip(before, after, strict=True)
    ]


def _gradients():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(_ROWS, _DIM)).astype('f4') * 3
    rows[[1, 5]] = 0
    return dict(
        weight=rng.normal(size=(_DIM, 2)).astype('f4'),
        bias=rng.normal(size=_DIM).astype('f4'),
        rows=rows,
    )


def _expected(clip_grad, grads):
    """What is subtracted, from the gradients of the whole table."""
    clip_grad = dict(clip_grad)
    include = clip_grad.pop('include_shards', True)
    kind = clip_grad.pop('type', 'norm')
    params = [
        nn.Parameter(torch.zeros(grads[key].shape))
        for key in ('weight', 'bias', 'rows')
    ]
    for param, key in zip(params, ('weight', 'bias', 'rows'), strict=True):
        param.grad = torch.tensor(grads[key])
    clipped = params if include else params[:2]
    function = {
        'norm': nn.utils.clip_grad_norm_,
        'value': nn.utils.clip_grad_value_,
    }[kind]
    function(clipped, **clip_grad)
    return [param.grad.numpy() for param in params]


@pytest.mark.parametrize('sparse', [False, True])
@pytest.mark.parametrize(
    'clip_grad',
    [
        dict(max_norm=1.0),
        dict(max_norm=1e3),  # nothing to clip
        dict(max_norm=1.0, include_shards=False),
        dict(max_norm=0.5, norm_type=math.inf),
        dict(max_norm=2.0, norm_type=1),
        dict(max_norm=2.0, norm_type=3.0),
        dict(type='value', clip_value=0.7),
        dict(type='value', clip_value=0.7, include_shards=False),
    ],
    ids=str,
)
def test_ranks_clip_like_one_process(ranks, clip_grad, sparse):
    grads = _gradients()
    expected = _expected(clip_grad, grads)
    alone = _clip(clip_grad, sparse, grads)
    for size in (1, 2, 3):
        parts = [alone]
        if size > 1:
            parts = ranks(size)(_clip, clip_grad, sparse, grads)
        for part in parts:
            for got, want in zip(part[:2], expected[:2], strict=True):
                np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-6)
                # Replicas must not drift apart, not even by rounding.
            for got, want in zip(part[:2], parts[0][:2], strict=True):
                assert np.array_equal(got, want)
        rows = np.concatenate([part[2] for part in parts])
        np.testing.assert_allclose(rows, expected[2], rtol=2e-5, atol=1e-6)


def _nonfinite():
    grads = _gradients()
    grads['rows'][_ROWS - 1] = math.inf  # of the last rank alone
    _clip(dict(max_norm=1.0, error_if_nonfinite=True), True, grads)


def test_all_ranks_refuse_a_norm_that_is_not_finite(ranks):
    for outcome in ranks(2).outcomes(_nonfinite):
        assert isinstance(outcome, RuntimeError)
        assert 'norm of all gradients is inf' in str(outcome)


@pytest.mark.parametrize('optimizer', ['SGD', 'AdamW'])
def test_sparse_gradients_need_a_row_sparse_optimizer(optimizer):
    config = _config()
    config['optimizer'] = dict(type=optimizer, lr=0.1)
    with pytest.raises(ValueError, match=f'{optimizer} does not take') as info:
        build_optim_wrapper(_Model(sparse=True), config)
    assert 'head.centers' in str(info.value)
    assert 'mmdense.RowSparseSGD' in str(info.value)
    build_optim_wrapper(_Model(sparse=False), config)


def test_centers_have_their_own_rate_by_custom_keys():
    config = _config(
        paramwise_cfg=dict(
            custom_keys={'head.centers': dict(lr_mult=4.0, decay_mult=0.0)}
        )
    )
    config['optimizer'].update(lr=0.5, weight_decay=0.1)
    model = _Model(sparse=True)
    wrapper = build_optim_wrapper(model, config)
    rates = {
        id(param): (group['lr'], group['weight_decay'])
        for group in wrapper.optimizer.param_groups
        for param in group['params']
    }
    assert rates[id(model.head.centers.weight)] == (2.0, 0.0)
    assert rates[id(model.backbone.weight)] == (0.5, 0.1)


def test_the_config_of_the_user_is_not_changed():
    clip_grad = dict(max_norm=1.0, include_shards=False)
    config = _config(clip_grad=clip_grad)
    for _ in range(2):
        build_optim_wrapper(_Model(), config)
    assert clip_grad == dict(max_norm=1.0, include_shards=False)


def test_a_model_without_tables_is_clipped_by_torch():
    config = _config(clip_grad=dict(max_norm=1.0))
    wrapper = build_optim_wrapper(nn.Linear(2, 2), config)
    assert wrapper.clip_func is torch.nn.utils.clip_grad_norm_


def _ranges():
    table = _Model().head.centers
    return (table.start, table.stop), shard_range(
        _ROWS, dist.get_rank(), dist.get_world_size()
    )


def test_the_shards_are_uneven(ranks):
    """What the clipping tests rely on."""
    lengths = set()
    for got, expected in ranks(3)(_ranges):
        assert got == expected
        lengths.add(got[1] - got[0])
    assert lengths == {2, 3}
