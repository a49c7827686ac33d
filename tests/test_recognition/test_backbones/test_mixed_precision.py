"""bfloat16 under autocast, against float64 with the same roundings."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.face_networks import TINY, embed, tiny

# What autocast computes, or hands on, in bfloat16.
_ROUNDED = (nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.PReLU)


def _train(net, images, direction):
    """Embeddings and the gradients of a step, in float64."""
    torch.manual_seed(2)
    out = embed(net, images)
    (out * direction).sum().backward()
    grads = [p.grad for p in net.parameters() if p.grad is not None]
    return out.detach().double(), torch.cat([g.flatten() for g in grads])


def _distance(a, b):
    return float((a.double() - b).norm() / b.norm())


def _round(x):
    return x.to(torch.bfloat16).to(x.dtype)


def _emulate(net):
    """Round what goes into and comes out of the layers of the backbone."""
    net = copy.deepcopy(net)
    for module in net['backbone'].modules():
        if isinstance(module, _ROUNDED):
            module.register_forward_pre_hook(
                lambda module, args: tuple(_round(x) for x in args)
            )
            module.register_forward_hook(lambda module, args, out: _round(out))
        if isinstance(module, nn.Conv2d | nn.Linear):
            with torch.no_grad():
                module.weight.copy_(_round(module.weight))
    return net


@pytest.mark.parametrize('name', TINY)
def test_as_close_to_float64_as_bfloat16_can_be(name):
    torch.manual_seed(0)
    net = tiny(name).train()
    x, direction = torch.randn(8, 3, 32, 32), torch.randn(8, 16)
    double = copy.deepcopy(net).double()
    emulated = _emulate(double)
    expected = _train(double, x.double(), direction)
    rounded = _train(emulated, x.double(), direction)
    with torch.autocast('cpu', torch.bfloat16):
        got = _train(net, x, direction)
    for own, rounding, exact in zip(got, rounded, expected, strict=True):
        limit = _distance(rounding, exact)
        # Rounding was at work, and no more of it than there must be.
        assert 2**-9 < limit < 0.5
        assert limit / 2 < _distance(own, exact) < 1.5 * limit


@pytest.mark.parametrize('name', TINY)
def test_the_output_layer_is_in_full_precision(name):
    net = tiny(name).train()
    x = net['backbone'](torch.randn(8, 3, 32, 32))[0].detach()
    (expected,) = copy.deepcopy(net['neck'])(x)
    with torch.autocast('cpu', torch.bfloat16):
        (got,) = net['neck'](x)
        (half,) = net['neck'](x.bfloat16())
    assert got.dtype == half.dtype == torch.float32
    assert torch.equal(got, expected)


def test_sums_beyond_the_range_of_float16():
    neck = tiny('IResNet')['neck'].eval().requires_grad_(False)
    neck.fc.weight.fill_(1)
    x = torch.full((2, 512, 2, 2), 100.0, dtype=torch.float16)
    with torch.autocast('cpu', torch.float16):
        assert F.linear(x.flatten(1), neck.fc.weight).isinf().all()
        (got,) = neck(x)
    assert float(got.mean()) == pytest.approx(2048 * 100, rel=1e-3)


def test_attention_and_patches_are_in_full_precision(monkeypatch):
    seen = []
    attention = F.scaled_dot_product_attention

    def recorded(*args):
        seen.append([x.dtype for x in args])
        return attention(*args)

    monkeypatch.setattr(F, 'scaled_dot_product_attention', recorded)
    backbone = tiny('FaceViT')['backbone'].eval()
    embedded = []
    backbone.patch_embed.register_forward_hook(
        lambda module, args, out: embedded.append(out)
    )
    hidden = []
    backbone.blocks[0].mlp.fc1.register_forward_hook(
        lambda module, args, out: hidden.append(out.dtype)
    )
    x = torch.randn(2, 3, 32, 32)
    with torch.autocast('cpu', torch.bfloat16):
        backbone(x)
    backbone(x)
    assert seen == [[torch.float32] * 3] * 6
    assert torch.equal(*embedded)
    assert hidden == [torch.bfloat16, torch.float32]
