"""mmpretrain's backbones become embedding networks through one neck."""

import re

import pytest
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

_VIT = dict(
    type='mmpretrain.VisionTransformer',
    arch=dict(
        embed_dims=32,
        num_layers=2,
        num_heads=4,
        feedforward_channels=64,
    ),
    img_size=32,
    patch_size=8,
)
# With the channels and the side of the map they give for 32 x 32 images.
_BACKBONES = {
    'ResNet': (dict(type='mmpretrain.ResNet', depth=18), 512, 1),
    'ResNet-4-outputs': (
        dict(type='mmpretrain.ResNet', depth=18, out_indices=(0, 1, 2, 3)),
        512,
        1,
    ),
    'MobileNetV3': (
        dict(type='mmpretrain.MobileNetV3', arch='small_050'),
        288,
        1,
    ),
    'ConvNeXt-vectors': (
        dict(type='mmpretrain.ConvNeXt', arch='atto'),
        320,
        1,
    ),
    'ConvNeXt-maps': (
        dict(
            type='mmpretrain.ConvNeXt',
            arch='atto',
            gap_before_final_norm=False,
        ),
        320,
        1,
    ),
    'Swin': (
        dict(
            type='mmpretrain.SwinTransformer',
            arch=dict(embed_dims=16, depths=[1, 1], num_heads=[2, 2]),
            img_size=32,
            window_size=4,
            out_indices=(1,),
        ),
        32,
        4,
    ),
    'ViT-cls_token': (_VIT, 32, 1),
    'ViT-featmap': (
        _VIT | dict(out_type='featmap', with_cls_token=False),
        32,
        4,
    ),
    'ViT-avg_featmap': (_VIT | dict(out_type='avg_featmap'), 32, 1),
}


def _classifier(backbone, in_channels, spatial_size):
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='mmpretrain.ImageClassifier',
            backbone=backbone,
            neck=dict(
                type='mmdense.EmbeddingNeck',
                in_channels=in_channels,
                spatial_size=spatial_size,
                out_channels=8,
            ),
            head=dict(
                type='mmdense.PartialFCHead',
                num_classes=6,
                in_channels=8,
                loss=dict(type='mmdense.CosFaceLoss'),
            ),
        )
    )
    model.init_weights()
    return model


@pytest.mark.parametrize('name', _BACKBONES)
def test_trains(name):
    config, channels, side = _BACKBONES[name]
    model = _classifier(config, channels, side)
    images = torch.randn(6, 3, 32, 32)
    labels = torch.arange(6)
    samples = [DataSample().set_gt_label(label) for label in labels]
    losses = model.train().loss(images, samples)
    losses['loss'].backward()
    for key, param in model.backbone.named_parameters():
        assert (param.grad is not None) == param.requires_grad, key
    # Whatever the backbone: embeddings of a batch are normalised by the last
    # BN, whose scale is fixed at 1.
    (embeddings,) = model.extract_feat(images)
    var = embeddings.var(0, unbiased=False)
    torch.testing.assert_close(var, torch.ones(8), atol=0.02, rtol=0)


@pytest.mark.parametrize('name', _BACKBONES)
def test_the_error_says_what_to_set(name):
    config, channels, side = _BACKBONES[name]
    model = _classifier(config, 5, 6)
    images = torch.randn(4, 3, 32, 32)
    with pytest.raises(ValueError, match='set EmbeddingNeck') as info:
        model.extract_feat(images)
    found = re.search(
        r'in_channels=(\d+), spatial_size=(\d+)\)', str(info.value)
    )
    assert (int(found[1]), int(found[2])) == (channels, side)


def test_tokens_are_refused():
    model = _classifier(_VIT | dict(out_type='raw'), 32, 4)
    with pytest.raises(ValueError, match="out_type='featmap'"):
        model.extract_feat(torch.randn(2, 3, 32, 32))


def test_several_tensors_per_stage_are_refused():
    deit = _VIT | dict(type='mmpretrain.DistilledVisionTransformer')
    model = _classifier(deit, 32, 1)
    with pytest.raises(TypeError, match='is a tuple, EmbeddingNeck expected'):
        model.extract_feat(torch.randn(2, 3, 32, 32))
