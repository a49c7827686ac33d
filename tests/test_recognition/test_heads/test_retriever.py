"""The head in mmpretrain's image retriever."""

import pytest
import torch
from mmpretrain.structures import DataSample

from mmdense.registry import MODELS


@pytest.fixture
def model():
    torch.manual_seed(0)
    return MODELS.build(
        dict(
            type='mmpretrain.ImageToImageRetriever',
            image_encoder=[
                dict(
                    type='mmpretrain.ResNet',
                    depth=18,
                    base_channels=8,
                    stem_channels=8,
                ),
                dict(
                    type='mmdense.EmbeddingNeck',
                    in_channels=64,
                    spatial_size=1,
                    out_channels=16,
                ),
            ],
            head=dict(
                type='mmdense.PartialFCHead',
                num_classes=30,
                in_channels=16,
                loss=dict(type='mmdense.MagFaceLoss', scale=32.0),
                sample_rate=0.4,
            ),
            prototype=torch.randn(5, 16),
            topk=2,
        )
    )


def test_loss_is_that_of_the_head(model):
    model.eval()
    inputs = torch.randn(4, 3, 32, 32)
    samples = [DataSample().set_gt_label(7 * i) for i in range(4)]
    losses = model(inputs, samples, mode='loss')
    embeddings = model.extract_feat(inputs)
    embeddings = (
        embeddings[-1] if isinstance(embeddings, tuple) else embeddings
    )
    model.head.step = 0  # the same draw again
    expected = model.head.loss_by_feat(embeddings, torch.arange(0, 28, 7))
    assert losses.keys() == expected.keys()
    assert {'loss', 'loss_regularizer'} <= losses.keys()
    for name, value in expected.items():
        assert torch.equal(losses[name], value), name
    total, _ = model.parse_losses(losses)
    assert total.item() == pytest.approx(
        (expected['loss'] + expected['loss_regularizer']).item()
    )
    total.backward()
    grads = [p.grad for p in model.parameters() if p.requires_grad]
    assert all(grad is not None for grad in grads)


def test_predict_retrieves(model):
    model.eval()
    inputs = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        samples = model(inputs, mode='predict')
        embeddings = model.extract_feat(inputs)
    embeddings = (
        embeddings[-1] if isinstance(embeddings, tuple) else embeddings
    )
    a, b = (
        torch.nn.functional.normalize(x) for x in (embeddings, model.prototype)
    )
    for sample, row in zip(samples, a @ b.T, strict=True):
        torch.testing.assert_close(sample.pred_score, row)
        expected = row.argsort(descending=True)[:2]
        assert torch.equal(sample.pred_label, expected)
