"""SGD over the rows of sparse gradients, against torch and by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from mmdense.distributed.optim import RowSparseSGD


def _sparse(rows, values, num_rows):
    values = torch.as_tensor(np.asarray(values)).double()
    size = (num_rows, values.shape[1])
    indices = torch.tensor([rows], dtype=torch.int64)
    with torch.sparse.check_sparse_tensor_invariants():
        return torch.sparse_coo_tensor(indices, values, size)


def _parameter(seed=0, rows=9, dim=3):
    generator = torch.Generator().manual_seed(seed)
    return nn.Parameter(
        torch.randn(rows, dim, generator=generator, dtype=torch.float64)
    )


_SETTINGS = [
    dict(),
    dict(momentum=0.9),
    dict(weight_decay=0.05),
    dict(momentum=0.9, weight_decay=0.05),
    dict(momentum=0.8, weight_decay=0.05, nesterov=True),
]
_settings = pytest.mark.parametrize('settings', _SETTINGS, ids=str)


@_settings
def test_all_rows_in_the_gradient_equal_torch(settings):
    ours, theirs = _parameter(), _parameter()
    a = RowSparseSGD([ours], lr=0.1, **settings)
    b = torch.optim.SGD([theirs], lr=0.1, **settings)
    rng = np.random.default_rng(1)
    for _ in range(6):
        grad = rng.normal(size=(9, 3))
        ours.grad = _sparse(list(range(9)), grad, 9)
        theirs.grad = torch.tensor(grad)
        a.step()
        b.step()
        torch.testing.assert_close(ours, theirs, rtol=1e-13, atol=1e-14)
    assert ours.grad.is_sparse, 'the gradient must survive the step'


@_settings
def test_rows_follow_their_own_dense_sgd(settings):
    """Each row is as if it had an optimizer that only its steps call."""
    param = _parameter()
    start = param.detach().clone()
    optimizer = RowSparseSGD([param], lr=0.1, **settings)
    alone = [nn.Parameter(row.clone()) for row in start]
    singles = [torch.optim.SGD([p], lr=0.1, **settings) for p in alone]
    rng = np.random.default_rng(2)
    for _ in range(12):
        rows = np.sort(rng.choice(7, 3, replace=False))  # 7 and 8 never
        grad = rng.normal(size=(3, 3))
        param.grad = _sparse(rows.tolist(), grad, 9)
        optimizer.step()
        for row, value in zip(rows, grad, strict=True):
            alone[row].grad = torch.tensor(value)
            singles[row].step()
    torch.testing.assert_close(
        param.detach(), torch.stack([p.detach() for p in alone])
    )
    assert torch.equal(param[7:], start[7:])
    if settings.get('momentum'):
        buffer = optimizer.state[param]['momentum_buffer']
        assert not buffer[7:].any()


def test_more_rows_than_a_chunk(monkeypatch):
    from mmdense.distributed.optim import row_sparse

    results = []
    for size in (2, 10**6):
        monkeypatch.setattr(row_sparse, 'ROWS_PER_CHUNK', size)
        param = _parameter()
        optimizer = RowSparseSGD([param], lr=0.1, momentum=0.9)
        for step in range(3):
            values = np.arange(15).reshape(5, 3) + step
            param.grad = _sparse([0, 2, 3, 5, 8], values, 9)
            optimizer.step()
        results.append(param.detach())
    assert torch.equal(*results)


def test_accumulated_gradients_add_up():
    """Micro-batches leave an uncoalesced gradient with repeated rows."""
    table = nn.Embedding(9, 3, sparse=True, dtype=torch.float64)
    before = table.weight.detach().clone()
    optimizer = RowSparseSGD(table.parameters(), lr=0.5, momentum=0.9)
    for batch in ([1, 4, 4], [4, 7]):
        table(torch.tensor(batch)).sum().backward()
    optimizer.step()
    change = (before - table.weight.detach()) / 0.5
    expected = torch.zeros(9, 3, dtype=torch.float64)
    expected[[1, 4, 7]] = torch.tensor([[1.0], [3.0], [1.0]]).double()
    torch.testing.assert_close(change, expected)


def test_groups_dense_parameters_and_schedulers():
    """Each group has its own rates, and a scheduler reaches all of them."""
    sparse, dense = _parameter(0), _parameter(1)
    twin = nn.Parameter(dense.detach().clone())
    groups = [
        dict(params=[sparse], lr=1.0, weight_decay=0.0),
        dict(params=[dense], lr=0.1),
    ]
    ours = RowSparseSGD(groups, lr=9.0, momentum=0.5, weight_decay=0.01)
    theirs = torch.optim.SGD([twin], lr=0.1, momentum=0.5, weight_decay=0.01)
    schedulers = [
        torch.optim.lr_scheduler.StepLR(o, 1, 0.5) for o in (ours, theirs)
    ]
    expected, velocity = sparse[2].detach().clone(), torch.zeros(3).double()
    for step in range(4):
        sparse.grad = _sparse([2], np.ones((1, 3)), 9)
        dense.grad = torch.full_like(dense, float(step))
        twin.grad = dense.grad.clone()
        velocity = 0.5 * velocity + 1
        expected -= 0.5**step * velocity
        for optimizer in (ours, theirs):
            optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    assert torch.equal(dense, twin)
    torch.testing.assert_close(sparse[2].detach(), expected)


def test_closure_is_evaluated_with_gradients():
    table = nn.Embedding(4, 2, sparse=True)
    optimizer = RowSparseSGD(table.parameters(), lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = table(torch.tensor([3])).square().sum()
        loss.backward()
        return loss

    expected = table.weight[3].square().sum().item()
    before = table.weight.detach().clone()
    assert optimizer.step(closure).item() == pytest.approx(expected)
    torch.testing.assert_close(table.weight[3], before[3] * 0.8)
    assert optimizer.step() is None


@pytest.mark.parametrize('update', ['rows', 'all'])
def test_state_dict_round_trip(update):
    """A copy that loads the state goes on exactly alike."""
    rng = np.random.default_rng(3)
    steps = [
        (np.sort(rng.choice(9, 4, replace=False)), rng.normal(size=(4, 3)))
        for _ in range(8)
    ]

    def build(start):
        param = nn.Parameter(start.clone())
        param.sparse_table = True
        return param, RowSparseSGD(
            [param], lr=0.1, momentum=0.9, weight_decay=0.01, update=update
        )

    def run(param, optimizer, steps):
        for rows, grad in steps:
            param.grad = _sparse(rows.tolist(), grad, 9)
            optimizer.step()

    start = _parameter().detach()
    whole, optimizer = build(start)
    run(whole, optimizer, steps)
    optimizer.state_dict()
    first, optimizer = build(start)
    run(first, optimizer, steps[:5])
    state = optimizer.state_dict()
    second, optimizer = build(first.detach())
    optimizer.load_state_dict(state)
    run(second, optimizer, steps[5:])
    optimizer.state_dict()
    torch.testing.assert_close(whole, second, rtol=1e-13, atol=1e-14)


def test_nothing_to_do_without_gradients():
    param = _parameter()
    before = param.detach().clone()
    optimizer = RowSparseSGD([param], lr=0.1, momentum=0.9, weight_decay=1.0)
    optimizer.step()
    param.grad = _sparse([], np.zeros((0, 3)), 9)
    optimizer.step()
    assert torch.equal(param, before)
