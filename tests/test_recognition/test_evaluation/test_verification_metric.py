"""The metric: any order, any number of ranks, against brute force."""

import math

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import Evaluator

from mmdense.distributed.collectives import rank
from mmdense.recognition.evaluation import VerificationMetric
from tests.golden import read_arrays, read_json

_SAMPLES, _PAIRS = 21, 60


def _problem(seed=0):
    """Embeddings of 7 noisy identities, and pairs of 5 folds."""
    rng = np.random.default_rng(seed)
    identity = np.arange(_SAMPLES) % 7
    centers = rng.normal(size=(7, 8))
    embeddings = centers[identity] + 0.8 * rng.normal(size=(_SAMPLES, 8))
    embeddings *= rng.uniform(0.5, 30, size=(_SAMPLES, 1))
    pairs = rng.integers(_SAMPLES, size=(_PAIRS, 2))
    pairs[::3, 1] = (pairs[::3, 0] + 7) % _SAMPLES
    pairs[:, 1] += pairs[:, 0] == pairs[:, 1]
    pairs %= _SAMPLES
    meta = dict(
        pairs=pairs.tolist(),
        issame=(identity[pairs[:, 0]] == identity[pairs[:, 1]]).tolist(),
        fold=(np.arange(_PAIRS) % 5).tolist(),
    )
    return embeddings.astype('f4'), meta


def _brute(embeddings, meta, fars):
    """All numbers of the metric, by loops."""
    embeddings = embeddings.astype('f8')
    scores = np.array(
        [
            a @ b / np.sqrt((a @ a) * (b @ b))
            for a, b in (embeddings[pair] for pair in meta['pairs'])
        ]
    )
    issame, folds = np.array(meta['issame']), np.array(meta['fold'])
    accuracies = []
    for fold in np.unique(folds):
        best = (-1, 0)
        for threshold in np.arange(400) * 0.01:
            right = (2 - 2 * scores < threshold) == issame
            if right[folds != fold].mean() > best[0]:
                best = (right[folds != fold].mean(), threshold)
        right = (2 - 2 * scores < best[1]) == issame
        accuracies.append(right[folds == fold].mean())
    numbers = {
        'verification/accuracy': np.mean(accuracies),
        'verification/accuracy_std': np.std(accuracies),
        'verification/xnorm': np.linalg.norm(
            embeddings[np.unique(meta['pairs'])], axis=1
        ).mean(),
    }
    for far in fars:
        numbers[f'verification/tar@far={far:g}'] = max(
            (scores[issame] > threshold).mean()
            for threshold in [-np.inf, *scores]
            if (scores[~issame] > threshold).mean() <= far
        )
    return scores, numbers


def _evaluate(
    order, batch_size, embeddings, meta, fars=(0.1, 0.02), size=None
):
    """Feed the samples of an order to an evaluator of mmengine."""
    metric = VerificationMetric(fars=fars, num_hardest=4)
    evaluator = Evaluator([metric])
    evaluator.dataset_meta = meta
    for start in range(0, len(order), batch_size):
        samples = [
            dict(embedding=torch.tensor(embeddings[i]), sample_idx=i)
            for i in order[start : start + batch_size]
        ]
        metric.process(None, samples)
    metrics = evaluator.evaluate(size or len(embeddings))
    return metrics, metric.details.get('', {})


@pytest.mark.parametrize('seed', range(3))
def test_numbers_equal_brute_force_in_any_order(seed):
    embeddings, meta = _problem(seed)
    scores, expected = _brute(embeddings, meta, (0.1, 0.02))
    order = np.random.default_rng(seed).permutation(_SAMPLES)
    for order_ in (range(_SAMPLES), order.tolist()):
        got, details = _evaluate(order_, 4, embeddings, meta)
        assert got.keys() == expected.keys()
        for name, value in expected.items():
            assert got[name] == pytest.approx(value, abs=1e-12), name
        np.testing.assert_allclose(details['scores'], scores, atol=1e-12)
    issame = np.array(meta['issame'])
    for kind, mask, sign in (
        ('genuine', issame, 1),
        ('impostor', ~issame, -1),
    ):
        worst = details[f'hardest_{kind}']
        assert len(worst) == 4
        assert mask[worst].all()
        ranked = np.sort(sign * scores[mask])[:4]
        np.testing.assert_allclose(sign * scores[worst], ranked)
    assert details['fars'][-1] == details['tars'][-1] == 1


class _Sized:
    def __len__(self):
        return _SAMPLES


def _evaluate_rank(batch_size, shuffle):
    """What mmengine's loop does: a padded share of the samples each."""
    embeddings, meta = _problem()
    sampler = DefaultSampler(_Sized(), shuffle=shuffle, seed=1)
    order = list(sampler)
    got, details = _evaluate(order, batch_size, embeddings, meta)
    return order, got, len(details), rank()


@pytest.mark.parametrize('size', [2, 3])
@pytest.mark.parametrize('shuffle', [False, True])
@pytest.mark.parametrize('batch_size', [3, 50])
def test_ranks_with_padded_shares(ranks, size, shuffle, batch_size):
    embeddings, meta = _problem()
    _, expected = _brute(embeddings, meta, (0.1, 0.02))
    results = ranks(size)(_evaluate_rank, batch_size, shuffle)
    seen = [i for order, *_ in results for i in order]
    assert set(seen) == set(range(_SAMPLES))
    assert len(seen) == -(-_SAMPLES // size) * size
    for _, got, num_details, i in results:
        for name, value in expected.items():
            assert got[name] == pytest.approx(value, abs=1e-12), name
        assert bool(num_details) == (i == 0)


def test_a_sample_that_was_not_evaluated_is_named():
    embeddings, meta = _problem()
    order = [i for i in range(_SAMPLES) if i not in (4, 9)]
    with pytest.raises(ValueError, match=r'2 samples.*sample 4'):
        _evaluate(order, 4, embeddings, meta)


@pytest.mark.parametrize('key', ['pairs', 'issame', 'fold'])
def test_a_data_set_without_pairs_is_refused(key):
    embeddings, meta = _problem()
    del meta[key]
    with pytest.raises(ValueError, match='metainfo of the data set'):
        _evaluate(range(_SAMPLES), 4, embeddings, meta)


def test_a_data_set_with_no_pair_is_refused():
    embeddings, _ = _problem()
    meta = dict(pairs=[], issame=[], fold=[])
    with pytest.raises(ValueError, match='0 genuine pairs of 0'):
        _evaluate(range(_SAMPLES), 4, embeddings, meta)


@pytest.mark.parametrize('key', ['embedding', 'sample_idx'])
def test_samples_that_lack_something_are_refused(key):
    sample = dict(embedding=torch.zeros(3), sample_idx=1, img_path='a.png')
    del sample[key]
    with pytest.raises(KeyError, match=f"needs '{key}'.*img_path"):
        VerificationMetric().process(None, [sample])


def test_broken_embeddings_are_refused():
    embeddings, meta = _problem()
    embeddings[meta['pairs'][0][0], 2] = math.nan
    with pytest.raises(ValueError, match='NaN or infinite'):
        _evaluate(range(_SAMPLES), 4, embeddings, meta)


def test_identical_samples_are_at_distance_zero():
    """Rounding must not put them below it, and threshold 0 accept them."""
    rng = np.random.default_rng(0)
    half = rng.normal(size=(10, 7)).astype('f4')
    embeddings = np.concatenate([half, half])
    pairs = [[i, i + 10] for i in range(10)]
    pairs += [[i, (i + 1) % 10] for i in range(10)]
    meta = dict(
        pairs=pairs, issame=[True] * 10 + [False] * 10, fold=[0, 1] * 10
    )
    got, details = _evaluate(range(20), 6, embeddings, meta)
    assert got['verification/accuracy'] == 1.0
    assert details['scores'].max() <= 1


@pytest.mark.golden
@pytest.mark.parametrize('kind', ['', 'e2e_'])
def test_golden_embeddings(kind):
    expected = read_json('partial_fc/verification/expected.json')
    if expected is None:
        pytest.skip('no golden verification')
    data = read_arrays('partial_fc/verification/verification.npz')
    wanted = expected['end_to_end' if kind else 'evaluate']
    wanted = wanted.get('evaluate', wanted)
    # The reference embeds an image and its mirror image, and adds them.
    both = data[f'{kind}emb'].astype('f8') + data[f'{kind}emb_flip']
    issame = data['issame']
    folds = np.repeat(
        np.arange(len(wanted['accuracy_per_fold'])),
        [
            len(part)
            for part in np.array_split(
                issame, len(wanted['accuracy_per_fold'])
            )
        ],
    )
    pairs = np.arange(len(both)).reshape(-1, 2)
    meta = dict(pairs=pairs.tolist(), issame=issame, fold=folds)
    got, details = _evaluate(range(len(both)), 7, both, meta)
    assert got['verification/accuracy'] == pytest.approx(
        wanted['accuracy_mean'], abs=1e-9
    )
    assert got['verification/accuracy_std'] == pytest.approx(
        wanted['accuracy_std'], abs=1e-9
    )
    np.testing.assert_allclose(
        2 - 2 * details['scores'], data[f'{kind}distance'], atol=1e-6
    )


def _evaluate_with_nan():
    embeddings, meta = _problem()
    metric = VerificationMetric()
    metric.dataset_meta = meta
    for index in range(rank(), _SAMPLES, 3):
        embedding = torch.tensor(embeddings[index])
        if index == 4:
            embedding[0] = math.nan
        metric.process(None, [dict(sample_idx=index, embedding=embedding)])
    metric.evaluate(_SAMPLES)


def test_what_fails_on_rank_0_raises_on_all(ranks):
    # mmengine computes there alone, and the others wait for its result.
    outcomes = ranks(3).outcomes(_evaluate_with_nan)
    assert isinstance(outcomes[0], ValueError)
    for outcome in outcomes:
        assert 'NaN or infinite' in str(outcome)
