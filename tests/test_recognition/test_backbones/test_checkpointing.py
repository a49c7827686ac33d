"""Checkpointed and plain training are the same, bit for bit."""

import copy
from contextlib import nullcontext

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmdense.recognition.backbones.checkpointing import run_blocks
from tests.face_networks import TINY, embed, tiny


def _train(name, with_cp, context):
    """Embeddings, gradients and buffers after two steps."""
    torch.manual_seed(0)
    net = tiny(name, with_cp=with_cp).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    direction = torch.randn(4, 16)
    for _ in range(2):
        optimizer.zero_grad()
        with context():
            out = embed(net, torch.randn(4, 3, 32, 32))
        (out * direction).sum().backward()
        optimizer.step()
    grads = {key: p.grad for key, p in net.named_parameters()}
    return out, grads, dict(net.named_buffers())


@pytest.mark.parametrize(
    'context',
    [nullcontext, lambda: torch.autocast('cpu', torch.bfloat16)],
    ids=['float32', 'autocast'],
)
@pytest.mark.parametrize('name', TINY)
def test_same_results(name, context):
    plain = _train(name, False, context)
    ours = _train(name, True, context)
    assert torch.equal(plain[0], ours[0])
    for expected, got in zip(plain[1:], ours[1:], strict=True):
        assert expected.keys() == got.keys()
        for key, x in expected.items():
            assert (x is None and got[key] is None) or torch.equal(
                x, got[key]
            ), key


@pytest.mark.parametrize('name', TINY)
def test_less_is_kept_for_the_backward_pass(name):
    def kept(with_cp):
        sizes = {}

        def pack(x):
            sizes[x.untyped_storage().data_ptr()] = x.nbytes
            return x

        net = tiny(name, with_cp=with_cp).train()
        weights = {p.untyped_storage().data_ptr() for p in net.parameters()}
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            out = embed(net, torch.randn(4, 3, 32, 32))
        assert out.requires_grad
        return sum(n for at, n in sizes.items() if at not in weights)

    assert kept(True) < 0.7 * kept(False)


def test_each_batch_is_counted_once():
    norm = nn.BatchNorm1d(3)
    blocks = [nn.Sequential(nn.Linear(3, 3), norm, nn.Tanh())]
    x = torch.randn(5, 3, requires_grad=True)
    run_blocks(blocks, x, True).sum().backward()
    assert norm.num_batches_tracked == 1
    batch = blocks[0][0](x)
    torch.testing.assert_close(norm.running_mean, 0.1 * batch.mean(0))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * batch.var(0))


def test_nothing_is_run_twice_without_gradients():
    calls = []
    block = nn.Linear(3, 3)
    block.register_forward_hook(lambda *args: calls.append(1))
    with torch.no_grad():
        run_blocks([block], torch.randn(2, 3), True)
    run_blocks([block], torch.randn(2, 3), True).sum().backward()
    assert len(calls) == 2


def _on_rank(with_cp):
    torch.manual_seed(0)
    net = tiny('MobileFaceNet', with_cp=with_cp).train()
    net = DistributedDataParallel(
        nn.Sequential(net['backbone'], net['neck']), broadcast_buffers=False
    )
    torch.manual_seed(1 + dist.get_rank())
    for _ in range(2):
        net(torch.randn(4, 3, 32, 32))[0].square().sum().backward()
    return {
        key: x.detach().numpy()
        for key, x in [*net.named_buffers()]
        + [(key, p.grad) for key, p in net.named_parameters()]
    }


def test_under_ddp(ranks):
    plain = ranks(2)(_on_rank, False)
    ours = ranks(2)(_on_rank, True)
    for expected, got in zip(plain, ours, strict=True):
        for key, x in expected.items():
            np.testing.assert_array_equal(got[key], x, key)


def test_compiled():
    torch.manual_seed(0)
    blocks = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Sequential(nn.BatchNorm2d(4), nn.PReLU(4))
    )
    plain = copy.deepcopy(blocks)
    x = torch.randn(2, 3, 8, 8, requires_grad=True)
    compiled = torch.compile(
        lambda images: run_blocks(blocks, images, True), backend='aot_eager'
    )
    compiled(x).square().sum().backward()
    plain(x).square().sum().backward()
    for a, b in zip(plain.parameters(), blocks.parameters(), strict=True):
        torch.testing.assert_close(b.grad, a.grad)
    for a, b in zip(plain.buffers(), blocks.buffers(), strict=True):
        torch.testing.assert_close(b, a)
