"""Accuracy over folds, TAR at FAR and the ROC, against loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdense.recognition.functional import (
    roc_curve,
    tar_at_far,
    verify_pairs,
)
from tests.golden import max_rel, read_arrays, read_json


def brute_verify(distances, issame, folds, thresholds):
    """Accuracy and threshold of each fold, by definition."""
    accuracies, chosen = [], []
    for fold in sorted(set(folds.tolist())):
        best = (-1.0, None)
        for threshold in thresholds:
            right = (distances < threshold) == issame
            accuracy = right[folds != fold].mean()
            if accuracy > best[0]:
                best = (accuracy, threshold)
        right = (distances < best[1]) == issame
        accuracies.append(right[folds == fold].mean())
        chosen.append(best[1])
    return np.array(accuracies), np.array(chosen)


def brute_tar(scores, issame, far):
    """The largest TAR of all thresholds with FAR at most `far`."""
    best = 0.0
    for threshold in [-np.inf, *scores]:
        accepted = scores > threshold
        if np.sum(accepted[~issame]) <= far * np.sum(~issame) + 5e-10:
            best = max(best, accepted[issame].mean())
    return best


@st.composite
def _pairs(draw):
    """Scores with ties and both kinds of pair."""
    n = draw(st.integers(2, 40))
    steps = draw(st.sampled_from([3, 10, 400]))
    scores = draw(st.lists(st.integers(-steps, steps), min_size=n, max_size=n))
    issame = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    issame[0], issame[1] = True, False
    return np.array(scores) / steps, np.array(issame)


@settings(deadline=None)
@given(_pairs(), st.data())
def test_accuracy_equals_a_loop(pairs, data):
    scores, issame = pairs
    folds = np.arange(len(scores)) % data.draw(st.integers(2, len(scores)))
    folds = np.array(data.draw(st.permutations(folds.tolist())))
    distances = 2 - 2 * scores
    result = verify_pairs(distances, issame, folds)
    thresholds = np.arange(400) * 0.01
    accuracies, chosen = brute_verify(distances, issame, folds, thresholds)
    np.testing.assert_allclose(result.fold_accuracies, accuracies)
    np.testing.assert_allclose(result.fold_thresholds, chosen)
    assert result.accuracy == pytest.approx(accuracies.mean())
    assert result.accuracy_std == pytest.approx(accuracies.std())
    assert f'{100 * accuracies.mean():.2f}' in str(result)


@settings(deadline=None)
@given(_pairs(), st.floats(1e-6, 0.999))
def test_tar_is_the_best_within_the_far(pairs, far):
    scores, issame = pairs
    assert tar_at_far(scores, issame, far) == pytest.approx(
        brute_tar(scores, issame, far)
    )


def test_tar_at_exact_shares():
    """0.001 of 3000 is 3, though its product in floats is less."""
    scores = np.append(np.linspace(0, 1, 3000), [0.9985, 0.9991])
    issame = np.arange(3002) >= 3000
    assert tar_at_far(scores, issame, 0.001) == 0.5
    assert tar_at_far(scores, issame, 0.0009) == 0.0
    assert tar_at_far(scores, issame, 0.01) == 1.0
    assert tar_at_far([1, 0, 0.5], [1, 0, 0], 1 - 1e-15) == 1.0


@settings(deadline=None)
@given(_pairs())
def test_roc_equals_a_loop(pairs):
    scores, issame = pairs
    fars, tars = roc_curve(scores, issame)
    points = [(0.0, 0.0)]
    for threshold in sorted(set(scores.tolist()), reverse=True):
        accepted = scores >= threshold
        points.append((accepted[~issame].mean(), accepted[issame].mean()))
    np.testing.assert_allclose(np.stack([fars, tars], 1), points)
    assert (fars[-1], tars[-1]) == (1, 1)
    # The area is the chance that a genuine pair scores higher.
    higher = scores[issame][:, None] - scores[~issame]
    area = np.mean((higher > 0) + 0.5 * (higher == 0))
    assert np.trapezoid(tars, fars) == pytest.approx(area)


@pytest.mark.parametrize(
    'function',
    [
        lambda scores, issame: verify_pairs(scores, issame, [0, 1, 0]),
        lambda scores, issame: tar_at_far(scores, issame, 0.1),
        roc_curve,
    ],
    ids=['verify', 'tar', 'roc'],
)
@pytest.mark.parametrize(
    ('scores', 'issame', 'named'),
    [
        ([1, 2, 3], [1, 1, 1], '3 genuine pairs of 3'),
        ([1, 2, 3], [0, 0, 0], '0 genuine pairs of 3'),
        ([1, np.nan, np.inf], [1, 0, 0], '2 of 3'),
        ([1, 2], [1, 0, 1], r'\(2,\) and \(3,\)'),
        ([[1, 2, 3]], [[1, 0, 1]], r'shape \(P,\)'),
        ([], [], '0 genuine pairs of 0'),
    ],
)
def test_bad_pairs_are_refused(function, scores, issame, named):
    with pytest.raises(ValueError, match=named):
        function(scores, issame)


def test_bad_folds_and_rates_are_refused():
    with pytest.raises(ValueError, match='got 1 in shape'):
        verify_pairs([1, 2], [1, 0], [4, 4])
    with pytest.raises(ValueError, match='folds'):
        verify_pairs([1, 2], [1, 0], [1, 2, 3])
    for far in (0, 1, -0.1, np.nan):
        with pytest.raises(ValueError, match='far must be in'):
            tar_at_far([1, 2], [1, 0], far)


def _golden_verification():
    expected = read_json('partial_fc/verification/expected.json')
    if expected is None:
        pytest.skip('no golden verification')
    return expected, read_arrays('partial_fc/verification/verification.npz')


def consecutive_folds(num_pairs, num_folds):
    """Fold of each pair as scikit-learn's KFold, unshuffled, has it."""
    parts = np.array_split(np.arange(num_pairs), num_folds)
    return np.repeat(np.arange(num_folds), [len(part) for part in parts])


@pytest.mark.golden
@pytest.mark.parametrize('kind', ['', 'e2e_'])
def test_golden_accuracy(kind):
    expected, data = _golden_verification()
    wanted = expected['end_to_end' if kind else 'evaluate']
    wanted = wanted.get('evaluate', wanted)
    distances = data[f'{kind}distance']
    folds = consecutive_folds(len(distances), len(wanted['accuracy_per_fold']))
    result = verify_pairs(distances, data['issame'], folds)
    np.testing.assert_allclose(
        result.fold_accuracies, wanted['accuracy_per_fold'], atol=1e-9
    )
    np.testing.assert_allclose(
        result.fold_thresholds, wanted['best_threshold_per_fold'], atol=1e-9
    )
    assert result.accuracy == pytest.approx(wanted['accuracy_mean'], abs=1e-9)
    assert result.accuracy_std == pytest.approx(
        wanted['accuracy_std'], abs=1e-9
    )


@pytest.mark.golden
def test_golden_special_cases():
    expected, data = _golden_verification()
    cases = expected['special_cases']
    two = cases['two_folds']['ok']
    folds = consecutive_folds(len(data['issame']), 2)
    result = verify_pairs(data['distance'], data['issame'], folds)
    assert max_rel(result.fold_accuracies, two['accuracy_per_fold']) < 1e-9
    same = cases['genuine_pairs_identical']['ok']
    distances = np.where(data['issame'], 0.0, data['distance'])
    folds = consecutive_folds(len(distances), len(same['accuracy_per_fold']))
    result = verify_pairs(distances, data['issame'], folds)
    np.testing.assert_allclose(
        result.fold_thresholds, same['best_threshold_per_fold'], atol=1e-9
    )
    assert result.accuracy == same['accuracy_mean']
