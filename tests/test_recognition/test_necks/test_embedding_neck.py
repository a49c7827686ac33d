"""The neck against the same layers written out."""

import pytest
import torch

from mmdense.recognition.necks import EmbeddingNeck


def _batch_norm(x, weight, bias, eps=1e-5):
    axes = [axis for axis in range(x.ndim) if axis != 1]
    shape = [1, -1, *[1] * (x.ndim - 2)]
    mean = x.mean(axes, keepdim=True)
    var = x.var(axes, keepdim=True, unbiased=False)
    normal = (x - mean) / (var + eps).sqrt()
    return normal * weight.view(shape) + bias.view(shape)


def _neck(**kwargs):
    torch.manual_seed(0)
    neck = EmbeddingNeck(3, (2, 5), 4, **kwargs).double()
    with torch.no_grad():
        for param in neck.parameters():
            if param.requires_grad:
                param.uniform_(-1, 1)
    return neck


def test_training_pass():
    neck = _neck()
    x = torch.randn(6, 3, 2, 5).double()
    (got,) = neck((torch.zeros(1), x))
    y = _batch_norm(x, neck.bn.weight, neck.bn.bias).reshape(6, 30)
    y = y @ neck.fc.weight.T + neck.fc.bias
    expected = _batch_norm(y, torch.ones(4).double(), neck.features.bias)
    torch.testing.assert_close(got, expected)
    got.square().sum().backward()
    assert neck.features.weight.grad is None
    assert torch.all(neck.features.weight == 1)
    assert neck.fc.weight.grad.abs().max() > 0


def test_evaluation_pass_uses_running_statistics_and_no_dropout():
    neck = _neck(dropout=0.5)
    x = torch.randn(6, 3, 2, 5).double()
    neck(x)
    neck.eval()
    (got,) = neck(x[:1])
    mean, var = neck.bn.running_mean, neck.bn.running_var
    y = (x[:1] - mean.view(1, 3, 1, 1)) / (var + 1e-5).sqrt().view(1, 3, 1, 1)
    y = y * neck.bn.weight.view(1, 3, 1, 1) + neck.bn.bias.view(1, 3, 1, 1)
    y = y.reshape(1, 30) @ neck.fc.weight.T + neck.fc.bias
    mean, var = neck.features.running_mean, neck.features.running_var
    expected = (y - mean) / (var + 1e-5).sqrt() + neck.features.bias
    torch.testing.assert_close(got, expected)


def test_dropout_drops_in_training():
    neck = _neck(dropout=0.9)
    x = torch.randn(6, 3, 2, 5).double()
    assert not torch.allclose(neck(x)[0], neck(x)[0])


def test_vectors_and_squares():
    neck = EmbeddingNeck(8, 1, 4)
    x = torch.randn(5, 8)
    assert neck((x,))[0].shape == (5, 4)
    torch.testing.assert_close(neck(x)[0], neck(x[:, :, None, None])[0])
    square = EmbeddingNeck(2, 3)
    assert square(torch.randn(2, 2, 3, 3))[0].shape == (2, 512)


@pytest.mark.parametrize(
    'shape', [(2, 3, 5, 2), (2, 4, 2, 5), (2, 3), (2, 3, 2)]
)
def test_features_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r'expected \(batch, 3, 2, 5\)'):
        _neck()((torch.zeros(shape).double(),))
