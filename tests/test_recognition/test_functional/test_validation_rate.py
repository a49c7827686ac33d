"""VAL at FAR: golden figures, a loop, and the ends of the curve."""

import numpy as np
import pytest

from mmdense.recognition.functional import validation_rate, verify_pairs
from tests.golden import read_arrays, read_json


def _folds(num_pairs, num_folds):
    parts = np.array_split(np.arange(num_pairs), num_folds)
    return np.repeat(np.arange(num_folds), [len(part) for part in parts])


def _golden():
    expected = read_json('partial_fc/verification/expected.json')
    if expected is None:
        pytest.skip('no golden verification')
    return expected, read_arrays('partial_fc/verification/verification.npz')


def _assert_equal(result, wanted):
    assert result.rate == pytest.approx(wanted['val_mean'], abs=1e-9)
    assert result.rate_std == pytest.approx(wanted['val_std'], abs=1e-9)
    assert result.far == pytest.approx(wanted['far_mean'], abs=1e-9)
    for got, key in (
        (result.fold_rates, 'val_per_fold'),
        (result.fold_fars, 'far_per_fold'),
        (result.fold_thresholds, 'val_threshold_per_fold'),
    ):
        np.testing.assert_allclose(got, wanted[key], atol=1e-9)


@pytest.mark.golden
@pytest.mark.parametrize('kind', ['', 'e2e_'])
def test_golden_validation_rate(kind):
    expected, data = _golden()
    wanted = expected['end_to_end' if kind else 'evaluate']
    wanted = wanted.get('evaluate', wanted)
    distances = data[f'{kind}distance']
    folds = _folds(len(distances), len(wanted['val_per_fold']))
    result = validation_rate(distances, data['issame'], folds)
    _assert_equal(result, wanted)


@pytest.mark.golden
@pytest.mark.parametrize(
    ('case', 'num_folds', 'identical'),
    [('two_folds', 2, False), ('genuine_pairs_identical', 10, True)],
)
def test_golden_special_cases(case, num_folds, identical):
    expected, data = _golden()
    wanted = expected['special_cases'][case]['ok']
    distances, issame = data['distance'].copy(), data['issame']
    if identical:
        distances[issame] = 0
    folds = _folds(len(distances), num_folds)
    _assert_equal(validation_rate(distances, issame, folds), wanted)
    accuracy = verify_pairs(distances, issame, folds)
    assert accuracy.accuracy == pytest.approx(wanted['accuracy_mean'])
    np.testing.assert_allclose(
        accuracy.fold_thresholds, wanted['best_threshold_per_fold']
    )


@pytest.mark.golden
def test_golden_pairs_sorted_by_kind_are_refused():
    _, data = _golden()
    order = np.argsort(~data['issame'], kind='stable')
    folds = _folds(len(order), 10)
    with pytest.raises(ValueError, match=r'fold 0 has .* and 0 imp'):
        validation_rate(data['distance'][order], data['issame'][order], folds)


@pytest.mark.parametrize('far', [0.001, 0.02, 0.25, 0.7])
@pytest.mark.parametrize('seed', range(3))
def test_equals_a_loop(seed, far):
    rng = np.random.default_rng(seed)
    issame = rng.random(90) < 0.5
    issame[:6] = [True, False] * 3
    folds = np.append([0, 0, 1, 1, 2, 2], rng.integers(3, size=84))
    distances = rng.uniform(0.3, 3.2, size=90) - 0.3 * issame
    thresholds = np.arange(0, 4, 0.001)
    result = validation_rate(distances, issame, folds, far)
    for fold in range(3):
        others = distances[(folds != fold) & ~issame]
        rates = [np.mean(others < threshold) for threshold in thresholds]
        at = max(i for i, rate in enumerate(rates) if rate <= far)
        if at + 1 == len(rates):
            threshold = thresholds[at]
        else:
            threshold = np.interp(
                far, rates[at : at + 2], thresholds[at : at + 2]
            )
        mine = folds == fold
        assert result.fold_thresholds[fold] == pytest.approx(threshold)
        assert result.fold_rates[fold] == pytest.approx(
            np.mean(distances[mine & issame] < threshold)
        )
        assert result.fold_fars[fold] == pytest.approx(
            np.mean(distances[mine & ~issame] < threshold)
        )
    assert result.rate == pytest.approx(result.fold_rates.mean())


def test_nothing_is_accepted_below_the_reach_of_the_candidates():
    """All candidates accept fewer impostors than asked for."""
    distances, issame = [0.1, 3.0, 0.1, 3.0], [1, 0, 1, 0]
    result = validation_rate(
        distances, issame, [0, 0, 1, 1], 0.5, thresholds=[0, 1, 2]
    )
    assert result.rate == result.far == 0
    assert result.fold_thresholds.tolist() == [0, 0]


def test_the_last_candidate_reaches_the_rate():
    distances, issame = [0.1, 1.5, 0.1, 2.5, 0.1, 1.5], [1, 0] * 3
    folds = [0, 0, 1, 1, 2, 2]
    result = validation_rate(
        distances, issame, folds, 0.5, thresholds=[0, 1, 2]
    )
    # On the others of folds 0 and 2 one impostor of two is below 2.
    assert result.fold_thresholds[0] == 2
    assert result.fold_thresholds[1] == pytest.approx(1.5)


def test_bad_arguments_are_refused():
    good = [0.1, 2.0, 0.1, 2.0], [1, 0, 1, 0], [0, 0, 1, 1]
    for far in (0, 1, np.nan):
        with pytest.raises(ValueError, match='far must be in'):
            validation_rate(*good, far)
    with pytest.raises(ValueError, match=r'folds must have shape \(4,\)'):
        validation_rate(good[0], good[1], [0, 1])
    with pytest.raises(ValueError, match='at least two'):
        validation_rate(good[0], good[1], [3] * 4)
    with pytest.raises(ValueError, match='NaN or infinite'):
        validation_rate([np.nan, 2, 0, 2], *good[1:])
