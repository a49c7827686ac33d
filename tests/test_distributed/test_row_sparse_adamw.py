"""AdamW over the rows of sparse gradients, against torch and golden runs."""

import uuid

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn

from mmdense.distributed.model_wrapper import ShardedDistributedDataParallel
from mmdense.distributed.optim import RowSparseAdamW
from mmdense.recognition.heads import PartialFCHead
from tests.golden import max_rel, read_arrays, read_json
from tests.references import dense_softmax
from tests.toy_training import final_state, train

_INFO = read_json('partial_fc/trajectory/trajectory.json') or {'runs': []}
_RUNS = [
    run['file']
    for run in _INFO['runs']
    if run['optimizer'] == 'adamw'
    and run['rule'].startswith('rows')
    and run['backbone_trained']
]
# The names that the golden data give to the two corrections.
_CORRECTIONS = {'step': 'rows_step', 'row': 'rows_perrow'}
_corrections = pytest.mark.parametrize('correction', _CORRECTIONS)


class _Model(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.backbone = nn.Linear(config['d_in'], config['d'], bias=False)
        self.head = PartialFCHead(
            config['C'],
            config['d'],
            dict(
                type='mmdense.CosFaceLoss',
                scale=config['s'],
                margin=config['m'],
            ),
            config['r'],
        )

    def forward(self, inputs, labels):
        return self.head.loss_by_feat(self.backbone(inputs), labels)['loss']


def _golden_training(config, data, correction):
    """What the rank has at the end, and all capped losses."""
    rank = dist.get_rank()
    plain = _Model(config).double()
    table = plain.head.centers
    with torch.no_grad():
        start = data['init_centres'][table.start : table.stop]
        table.weight.copy_(torch.tensor(start))
        plain.backbone.weight.copy_(torch.tensor(data['init_backbone']))
    optimizer = RowSparseAdamW(
        plain.parameters(),
        lr=config['adamw_lr'],
        weight_decay=config['adamw_wd'],
        bias_correction=correction,
    )
    model = ShardedDistributedDataParallel(plain)
    capped = []
    for step in range(config['steps']):
        everyone = data['sampled'][step]
        mine = torch.tensor(everyone[rank][everyone[rank] >= 0])
        # As candidates, the golden set is completed to itself.
        plain.head._candidates = lambda *_, m=mine - table.start: m
        shards = [None] * config['k']
        dist.all_gather_object(shards, table.weight.detach())
        with torch.no_grad():
            x = data['inputs'][step].reshape(-1, config['d_in'])
            per_sample = dense_softmax(
                plain.backbone(torch.tensor(x).double()),
                torch.cat(shards),
                torch.tensor(data['labels'][step].ravel()),
                config['s'],
                lambda cosine: cosine - config['m'],
                np.unique(everyone[everyone >= 0]),
            )
        loss = model(
            torch.tensor(data['inputs'][step, rank]).double(),
            torch.tensor(data['labels'][step, rank]),
        )
        assert loss.item() == pytest.approx(per_sample.mean().item(), 1e-10)
        # The reference floors the probability at 1e-30.
        capped.append(per_sample.clamp(max=-np.log(1e-30)).mean().item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return table.weight.detach().numpy(), np.array(capped)


@pytest.mark.golden
@_corrections
@pytest.mark.parametrize('file', _RUNS)
def test_golden_trajectory(ranks, file, correction):
    config = _INFO['config']
    golden = read_arrays(f'partial_fc/trajectory/{file}')
    rule = _CORRECTIONS[correction]
    if f'centres_{rule}_f64' not in golden:
        pytest.skip(f'{file} has no run with correction by {correction}')
    data = read_arrays('partial_fc/trajectory/data.npz')
    parts = ranks(config['k'])(_golden_training, config, data, correction)
    centres = np.concatenate([part[0] for part in parts])
    assert max_rel(centres, golden[f'centres_{rule}_f64']) < 1e-9
    assert max_rel(parts[0][1], golden[f'loss_{rule}_f64']) < 1e-9
    never = _INFO['rows_never_sampled']
    assert np.array_equal(centres[never], data['init_centres'][never])


def _parameter(rows=9, dim=3):
    generator = torch.Generator().manual_seed(0)
    return nn.Parameter(torch.randn(rows, dim, generator=generator).double())


def _sparse(rows, values, num_rows=9):
    return torch.sparse_coo_tensor(
        torch.as_tensor(rows)[None],
        torch.as_tensor(values),
        (num_rows, values.shape[1]),
        check_invariants=True,
    )


_SETTINGS = dict(lr=0.1, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.2)


@_corrections
def test_all_rows_in_the_gradient_equal_torch(correction):
    ours, dense = _parameter(), _parameter()
    twins = _parameter(), _parameter()
    a = RowSparseAdamW([ours, dense], bias_correction=correction, **_SETTINGS)
    b = torch.optim.AdamW(twins, **_SETTINGS)
    rng = np.random.default_rng(1)
    for _ in range(8):
        grad = rng.normal(size=(9, 3))
        ours.grad = _sparse(range(9), grad)
        for param in (dense, *twins):
            param.grad = torch.tensor(grad)
        a.step()
        b.step()
        torch.testing.assert_close(ours, twins[0], rtol=1e-12, atol=1e-13)
        assert torch.equal(dense, twins[1])
    for slot in ('exp_avg', 'exp_avg_sq'):
        torch.testing.assert_close(
            a.state[ours][slot], b.state[twins[0]][slot], rtol=1e-12, atol=0
        )


def test_rows_follow_their_own_dense_adamw():
    """By row, each is as if only its own steps existed."""
    param = _parameter()
    start = param.detach().clone()
    optimizer = RowSparseAdamW([param], **_SETTINGS)
    alone = [nn.Parameter(row.clone()) for row in start]
    singles = [torch.optim.AdamW([p], **_SETTINGS) for p in alone]
    rng = np.random.default_rng(2)
    for _ in range(15):
        rows = np.sort(rng.choice(7, 3, replace=False))  # 7 and 8 never
        grad = rng.normal(size=(3, 3))
        # In two micro-batches, the first of which lacks a row.
        param.grad = _sparse(rows, grad * 0.75) + _sparse(
            rows[1:], grad[1:] * 0.25
        )
        optimizer.step()
        grad[0] *= 0.75
        for row, value in zip(rows, grad, strict=True):
            alone[row].grad = torch.tensor(value)
            singles[row].step()
    expected = torch.stack([p.detach() for p in alone])
    torch.testing.assert_close(param.detach(), expected)
    assert torch.equal(param[7:], start[7:])
    for slot in ('exp_avg', 'exp_avg_sq', 'row_steps'):
        assert not optimizer.state[param][slot][7:].any()


@_corrections
def test_state_dict_round_trip(correction):
    """A copy that loads the state goes on bit for bit alike."""
    rng = np.random.default_rng(3)
    steps = [
        (np.sort(rng.choice(9, 4, replace=False)), rng.normal(size=(4, 3)))
        for _ in range(10)
    ]

    def run(start, state, steps):
        param = nn.Parameter(start.clone())
        optimizer = RowSparseAdamW(
            [param], bias_correction=correction, **_SETTINGS
        )
        if state:
            optimizer.load_state_dict(state)
        for rows, grad in steps:
            param.grad = _sparse(rows, grad)
            optimizer.step()
        return param.detach(), optimizer.state_dict()

    start = _parameter().detach()
    whole, _ = run(start, None, steps)
    half, state = run(start, None, steps[:6])
    resumed, _ = run(half, state, steps[6:])
    assert torch.equal(whole, resumed)


@_corrections
def test_a_resumed_run_ends_bit_for_bit_alike(tmp_path, correction):
    optim_wrapper = dict(
        constructor='mmdense.ShardedOptimWrapperConstructor',
        optimizer=dict(
            type='mmdense.RowSparseAdamW', lr=0.01, bias_correction=correction
        ),
    )

    def run(folder, epochs, resume=False):
        return train(
            tmp_path / folder,
            epochs,
            uuid.uuid4().hex,
            resume=resume,
            optim_wrapper=optim_wrapper,
        )

    straight = final_state(run('a', 3))
    run('b', 1)
    resumed = final_state(run('b', 3, True))
    assert straight.keys() == resumed.keys()
    assert 'head.centers.weight.exp_avg_sq' in straight
    for name, value in straight.items():
        assert np.array_equal(value, resumed[name]), name


def test_an_unknown_correction_is_refused():
    with pytest.raises(ValueError, match="got 'table'"):
        RowSparseAdamW([_parameter()], bias_correction='table')
