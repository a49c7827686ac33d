"""Every margin family on ranks, against dense formulas in float64.

Two batches, so that running statistics are carried from one to the next.
"""

import math

import numpy as np
import pytest
import torch

from mmdense.distributed.collectives import rank, world_size
from mmdense.recognition.heads import PartialFCHead
from tests.golden import max_rel
from tests.margin_families import FAMILIES, Family

_CLASSES, _DIM, _BATCH = 17, 6, 9


def _dense_step(family, x, centers, labels, kept):
    """Loss and gradients by autograd over the whole logits."""
    x = torch.tensor(x, requires_grad=True)
    centers = torch.tensor(centers, requires_grad=True)
    labels, everyone = torch.tensor(labels), torch.arange(len(x))
    norm = x.norm(dim=1)
    rows = torch.nn.functional.normalize(centers.reshape(-1, _DIM), dim=1)
    cosine = (x / norm[:, None] @ rows.T).unflatten(1, (len(centers), -1))
    cosine = cosine.amax(dim=2)
    own = cosine[everyone, labels]
    family.update(own.detach(), norm.detach())
    others = cosine
    if family.filter_threshold is not None:
        others = others * (others <= family.filter_threshold)
    logits = family.negatives(others, own.detach()).index_put(
        (everyone, labels), family.target(own, norm)
    )
    out = torch.ones(len(centers), dtype=torch.bool)
    out[kept] = False
    logits = (family.scale * logits).masked_fill(out, -math.inf)
    loss = torch.nn.functional.cross_entropy(logits, labels)
    loss = loss + family.regularizer(norm)
    loss.backward()
    return loss.item(), x.grad.numpy(), centers.grad.numpy()


def _rank_steps(config, start, filter_threshold, rate, batches, centers):
    head = PartialFCHead(
        _CLASSES, _DIM, config, rate, filter_threshold=filter_threshold
    ).double()
    table = head.centers
    with torch.no_grad():
        table.weight.copy_(torch.tensor(centers[table.start : table.stop]))
    for name, value in start.items():
        getattr(head.loss_module, name).fill_(value)
    results = []
    for embeddings, labels, candidates in batches:
        mine = candidates[
            (candidates >= table.start) & (candidates < table.stop)
        ]
        mine = torch.tensor(mine - table.start)
        head._candidates = lambda *_, mine=mine: mine
        x = torch.tensor(embeddings[rank()], requires_grad=True)
        logs = head.loss_by_feat(x, torch.tensor(labels[rank()]))
        loss = sum(value for name, value in logs.items() if 'loss' in name)
        table.weight.grad = None
        loss.backward()
        grad = table.weight.grad
        used = np.arange(len(grad))
        if grad.is_sparse:
            used = grad.coalesce().indices()[0].numpy()
            grad = grad.to_dense()
        buffers = {k: v.item() for k, v in head.loss_module.named_buffers()}
        results.append(
            dict(
                loss=loss.item(),
                x=x.grad.numpy() / world_size(),
                centers=grad.numpy(),
                used=used + table.start,
                buffers=buffers,
            )
        )
    return results


def _problem(family, seed=0):
    """Centers that are near each other, so that there are hard negatives."""
    rng = np.random.default_rng(seed)
    subcenters = family.config.get('num_subcenters', 1)
    common = rng.normal(size=_DIM)
    centers = rng.normal(size=(_CLASSES, subcenters, _DIM)) + common
    centers = centers.reshape(_CLASSES, -1)
    batches = []
    for _ in range(2):
        labels = rng.integers(_CLASSES, size=_BATCH)
        near = centers[labels][:, :_DIM]
        x = 2 * near + 1.2 * rng.normal(size=(_BATCH, _DIM))
        batches.append((x, labels, rng.permutation(_CLASSES)))
    return centers, batches


@pytest.mark.parametrize('rate', [1.0, 0.6])
@pytest.mark.parametrize('family', FAMILIES, ids=lambda x: x.__name__)
def test_ranks_equal_the_dense_formulas(ranks, family, rate):
    centers, batches = _problem(family)
    for shares in ([_BATCH], [4, 5], [6, 0, 3]):
        cuts = np.cumsum(shares)[:-1]
        args = (
            family.config,
            family.start,
            family.filter_threshold,
            rate,
            [
                (np.split(x, cuts), np.split(y, cuts), candidates)
                for x, y, candidates in batches
            ],
            centers,
        )
        parts = [_rank_steps(*args)]
        if len(shares) > 1:
            parts = ranks(len(shares))(_rank_steps, *args)
        reference = family()
        for step, (x, labels, _) in enumerate(batches):
            parts_now = [part[step] for part in parts]
            kept = np.concatenate([part['used'] for part in parts_now])
            assert (len(kept) < _CLASSES) == (rate < 1)
            loss, by_x, by_centers = _dense_step(
                reference, x, centers, labels, kept
            )
            for part in parts_now:
                assert part['loss'] == pytest.approx(loss, rel=1e-11)
                assert part['buffers'] == parts_now[0]['buffers']
                assert part['buffers'] == pytest.approx(reference.state)
            got = np.concatenate([part['x'] for part in parts_now])
            assert max_rel(got, by_x) < 1e-9
            got = np.concatenate([part['centers'] for part in parts_now])
            assert max_rel(got, by_centers) < 1e-9


def test_the_problem_has_what_it_is_for():
    """Hard negatives, logits beyond 64, filtered classes, clipped norms."""
    centers, batches = _problem(Family)
    x, labels, _ = batches[0]
    norm = np.linalg.norm(x, axis=1)
    assert (norm < 5).any()
    assert (norm > 8).any()
    assert ((norm > 5) & (norm < 8)).any()
    rows = centers / np.linalg.norm(centers, axis=1)[:, None]
    cosine = x / norm[:, None] @ rows.T
    own = cosine[np.arange(len(x)), labels]
    others = cosine.copy()
    others[np.arange(len(x)), labels] = -1
    hard = others > np.cos(np.arccos(own) + 0.5)[:, None]
    assert hard.any()
    assert 64 * (others * (0.9 + others))[hard].max() > 64
    assert (others > 0.3).any()
    assert (own > 0.3).any()
