"""The head in mmpretrain's classifier, with its data samples."""

import pytest
import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample


@pytest.fixture
def model():
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    return MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(
                type='ResNet', depth=18, base_channels=8, stem_channels=8
            ),
            neck=dict(
                type='mmdense.EmbeddingNeck',
                in_channels=64,
                spatial_size=1,
                out_channels=16,
            ),
            head=dict(
                type='mmdense.PartialFCHead',
                num_classes=30,
                in_channels=16,
                loss=dict(type='mmdense.ArcFaceLoss', scale=32.0),
                sample_rate=0.4,
            ),
            data_preprocessor=dict(
                type='ClsDataPreprocessor',
                mean=[127.5] * 3,
                std=[127.5] * 3,
                num_classes=30,
            ),
        )
    )


def _batch():
    torch.manual_seed(1)
    return dict(
        inputs=torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8),
        data_samples=[
            DataSample(metainfo=dict(sample_idx=10 + i)).set_gt_label(3 * i)
            for i in range(5)
        ],
    )


def test_loss(model):
    data = model.data_preprocessor(_batch(), training=True)
    losses = model(**data, mode='loss')
    total, log = model.parse_losses(losses)
    total.backward()
    assert torch.isfinite(total)
    assert {'loss', 'target_cosine', 'embedding_norm'} <= set(log)
    assert total.item() == pytest.approx(losses['loss'].item())
    grad = model.head.centers.weight.grad.coalesce()
    assert set(range(0, 15, 3)) <= set(grad.indices()[0].tolist())
    assert len(grad.indices()[0]) == 12
    weights = [p for p in model.backbone.parameters() if p.requires_grad]
    assert all(torch.isfinite(p.grad).all() for p in weights)
    assert any(p.grad.abs().max() > 0 for p in weights)


def test_predict_and_tensor(model):
    model.eval()
    with torch.no_grad():
        samples = model.test_step(_batch())
        data = model.data_preprocessor(_batch())
        tensor = model(data['inputs'], mode='tensor')
    assert tensor.shape == (5, 16)
    for i, sample in enumerate(samples):
        torch.testing.assert_close(sample.embedding, tensor[i])
        assert sample.sample_idx == 10 + i
        assert int(sample.gt_label) == 3 * i
    # What a metric of mmengine is handed.
    assert {'embedding', 'sample_idx'} <= set(samples[0].to_dict())
    pre_logits = model.extract_feat(data['inputs'], stage='pre_logits')
    torch.testing.assert_close(pre_logits, tensor)


def test_published_weights_are_the_network_alone(model):
    assert not [key for key in model.state_dict() if key.startswith('head')]
    model.load_state_dict(model.state_dict(), strict=True)


@pytest.mark.parametrize('type_', ['Mixup', 'CutMix'])
def test_mixed_labels_are_refused(type_):
    init_default_scope('mmpretrain')
    preprocessor = MODELS.build(
        dict(
            type='ClsDataPreprocessor',
            num_classes=30,
            batch_augments=dict(augments=[dict(type=type_, alpha=1.0)]),
        )
    )
    head = MODELS.build(
        dict(
            type='mmdense.PartialFCHead',
            num_classes=30,
            in_channels=16,
            loss=dict(type='mmdense.ArcFaceLoss'),
        )
    )
    samples = preprocessor(_batch(), training=True)['data_samples']
    with pytest.raises(ValueError, match=r'gt_score.*remove batch_augments'):
        head.loss((torch.ones(5, 16),), samples)
