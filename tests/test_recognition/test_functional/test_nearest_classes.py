"""The nearest classes over ranks, against a sort of all cosines."""

import numpy as np
import pytest
import torch

from mmdense.distributed.collectives import rank, world_size
from mmdense.distributed.sharding import shard_range
from mmdense.recognition.functional.nearest_classes import nearest_classes


def _cosines(x, centers):
    """(B, C), of the nearest of the centers of a class."""
    dim = x.shape[1]
    rows = centers.reshape(len(centers), -1, dim)
    rows = rows / np.linalg.norm(rows, axis=2, keepdims=True)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    return np.einsum('bd,ckd->bck', unit, rows).max(axis=2)


def _nearest(x, centers, k, chunk_size):
    start, stop = shard_range(len(centers), rank(), world_size())
    mine = torch.tensor(x[rank()])
    scores, labels = nearest_classes(
        torch.nn.functional.normalize(mine),
        torch.tensor(centers[start:stop], requires_grad=True),
        start,
        k,
        chunk_size,
    )
    assert not scores.requires_grad
    return scores.numpy(), labels.numpy()


def _on_ranks(ranks, x, shares, *args):
    parts = np.split(x, np.cumsum(shares)[:-1])
    if len(shares) == 1:
        results = [_nearest(parts, *args)]
    else:
        results = ranks(len(shares))(_nearest, parts, *args)
    for (scores, labels), part in zip(results, parts, strict=True):
        assert len(scores) == len(labels) == len(part), 'each has its own'
    return tuple(map(np.concatenate, zip(*results, strict=True)))


_SHARES = [[7], [3, 4], [5, 0, 2]]


@pytest.mark.parametrize('shares', _SHARES, ids=str)
@pytest.mark.parametrize(
    ('classes', 'subcenters', 'k'),
    [
        (29, 1, 5),
        (29, 1, 29),  # more than any shard has
        (10, 3, 4),
        (2, 1, 2),  # fewer classes than ranks
        (1, 2, 1),
    ],
)
def test_equals_a_sort(ranks, shares, classes, subcenters, k):
    rng = np.random.default_rng(classes)
    x = rng.normal(size=(7, 4))
    centers = rng.normal(size=(classes, subcenters * 4))
    cosine = _cosines(x, centers)
    order = np.argsort(-cosine, axis=1)[:, :k]
    for chunk_size in (1, 4, 8192):
        scores, labels = _on_ranks(ranks, x, shares, centers, k, chunk_size)
        assert np.array_equal(labels, order)
        np.testing.assert_allclose(
            scores, np.take_along_axis(cosine, order, 1), rtol=1e-12
        )


@pytest.mark.parametrize('shares', _SHARES, ids=str)
def test_ties_give_every_class_once(ranks, shares):
    """Equal centers, in one shard and in two, in any order."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(7, 4))
    centers = np.repeat(rng.normal(size=(4, 4)), 3, axis=0)
    cosine = _cosines(x, centers)
    for k in (2, 5, 12):
        scores, labels = _on_ranks(ranks, x, shares, centers, k, 5)
        best = -np.sort(-cosine, axis=1)[:, :k]
        np.testing.assert_allclose(scores, best, rtol=1e-12)
        taken = np.take_along_axis(cosine, labels, 1)
        np.testing.assert_allclose(taken, best, rtol=1e-12)
        assert all(len(set(row)) == k for row in labels.tolist())


def test_no_samples_on_any_rank(ranks):
    x, centers = np.zeros((0, 4)), np.ones((5, 4))
    for shares in ([0], [0, 0]):
        scores, labels = _on_ranks(ranks, x, shares, centers, 3, 8192)
        assert scores.shape == labels.shape == (0, 3)
