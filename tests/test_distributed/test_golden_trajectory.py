"""Thirty optimizer steps on k ranks against the golden trajectories."""

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine.model import BaseModel
from torch import nn

from mmdense.distributed.model_wrapper import ShardedDistributedDataParallel
from mmdense.distributed.optim import RowSparseSGD
from mmdense.recognition.heads import PartialFCHead
from tests.golden import max_rel, read_arrays, read_json
from tests.references import dense_softmax

pytestmark = pytest.mark.golden

_INFO = read_json('partial_fc/trajectory/trajectory.json') or {'runs': []}
_RUNS = [run for run in _INFO['runs'] if run['optimizer'] == 'sgd']
# The reference floors the probability at 1e-30 in the loss it reports.
_CAP = -np.log(1e-30)


class _Model(BaseModel):
    def __init__(self, head, d_in, trained):
        super().__init__()
        self.backbone = nn.Linear(d_in, head.in_channels, bias=False)
        self.backbone.requires_grad_(trained)
        self.head = head

    def forward(self, inputs, labels):
        return self.head.loss_by_feat(self.backbone(inputs), labels)['loss']


def _train(config, data, trained, update, dtype):
    rank, dtype = dist.get_rank(), getattr(torch, dtype)
    head = PartialFCHead(
        config['C'],
        config['d'],
        dict(
            type='mmdense.CosFaceLoss', scale=config['s'], margin=config['m']
        ),
        config['r'],
    )
    plain = _Model(head, config['d_in'], trained).to(dtype)
    table = head.centers
    rows = slice(table.start, table.stop)
    with torch.no_grad():
        table.weight.copy_(torch.tensor(data['init_centres'][rows]))
        plain.backbone.weight.copy_(torch.tensor(data['init_backbone']))
    optimizer = RowSparseSGD(
        [p for p in plain.parameters() if p.requires_grad],
        lr=config['lr'],
        momentum=config['momentum'],
        weight_decay=config['wd'],
        update=update,
    )
    # DDP has nothing to do, and refuses, where all it averages is frozen.
    model = ShardedDistributedDataParallel(plain) if trained else plain
    losses, expected, after = [], [], {}
    for step in range(config['steps']):
        sampled = data['sampled'][step, rank]
        sampled = torch.tensor(sampled[sampled >= 0]) - table.start
        # As candidates, the golden set is completed to itself.
        head._candidates = lambda *_, sampled=sampled: sampled
        loss = model(
            torch.tensor(data['inputs'][step, rank], dtype=dtype),
            torch.tensor(data['labels'][step, rank]),
        )
        expected.append(_per_sample(config, data, step, plain).numpy())
        optimizer.zero_grad()
        loss.backward()
        assert torch.equal(table.weight.grad.coalesce().indices()[0], sampled)
        optimizer.step()
        losses.append(loss.item())
        if f'centres_step{step + 1}_f64' in data['result']:
            table.refresh()
            after[step + 1] = table.weight.detach().numpy().copy()
    state = optimizer.state_dict()['state']
    momentum = optimizer.state[table.weight]['momentum_buffer']
    assert len(state) == (2 if trained else 1)
    return dict(
        losses=np.array(losses),
        per_sample=np.array(expected),
        after=after,
        centres=table.weight.detach().numpy(),
        momentum=momentum.numpy(),
        backbone=plain.backbone.weight.detach().numpy(),
        backbone_momentum=optimizer.state[plain.backbone.weight]
        .get('momentum_buffer', torch.zeros(()))
        .numpy(),
    )


def _per_sample(config, data, step, model):
    """The losses of a step, by definition, from what all ranks hold."""
    shards = [None] * config['k']
    dist.all_gather_object(shards, model.head.centers.weight.detach())
    sampled = data['sampled'][step]
    x = torch.tensor(data['inputs'][step].reshape(-1, config['d_in']))
    return dense_softmax(
        x.double() @ model.backbone.weight.detach().double().T,
        torch.cat(shards).double(),
        torch.tensor(data['labels'][step].ravel()),
        config['s'],
        lambda cosine: cosine - config['m'],
        np.unique(sampled[sampled >= 0]),
    )


@pytest.mark.parametrize('run', _RUNS, ids=[run['name'] for run in _RUNS])
@pytest.mark.parametrize('dtype', ['float64', 'float32'])
def test_trajectory(ranks, run, dtype):
    config = _INFO['config']
    data = read_arrays('partial_fc/trajectory/data.npz')
    golden = read_arrays(f'partial_fc/trajectory/{run["file"]}')
    data['result'] = list(golden)
    update = {'rows': 'rows', 'dense': 'all'}[run['rule']]
    parts = ranks(config['k'])(
        _train, config, data, run['backbone_trained'], update, dtype
    )
    whole = {
        key: np.concatenate([part[key] for part in parts])
        for key in ('centres', 'momentum')
    }
    double = dtype == 'float64'
    bits = 'f64' if double else 'f32'
    tight = 1e-9 if double else 1e-4
    assert max_rel(whole['centres'], golden[f'centres_{bits}']) < tight
    assert max_rel(whole['momentum'], golden[f'momentum_{bits}']) < 2 * tight
    for part in parts:
        backbone = golden.get(f'backbone_{bits}', data['init_backbone'])
        assert max_rel(part['backbone'], backbone) < tight
        assert np.array_equal(part['backbone'], parts[0]['backbone'])
        if run['backbone_trained']:
            assert (
                max_rel(
                    part['backbone_momentum'], golden['backbone_momentum_f64']
                )
                < 2 * tight
            )
    for step in parts[0]['after']:
        after = np.concatenate([part['after'][step] for part in parts])
        assert max_rel(after, golden[f'centres_step{step}_f64']) < tight
    never = _INFO['rows_never_sampled']
    start = data['init_centres'][never].astype(dtype)
    if run['rule'] == 'rows':
        assert np.array_equal(whole['centres'][never], start)
        assert not whole['momentum'][never].any()
    elif never:
        assert not np.allclose(whole['centres'][never], start, rtol=1e-4)
    # The reference reports capped losses, ours are not capped.
    scale = 1e-9 if double else 2e-4
    per_sample = parts[0]['per_sample']
    assert max_rel(parts[0]['losses'], per_sample.mean(axis=1)) < scale
    capped = per_sample.clip(max=_CAP).mean(axis=1)
    assert max_rel(capped, golden[f'loss_{bits}']) < scale
