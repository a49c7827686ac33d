"""SGD that catches rows up late, against torch's on the dense gradient."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from mmdense.distributed.optim import RowSparseSGD, lazy_rows

_ROWS, _DIM, _STEPS = 17, 3, 60


def _table(start, **settings):
    param = nn.Parameter(start.clone())
    param.sparse_table = True
    return param, RowSparseSGD([param], lr=9.0, update='all', **settings)


def _start():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(_ROWS, _DIM, generator=generator).double()


def _steps(momentum):
    """Rows, their targets, and the settings of each step."""
    rng = np.random.default_rng(1)
    for step in range(_STEPS):
        # Row 16 never, and once no row at all.
        size = 0 if step == 20 else rng.integers(1, 6)
        rows = np.sort(rng.choice(_ROWS - 1, size, replace=False))
        group = dict(lr=0.3 / (1 + step // 7))
        if step > 40 and momentum:
            group['momentum'] = momentum / 2
        yield torch.tensor(rows), torch.tensor(rng.normal(size=_DIM)), group


def _gradient(weight, rows, target):
    # Of rows as they were read: a stale row gives a wrong gradient.
    return weight[rows] - target


_SETTINGS = [
    dict(momentum=momentum, weight_decay=decay, nesterov=nesterov)
    for momentum, decay, nesterov in itertools.product(
        (0.0, 0.9), (0.0, 5e-4, 0.1), (False, True)
    )
    if momentum or not nesterov
]


@pytest.mark.parametrize('max_age', [1, 7, 4096])
@pytest.mark.parametrize('settings', _SETTINGS, ids=str)
def test_equals_torch_on_the_dense_gradient(settings, max_age, monkeypatch):
    monkeypatch.setattr(lazy_rows, '_MAX_AGE', max_age)
    monkeypatch.setattr(lazy_rows, 'ROWS_PER_CHUNK', 4)
    param, ours = _table(_start(), **settings)
    dense = nn.Parameter(_start())
    theirs = torch.optim.SGD([dense], lr=9.0, **settings)
    rng = np.random.default_rng(2)
    for step, (rows, target, group) in enumerate(_steps(0.9)):
        if settings['momentum'] == 0:
            group.pop('momentum', None)
        for optimizer in (ours, theirs):
            optimizer.param_groups[0].update(group)
        param.refresh_rows(rows)
        values = _gradient(param.detach(), rows, target)
        param.grad = torch.sparse_coo_tensor(
            rows[None], values, param.shape, check_invariants=True
        )
        dense.grad = torch.zeros_like(dense)
        dense.grad[rows] = _gradient(dense.detach(), rows, target)
        ours.step()
        theirs.step()
        # Some rows are asked for, and are up to date.
        asked = torch.tensor(rng.choice(_ROWS, 2, replace=False))
        param.refresh_rows(asked)
        torch.testing.assert_close(
            param[asked], dense[asked], rtol=1e-9, atol=1e-12
        )
        if step == 30:
            # Saved and restored as ShardedCheckpointHook does.
            state = ours.state_dict()
            torch.testing.assert_close(param, dense, rtol=1e-9, atol=1e-12)
            param, ours = _table(param.detach(), **settings)
            ours.load_state_dict(state)
    param.refresh_rows(None)
    torch.testing.assert_close(param, dense, rtol=1e-9, atol=1e-12)
    if settings['momentum']:
        ours.flush()
        torch.testing.assert_close(
            ours.state[param]['momentum_buffer'],
            theirs.state[dense]['momentum_buffer'],
            rtol=1e-9,
            atol=1e-12,
        )


def test_rows_wait_until_they_are_asked_for():
    """The others are not touched: a step costs the rows in use."""
    param, optimizer = _table(_start(), momentum=0.9, weight_decay=0.1)
    optimizer.param_groups[0]['lr'] = 0.1
    for _ in range(5):
        rows = torch.tensor([2, 3])
        param.grad = torch.sparse_coo_tensor(
            rows[None], torch.ones(2, _DIM).double(), param.shape
        )
        optimizer.step()
    waiting = [row for row in range(_ROWS) if row not in (2, 3)]
    assert torch.equal(param[waiting], _start()[waiting])
    param.refresh_rows(torch.tensor([0, 5]))
    assert not torch.equal(param[[0, 5]], _start()[[0, 5]])
    assert torch.equal(param[6:], _start()[6:])
    optimizer.flush()
    assert (param != _start()).all()
    before = param.detach().clone()
    optimizer.flush()
    assert torch.equal(param, before)


def test_without_momentum_none_is_held():
    param, optimizer = _table(_start(), weight_decay=0.1)
    for row in range(4):
        param.grad = torch.sparse_coo_tensor(
            torch.tensor([[row]]), torch.ones(1, _DIM).double(), param.shape
        )
        optimizer.step()
    assert not optimizer.state_dict()['state']


def test_momentum_may_begin_late():
    """As torch: what was before counts as none."""
    param, ours = _table(_start(), weight_decay=0.1)
    dense = nn.Parameter(_start())
    theirs = torch.optim.SGD([dense], lr=9.0, weight_decay=0.1)
    for step in range(12):
        rows = torch.tensor([step % 3])
        param.refresh_rows(rows)
        values = torch.full((1, _DIM), 0.5).double()
        param.grad = torch.sparse_coo_tensor(rows[None], values, param.shape)
        dense.grad = param.grad.to_dense()
        for optimizer in (ours, theirs):
            optimizer.param_groups[0].update(
                lr=0.1, momentum=0.0 if step < 6 else 0.9
            )
            optimizer.step()
    ours.flush()
    torch.testing.assert_close(param, dense, rtol=1e-12, atol=1e-14)


def test_unknown_updates_are_refused():
    with pytest.raises(ValueError, match="got 'lazy'"):
        RowSparseSGD([nn.Parameter(_start())], update='lazy')
    with pytest.raises(ValueError, match="needs update='rows'"):
        RowSparseSGD([nn.Parameter(_start())], update='all', fused=True)


def test_a_loaded_state_has_nothing_to_catch_up_with():
    """What was pending belonged to the state before."""
    settings = dict(momentum=0.9, weight_decay=0.1)
    param, optimizer = _table(_start(), **settings)
    _train(param, optimizer, 4)
    saved = optimizer.state_dict()
    weight = param.detach().clone()
    _train(param, optimizer, 3)
    with torch.no_grad():
        param.copy_(weight)
    optimizer.load_state_dict(saved)
    param.refresh_rows()
    assert torch.equal(param, weight)


def _train(param, optimizer, steps):
    for rows, target, _ in itertools.islice(_steps(0.9), steps):
        param.refresh_rows(rows)
        values = _gradient(param.detach(), rows, target)
        param.grad = torch.sparse_coo_tensor(
            rows[None], values, param.shape, check_invariants=True
        )
        optimizer.step()
