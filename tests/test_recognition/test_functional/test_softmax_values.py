"""The streamed softmax against the dense one, in float64."""

import numpy as np
import pytest
import torch

from mmdense.recognition.functional.sharded_softmax import margin_softmax_loss
from mmdense.recognition.losses import ArcFaceLoss, CosFaceLoss
from tests.golden import max_rel
from tests.references import (
    arcface_target,
    cosface_target,
    dense_softmax,
    dense_step,
    random_problem,
)
from tests.sharded_step import put_together, sharded_step

_ARC = dict(type='mmdense.ArcFaceLoss', scale=24.0, margin=0.5)
_COS = dict(type='mmdense.CosFaceLoss', scale=24.0, margin=0.35)
_TARGET = {
    'mmdense.ArcFaceLoss': lambda cosine: arcface_target(cosine, 0.5),
    'mmdense.CosFaceLoss': lambda cosine: cosface_target(cosine, 0.35),
}


def _agree(parts, expected, tolerance=1e-12):
    loss, embeddings, centers = put_together(parts)
    assert abs(loss - expected[0]) < tolerance * max(1, expected[0])
    assert max_rel(embeddings, expected[1]) < tolerance
    assert max_rel(centers, expected[2]) < tolerance


@pytest.mark.parametrize('config', [_ARC, _COS], ids=['arc', 'cos'])
@pytest.mark.parametrize('scale', [1.0, 24.0, 64.0, 64.5, 128.0, 700.0])
@pytest.mark.parametrize('chunk_size', [1, 7, 40, None])
def test_one_process(config, scale, chunk_size):
    config = dict(config, scale=scale)
    x, w, y = random_problem(1, 9, 23, 6)
    expected = dense_step(x, w, y, scale, _TARGET[config['type']])
    part = sharded_step([x], w, [y], config, 'float64', None, chunk_size)
    _agree([part], expected)
    index = np.arange(len(w))
    part = sharded_step([x], w, [y], config, 'float64', [index], chunk_size)
    _agree([part], expected)


@pytest.mark.parametrize('seed', range(5))
def test_sampled_rows_only(seed):
    x, w, y = random_problem(seed, 8, 50, 5)
    rng = np.random.default_rng(seed)
    kept = np.union1d(y, rng.choice(50, 12, replace=False))
    expected = dense_step(x, w, y, 24, _TARGET[_ARC['type']], kept)
    part = sharded_step([x], w, [y], _ARC, 'float64', [kept], 5)
    _agree([part], expected)


@pytest.mark.parametrize(
    ('classes', 'batches'),
    [
        (11, (3, 3)),
        (11, (1, 4, 2)),
        (11, (0, 5, 1)),  # a rank without samples
        (2, (3, 1, 2)),  # a rank without classes
        (1, (2, 2)),
        (40, (1, 1, 1)),
    ],
)
@pytest.mark.parametrize('scale', [24.0, 128.0])
def test_ranks_equal_one_process(ranks, classes, batches, scale):
    config = dict(_ARC, scale=scale)
    x, w, y = random_problem(len(batches), sum(batches), classes, 6)
    expected = dense_step(x, w, y, scale, _TARGET[config['type']])
    cuts = np.cumsum(batches)[:-1]
    parts = ranks(len(batches))(
        sharded_step,
        np.split(x, cuts),
        w,
        np.split(y, cuts),
        config,
        'float64',
        None,
        3,
    )
    if classes == 1:
        # Nothing to tell apart: both are exactly zero.
        loss, embeddings, centers = put_together(parts)
        assert loss == 0 == expected[0]
        assert not embeddings.any()
        assert not centers.any()
    else:
        _agree(parts, expected)


@pytest.mark.parametrize('owner', [0, 1, 2])
def test_all_labels_on_one_rank(ranks, owner):
    x, w, _ = random_problem(3, 6, 12, 5)
    y = np.array([0, 3, 3, 1, 0, 2]) + 4 * owner
    for scale in (24.0, 96.0):
        expected = dense_step(x, w, y, scale, _TARGET[_COS['type']])
        parts = ranks(3)(
            sharded_step,
            np.split(x, 3),
            w,
            np.split(y, 3),
            dict(_COS, scale=scale),
            'float64',
        )
        _agree(parts, expected)
        everyone = np.concatenate([part['cosine'] for part in parts])
        unit, rows = (a / np.linalg.norm(a, axis=1)[:, None] for a in (x, w))
        np.testing.assert_allclose(
            everyone, np.tile((unit * rows[y]).sum(1), 3), rtol=1e-12
        )


def test_gradcheck_of_the_function_itself():
    x, w, y = (torch.as_tensor(a) for a in random_problem(4, 4, 7, 3))
    unit = torch.nn.functional.normalize(x).requires_grad_()
    norm = x.norm(dim=1).requires_grad_()
    w.requires_grad_()
    for margin in (CosFaceLoss(8.0, 0.3), ArcFaceLoss(90.0, 0.4)):

        def loss(unit, norm, weight, margin=margin):
            return margin_softmax_loss(
                unit, norm, weight, y, margin, chunk_size=3
            )[0]

        assert torch.autograd.gradcheck(loss, (unit, norm, w))


class _NormMargin(CosFaceLoss):
    """A margin that also looks at the norm, as AdaFace's does."""

    def target(self, cosine, norm):
        return cosine * (1 + 0.1 * norm.log()) - 0.2 * norm.sqrt()


def test_gradient_by_the_norm():
    x, w, y = (torch.as_tensor(a) for a in random_problem(5, 6, 9, 4))
    x.requires_grad_()
    w.requires_grad_()
    norm = x.norm(dim=1)
    margin = _NormMargin(12.0)
    expected = dense_softmax(
        x, w, y, 12.0, lambda cosine: margin.target(cosine, norm)
    ).mean()
    expected_grads = torch.autograd.grad(expected, (x, w))
    norm = x.norm(dim=1)
    got, _ = margin_softmax_loss(x / norm[:, None], norm, w, y, margin)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=0)
    for a, b in zip(
        torch.autograd.grad(got, (x, w)), expected_grads, strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-13)


def test_scaled_loss_scales_the_gradients():
    """Loss scalers and accumulation multiply the loss before backward."""
    x, w, y = (torch.as_tensor(a) for a in random_problem(6, 5, 8, 4))
    unit = torch.nn.functional.normalize(x)
    grads = []
    for factor in (1.0, 1024.0):
        leaves = [t.clone().requires_grad_() for t in (unit, w)]
        loss, _ = margin_softmax_loss(
            leaves[0], x.norm(dim=1), leaves[1], y, CosFaceLoss()
        )
        (loss * factor).backward()
        grads.append([leaf.grad / factor for leaf in leaves])
    for a, b in zip(*grads, strict=True):
        assert torch.equal(a, b)


def test_a_second_derivative_is_refused():
    """Not silently wrong: the kept numbers are constants to autograd."""
    x, w, y = (torch.as_tensor(a) for a in random_problem(7, 3, 5, 4))
    unit = torch.nn.functional.normalize(x)
    for leaf in (w, unit):
        leaf.requires_grad_()
        loss, _ = margin_softmax_loss(unit, x.norm(dim=1), w, y, CosFaceLoss())
        (grad,) = torch.autograd.grad(loss, leaf, create_graph=True)
        with pytest.raises(RuntimeError):
            grad.sum().backward()
        leaf.requires_grad_(False)
