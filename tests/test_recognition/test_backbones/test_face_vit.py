"""Token masking, drop path and arguments of FaceViT."""

import pytest
import torch

from mmdense.recognition.backbones import FaceViT
from tests.face_networks import embed, tiny


def _vit(**kwargs):
    torch.manual_seed(0)
    return FaceViT(
        **dict(
            arch=dict(embed_dims=8, num_layers=2, num_heads=2),
            img_size=60,
            patch_size=6,
            drop_path_rate=0.0,
        )
        | kwargs
    )


@pytest.mark.parametrize('ratio', [0.0, 0.05, 0.1, 0.5, 0.999])
def test_the_share_of_tokens_left_out_is_what_was_asked(ratio):
    vit = _vit(mask_ratio=ratio)
    seen = []
    vit.blocks[0].register_forward_hook(
        lambda module, args, out: seen.append(out.shape[1])
    )
    vit(torch.randn(2, 3, 60, 60))
    vit.eval()
    vit(torch.randn(2, 3, 60, 60))
    assert seen == [max(1, round(100 * (1 - ratio))), 100]


def test_tokens_return_to_their_places():
    # Without blocks a token that stays is what it is in evaluation.
    vit = _vit(
        arch=dict(embed_dims=8, num_layers=0, num_heads=2), mask_ratio=0.3
    )
    x = torch.randn(5, 3, 60, 60)
    got = vit(x)[0].flatten(2)
    plain = vit.eval()(x)[0].flatten(2)
    token = vit.mask_token.view(1, 8, 1)
    kept, masked = (got == plain).all(1), (got == token).all(1)
    assert torch.all(kept ^ masked)
    assert masked.sum(1).tolist() == [30] * 5
    assert len({tuple(row) for row in masked.tolist()}) == 5
    got.sum().backward()
    assert torch.all(vit.mask_token.grad == 150)


def test_the_map_lies_as_the_image():
    # A patch changes its own cell: rows and columns are not mixed up.
    vit = _vit(arch=dict(embed_dims=8, num_layers=0, num_heads=2)).eval()
    x = torch.randn(1, 3, 60, 60)
    y = x.clone()
    y[:, :, 12:18, 54:] += 1
    changed = (vit(x)[0] != vit(y)[0]).any(1)[0].nonzero()
    assert changed.tolist() == [[2, 9]]


def test_branches_are_dropped_at_rates_that_grow():
    vit = _vit(
        arch=dict(embed_dims=8, num_layers=4, num_heads=2), drop_path_rate=0.3
    )
    rates = [block.drop_path.p for block in vit.blocks]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3])
    x = torch.randn(200, 9, 8)
    left_out = (vit.blocks[3](x) == x).flatten(1).all(1).float().mean()
    # Both branches: 0.3 ** 2, five standard deviations of 200 samples.
    assert 0.0 < left_out < 0.2


@pytest.mark.parametrize('ratio', [0.0, 0.3])
def test_every_trainable_parameter_has_a_gradient(ratio):
    # DDP would wait for those that have none.
    net = tiny('FaceViT', mask_ratio=ratio)
    embed(net, torch.randn(4, 3, 32, 32)).square().sum().backward()
    for name, param in net.named_parameters():
        assert (param.grad is not None) == param.requires_grad, name
    assert net['backbone'].mask_token.requires_grad == (ratio > 0)


@pytest.mark.parametrize(
    ('kwargs', 'match'),
    [
        (dict(arch='xl'), r"one of \('t', 's', 'b', 'l', 'h'\), got 'xl'"),
        (dict(arch=dict(embed_dims=8)), 'expected embed_dims, num_layers'),
        (
            dict(arch=dict(embed_dims=8, num_layers=1, num_heads=3)),
            'a multiple of num_heads, 3',
        ),
        (dict(img_size=5), 'one patch of 6 pixels'),
        (dict(mask_ratio=1.0), r'mask_ratio must be in \[0, 1\), got 1.0'),
        (dict(drop_path_rate=-0.1), 'drop_path_rate must be'),
    ],
)
def test_impossible_arguments_are_refused(kwargs, match):
    with pytest.raises(ValueError, match=match):
        _vit(**kwargs)


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r'\(60, 60\); set img_size'):
        _vit()(torch.zeros(1, 3, 60, 61))
