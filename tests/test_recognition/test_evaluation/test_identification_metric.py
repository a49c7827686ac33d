"""Rank-k, mAP and TPIR from samples of any order on any number of ranks."""

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import Evaluator

from mmdense.distributed.collectives import rank
from mmdense.recognition.evaluation import IdentificationMetric

_SIZE, _QUERIES = 43, 15


def _problem():
    """Samples of 9 noisy identities, two of them with a single sample."""
    rng = np.random.default_rng(0)
    labels = np.append(
        rng.integers(7, size=_QUERIES), np.arange(_SIZE - _QUERIES) % 7
    )
    labels[:2] = [7, 8]
    rows = rng.normal(size=(9, 6))[labels] + 1.2 * rng.normal(size=(_SIZE, 6))
    return rows.astype('f4'), labels


def _reference(num_queries):
    """All results by sorting the whole matrix."""
    rows, labels = _problem()
    unit = rows.astype('f8')
    unit /= np.linalg.norm(unit, axis=1)[:, None]
    scores = unit @ unit.T
    np.fill_diagonal(scores, -np.inf)
    size = num_queries or _SIZE
    first, precisions, mate, stranger = [], [], [], []
    for i in range(size):
        others = np.arange(num_queries or 0, _SIZE)
        others = others[others != i]
        order = others[np.argsort(-scores[i, others])]
        places = np.flatnonzero(labels[order] == labels[i]) + 1
        if not len(places):
            stranger.append(scores[i, order[0]])
            continue
        first.append(places[0])
        precisions.append(np.mean(np.arange(1, len(places) + 1) / places))
        mate.append(scores[i, order[places[0] - 1]])
    first, mate = np.array(first), np.array(mate)
    results = {f'rank-{k}': np.mean(first <= k) for k in (1, 5)}
    results['mAP'] = np.mean(precisions)
    if stranger:
        for fpir in (0.5, 0.1):
            results[f'tpir@fpir={fpir:g}'] = max(
                np.mean((first == 1) & (mate > threshold))
                for threshold in stranger
                if np.mean(np.array(stranger) > threshold) <= fpir
            )
    return {f'identification/{key}': v for key, v in results.items()}


class _Sized:
    def __len__(self):
        return _SIZE


def _evaluate(num_queries, batch_size=4, order=None, size=_SIZE):
    rows, labels = _problem()
    metric = IdentificationMetric(
        ranks=(1, 5), fpirs=(0.5, 0.1), query_block=6, gallery_chunk=5
    )
    evaluator = Evaluator([metric])
    evaluator.dataset_meta = (
        {} if num_queries is None else dict(num_queries=num_queries)
    )
    if order is None:
        order = list(DefaultSampler(_Sized(), shuffle=True, seed=3))
    for start in range(0, len(order), batch_size):
        metric.process(
            None,
            [
                dict(
                    embedding=torch.from_numpy(rows[i]),
                    gt_label=torch.tensor([labels[i]]),
                    sample_idx=i,
                )
                for i in order[start : start + batch_size]
            ],
        )
    return evaluator.evaluate(size)


@pytest.mark.parametrize('num_queries', [None, _QUERIES])
@pytest.mark.parametrize('size', [1, 2, 3])
def test_equals_the_full_matrix(ranks, size, num_queries):
    expected = _reference(num_queries)
    strangers = {key for key in expected if 'tpir' in key}
    assert len(strangers) == 2
    for got in ranks(size)(_evaluate, num_queries):
        assert got.keys() == expected.keys()
        for key, value in expected.items():
            assert got[key] == pytest.approx(value, abs=1e-9), key


def test_repeated_samples_count_once():
    order = [*range(_SIZE), 3, 3, 20]
    got = _evaluate(_QUERIES, order=order)
    for key, value in _reference(_QUERIES).items():
        assert got[key] == pytest.approx(value), key


def test_a_second_evaluation_starts_afresh():
    rows, labels = _problem()
    metric = IdentificationMetric(ranks=(1,))
    results = []
    for sign in (1, -1, 1):
        for i, label in enumerate(labels):
            row = rows[i] * (sign if i % 2 else 1)
            sample = dict(
                embedding=torch.from_numpy(row), gt_label=label, sample_idx=i
            )
            metric.process(None, [sample])
        results.append(metric.evaluate(_SIZE)['identification/mAP'])
    assert results[0] == results[2] != results[1]


def _evaluate_part():
    order = list(range(_SIZE))
    order.remove(9)
    return _evaluate(_QUERIES, order=order[rank() :: 2])


def test_a_sample_that_was_not_evaluated_is_named_on_all_ranks(ranks):
    for outcome in ranks(2).outcomes(_evaluate_part):
        assert '1 of 43 samples were not evaluated, sample 9' in str(outcome)


@pytest.mark.parametrize('key', ['embedding', 'sample_idx', 'gt_label'])
def test_samples_that_lack_something_are_refused(key):
    sample = dict(embedding=torch.zeros(3), sample_idx=1, gt_label=0)
    del sample[key]
    with pytest.raises(KeyError, match=f'IdentificationMetric needs .{key}'):
        IdentificationMetric().process(None, [sample])


def test_bad_ranks_are_refused():
    for bad in ((), (0, 1)):
        with pytest.raises(ValueError, match='ranks must be positive'):
            IdentificationMetric(ranks=bad)
