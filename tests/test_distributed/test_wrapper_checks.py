"""Model wrappers that are refused, and the moving average."""

import uuid

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmdense.distributed.collectives import world_size
from mmdense.distributed.model_wrapper import (
    ShardedDistributedDataParallel,
    check_model_wrapper,
)
from mmdense.distributed.sharding import ShardedTable
from mmdense.registry import HOOKS
from tests.toy_training import ToyRecognizer, final_state, train

_WRAPPERS = {
    wrapper.__name__: wrapper
    for wrapper in (MMDistributedDataParallel, DistributedDataParallel)
}


class _Plain(nn.Module):
    def __init__(self, rows):
        super().__init__()
        self.backbone = nn.Linear(3, 2)
        if rows:
            self.centers = ShardedTable(rows, 2)


def _config():
    return dict(
        constructor='mmdense.ShardedOptimWrapperConstructor',
        optimizer=dict(type='mmdense.RowSparseSGD', lr=0.1),
    )


def _check(name):
    check_model_wrapper(_Plain(10))
    check_model_wrapper(ShardedDistributedDataParallel(_Plain(11)))
    check_model_wrapper(_WRAPPERS[name](module=_Plain(0)))
    # Equal shards, so that DDP itself has nothing to say.
    wrapped = _WRAPPERS[name](module=_Plain(10))
    with pytest.raises(ValueError, match=f'in a {name}'):
        check_model_wrapper(wrapped)
    build_optim_wrapper(wrapped, _config())


@pytest.mark.parametrize('name', _WRAPPERS)
def test_others_than_ours_are_refused_on_all_ranks(ranks, name):
    for outcome in ranks(2).outcomes(_check, name):
        assert isinstance(outcome, ValueError)
        assert 'centers.weight is different on each rank' in str(outcome)
        assert 'mmdense.ShardedDistributedDataParallel' in str(outcome)


def _train_with_the_default_wrapper(work_dir):
    train(
        work_dir,
        1,
        uuid.uuid4().hex,
        launcher='pytorch',
        # The runner's default, less the devices that a CPU has not.
        model_wrapper_cfg=dict(
            type='MMDistributedDataParallel', device_ids=None
        ),
        model=dict(type='mmdense.ToyRecognizer', num_classes=24),
    )


def test_a_run_without_our_wrapper_ends_before_its_first_step(ranks, tmp_path):
    outcomes = ranks(2).outcomes(
        _train_with_the_default_wrapper, str(tmp_path)
    )
    for outcome in outcomes:
        assert isinstance(outcome, ValueError)
        assert 'in a MMDistributedDataParallel' in str(outcome)


@HOOKS.register_module(force=True)
class BackboneHistory(Hook):
    """Keeps the backbone after each step."""

    def __init__(self):
        self.history = []

    def after_train_iter(self, runner, *args, **kwargs):
        self.history.append(
            [
                p.detach().clone().numpy()
                for p in runner.model.backbone.parameters()
            ]
        )


def test_ema_is_refused_with_lazy_rows(tmp_path):
    with pytest.raises(ValueError, match="update='rows'"):
        train(
            tmp_path,
            2,
            uuid.uuid4().hex,
            optimizer=dict(update='all'),
            custom_hooks=[dict(type='EMAHook', momentum=0.2)],
        )


@pytest.mark.parametrize('optimizer', [dict(), dict(fused=True)], ids=str)
def test_ema_averages_the_network(tmp_path, optimizer):
    """It warns, trains as without it, and averages by the formula."""
    ema = dict(type='EMAHook', momentum=0.2)
    plain = train(tmp_path / 'a', 2, uuid.uuid4().hex, optimizer=optimizer)
    runner = train(
        tmp_path / 'b',
        2,
        uuid.uuid4().hex,
        optimizer=optimizer,
        log_level='WARNING',
        custom_hooks=[ema, dict(type='mmdense.BackboneHistory')],
    )
    (log,) = (tmp_path / 'b').glob('*/*.log')
    assert 'EMAHook averages the network' in log.read_text()
    a, b = final_state(plain), final_state(runner)
    assert a.keys() == b.keys()
    for key, value in a.items():
        assert np.array_equal(value, b[key]), key

    (history,) = (
        h.history for h in runner.hooks if isinstance(h, BackboneHistory)
    )
    average = history[0]
    for params in history[1:]:
        average = [
            0.8 * old + 0.2 * new
            for old, new in zip(average, params, strict=True)
        ]
    saved = torch.load(tmp_path / 'b/epoch_2.pth', weights_only=False)
    names = [key for key, _ in runner.model.named_parameters()][:2]
    assert names == ['backbone.weight', 'backbone.bias']
    for key, expected in zip(names, average, strict=True):
        # The average is what is deployed; the last weights resume.
        np.testing.assert_allclose(
            saved['state_dict'][key], expected, rtol=1e-5, atol=1e-7
        )
        last = saved['ema_state_dict'][f'module.{key}']
        assert np.array_equal(last, history[-1][names.index(key)])
    assert not any('centers' in key for key in saved['state_dict'])
    ToyRecognizer().load_state_dict(saved['state_dict'])


_NO_CONSTRUCTOR = {
    'clip': (dict(), 0.3, dict(clip_grad=dict(max_norm=1.0)), 'clip_grad'),
    'fused': (dict(fused=True), 0.3, dict(), 'fused=True'),
    'sparse': (dict(type='SGD'), 0.3, dict(), 'SGD does not take its sparse'),
    'rows': (dict(), 0.3, dict(), ''),
    'dense': (dict(type='SGD'), 1.0, dict(), ''),
}


def _train_without_constructor(work_dir, optimizer, rate, settings):
    return train(
        work_dir,
        1,
        uuid.uuid4().hex,
        launcher='pytorch' if world_size() > 1 else 'none',
        model_wrapper_cfg=dict(type='mmdense.ShardedDistributedDataParallel'),
        model=dict(type='mmdense.ToyRecognizer', sample_rate=rate),
        optim_wrapper=dict(
            optimizer=dict(type='mmdense.RowSparseSGD', lr=0.1) | optimizer,
            **settings,
        ),
    )


@pytest.mark.parametrize('case', _NO_CONSTRUCTOR)
def test_another_constructor_is_refused_where_it_matters(tmp_path, case):
    """Else one process trains as with ours."""
    optimizer, rate, settings, reason = _NO_CONSTRUCTOR[case]
    args = tmp_path / 'a', optimizer, rate, settings
    if reason:
        with pytest.raises(ValueError, match=f'{reason}.*set optim_wr') as e:
            _train_without_constructor(*args)
        name = "constructor='mmdense.ShardedOptimWrapperConstructor'"
        assert name in str(e.value)
        assert 'head.centers is a sharded table' in str(e.value)
        return
    ours = dict(constructor='mmdense.ShardedOptimWrapperConstructor')
    runners = (
        _train_without_constructor(*args),
        _train_without_constructor(tmp_path / 'b', optimizer, rate, ours),
    )
    a, b = (final_state(runner) for runner in runners)
    assert a.keys() == b.keys()
    for key, value in a.items():
        assert np.array_equal(value, b[key]), key


def test_another_constructor_is_refused_on_all_ranks(ranks, tmp_path):
    outcomes = ranks(2).outcomes(
        _train_without_constructor, str(tmp_path), {}, 0.3, {}
    )
    for outcome in outcomes:
        assert isinstance(outcome, ValueError)
        assert '2 ranks would clip and skip steps' in str(outcome)
        assert 'mmdense.ShardedOptimWrapperConstructor' in str(outcome)
