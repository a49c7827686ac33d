"""The benchmark compares two implementations of one step."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.golden import max_rel

TOOL = Path(__file__).parents[2] / (
    'tools/analysis_tools/benchmark_partial_fc.py'
)


@pytest.mark.parametrize('flags', [[], ['--fused']], ids=['deferred', 'fused'])
def test_both_sides_learn_the_same(monkeypatch, flags):
    monkeypatch.syspath_prepend(str(TOOL.parent))
    import benchmark_partial_fc as tool

    size = ['--num-classes', '37', '--dim', '8', '--batch-size', '6']
    argv = ['tool', *size, '--sample-rate', '1', *flags]
    sides = {}
    for worker in ('plain', 'ours'):
        monkeypatch.setattr(sys, 'argv', [*argv, '--worker', worker])
        sides[worker] = tool.build(tool.parse_args())
    weights = {
        worker: optimizer.param_groups[0]['params'][0]
        for worker, (_, optimizer) in sides.items()
    }
    with torch.no_grad():
        weights['ours'].copy_(weights['plain'])

    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        x = torch.randn(6, 8, generator=generator)
        y = torch.randint(37, (6,), generator=generator)
        losses, grads = [], []
        for loss_of, optimizer in sides.values():
            mine = x.clone().requires_grad_()
            loss = loss_of(mine, y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
            grads.append(mine.grad)
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
        # float32 rounding, amplified by the scale of 64 and three steps.
        assert max_rel(grads[1], grads[0]) < 1e-3
    learnt = [weights[worker].detach() for worker in ('ours', 'plain')]
    assert max_rel(*learnt) < 1e-3


def test_a_worker_reports_times_and_memory():
    command = [sys.executable, TOOL, '--worker', 'ours', '--steps', '1']
    done = subprocess.run(
        [*command, '--num-classes', '20000', '--dim', '64'],
        capture_output=True,
        text=True,
        check=True,
    )
    result = json.loads(done.stdout.splitlines()[-1])
    assert set(result) == {
        'forward',
        'backward',
        'update',
        'total',
        'peak_mib',
    }
    # Centers and momentum: 2 x 20,000 x 64 floats.
    assert result['peak_mib'] > 2 * 20_000 * 64 * 4 / 2**20
