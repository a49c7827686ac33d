"""Templates against the golden toy and a loop; nearest-FAR; alignment."""

import itertools

import numpy as np
import pytest
import torch

from mmdense.recognition.functional.alignment import (
    ARCFACE_LANDMARKS,
    similarity_transform,
)
from mmdense.recognition.functional.templates import (
    TemplateVariant,
    media_weights,
    pool_templates,
    score_pairs,
)
from mmdense.recognition.functional.verification import (
    area_under_roc,
    roc_curve,
    tar_at_far,
    tar_nearest_far,
)
from tests.golden import read_arrays, read_json

_VARIANTS = [f'N{n}D{d}F{f}' for n, d, f in itertools.product('01', repeat=3)]


def _golden():
    expected = read_json('partial_fc/ijb/expected.json')
    if expected is None:
        pytest.skip('no golden IJB protocol')
    return expected, read_arrays('partial_fc/ijb/ijb.npz')


def _views(features):
    """(2, N, d) from [image | mirrored]."""
    return torch.stack(torch.from_numpy(features).chunk(2, dim=1))


@pytest.mark.golden
def test_golden_templates_scores_and_table():
    expected, data = _golden()
    ids, places = np.unique(data['templates'], return_inverse=True)
    assert ids.tolist() == data['template_ids'].tolist()
    for name, facts in expected['variants'].items():
        features = pool_templates(
            _views(data['image_features']),
            places,
            media_weights(data['templates'], data['medias']),
            len(ids),
            data['detector_score'],
            TemplateVariant.parse(name),
        )
        np.testing.assert_allclose(
            features, data[f'{name}_template_features'], rtol=0, atol=1e-6
        )
        left, right = (
            np.searchsorted(ids, data[f'pair_t{i}']) for i in (1, 2)
        )
        scores = score_pairs(features, left, right)
        np.testing.assert_allclose(
            scores, data[f'{name}_scores'], rtol=0, atol=1e-6
        )
        issame = data['pair_label'] == 1
        fars, tars = roc_curve(scores, issame, corners=True)
        assert len(fars) == facts['roc_points']
        for far, percent in facts['tar_at_far_percent'].items():
            got = 100 * tar_nearest_far(fars, tars, float(far))
            assert f'{got:.2f}' == f'{percent:.2f}', (name, far)
        for far, percent in facts['tar_at_far_le_rule_percent'].items():
            got = 100 * tar_at_far(scores, issame, float(far))
            assert f'{got:.2f}' == f'{percent:.2f}', (name, far)
        assert area_under_roc(fars, tars) == pytest.approx(
            facts['auc'], abs=1e-9
        )


def _problem(seed=0):
    rng = np.random.default_rng(seed)
    templates, media = rng.integers(7, size=(2, 50))
    views = rng.normal(size=(2, 50, 5)).astype('f4')
    return views, templates, media, rng.uniform(0.2, 1, size=50)


@pytest.mark.parametrize('name', _VARIANTS)
def test_pooling_equals_a_loop(name):
    views, templates, media, detector = _problem()
    variant = TemplateVariant.parse(name)
    assert str(variant) == name
    got = pool_templates(
        torch.from_numpy(views),
        templates,
        media_weights(templates, media),
        9,
        detector,
        variant,
    )
    for template in range(9):
        total = np.zeros(5)
        for medium in range(7):
            rows = []
            for i in range(50):
                if (templates[i], media[i]) == (template, medium):
                    row = views[0, i] + views[1, i] * (name[5] == '1')
                    row = row.astype('f8')
                    if name[1] == '0':
                        row = row / np.linalg.norm(row)
                    rows.append(row * (detector[i] if name[3] == '1' else 1))
            if rows:
                total += np.mean(rows, axis=0)
        total /= max(np.linalg.norm(total), 1e-12)
        np.testing.assert_allclose(got[template], total, atol=1e-6)


@pytest.mark.parametrize('seed', range(4))
def test_corners_leave_the_curve_as_it_is(seed):
    rng = np.random.default_rng(seed)
    issame = rng.random(300) < 0.1
    issame[:2] = True, False
    scores = np.round(rng.normal(size=300) + issame, 1 + seed)
    fars, tars = roc_curve(scores, issame)
    few_fars, few_tars = roc_curve(scores, issame, corners=True)
    assert len(few_fars) <= len(fars)
    # Each point left out lies on the line between its neighbours.
    for far, tar in zip(fars, tars, strict=True):
        at = np.searchsorted(few_fars, far)
        if few_fars[at] == far:
            same = few_tars[few_fars == far]
            assert same.min() - 1e-12 <= tar <= same.max() + 1e-12
        else:
            line = np.interp(
                far, few_fars[at - 1 : at + 1], few_tars[at - 1 : at + 1]
            )
            assert tar == pytest.approx(line)
    assert area_under_roc(few_fars, few_tars) == pytest.approx(
        area_under_roc(fars, tars)
    )


def test_corners_are_few():
    """Impostors of different scores add none of their own."""
    scores = np.random.default_rng(0).permutation(5000)
    issame = np.arange(5000) < 20
    fars, _ = roc_curve(scores, issame, corners=True)
    assert len(fars) <= 4 * 20 + 2


def test_curves_of_few_points_keep_their_ends():
    for scores in ([0.5, 0.5], [0.9, 0.1], [0.1, 0.9]):
        fars, tars = roc_curve(scores, [True, False], corners=True)
        assert (fars[0], tars[0], fars[-1], tars[-1]) == (0, 0, 1, 1)


def test_the_highest_of_the_nearest_corners():
    fars, tars = [0, 0, 0.1, 0.3, 1], [0, 0.5, 0.6, 0.9, 1]
    assert tar_nearest_far(fars, tars, 1e-6) == 0.5
    assert tar_nearest_far(fars, tars, 0.12) == 0.6
    assert tar_nearest_far(fars, tars, 0.25) == 0.9


def test_pairs_are_scored_in_slices():
    rng = np.random.default_rng(0)
    features = torch.from_numpy(rng.normal(size=(30, 3)))
    left, right = rng.integers(30, size=(2, 40000)).astype(np.int32)
    expected = (features[left] * features[right]).sum(1)
    np.testing.assert_allclose(score_pairs(features, left, right), expected)


def test_bad_arguments_are_refused():
    views, templates, media, detector = _problem()
    views, weights = torch.from_numpy(views), media_weights(templates, media)
    with pytest.raises(ValueError, match="got variant 'N2D1F1'"):
        TemplateVariant.parse('N2D1F1')
    with pytest.raises(ValueError, match=r'N1D1F1 adds.*mirror images'):
        pool_templates(views[:1], templates, weights, 7, detector)
    with pytest.raises(ValueError, match='needs detector scores'):
        pool_templates(views, templates, weights, 7)
    with pytest.raises(ValueError, match='50 images, 49 places'):
        pool_templates(views, templates[1:], weights, 7, detector)
    with pytest.raises(ValueError, match=r'views must .*\(50, 5\)'):
        pool_templates(views[0], templates, weights, 7, detector)
    views[1, 4, 2] = torch.nan
    with pytest.raises(ValueError, match='NaN or infinite'):
        pool_templates(views, templates, weights, 7, detector)
    with pytest.raises(ValueError, match=r'\(3,\) and \(2,\)'):
        media_weights([1, 2, 3], [1, 2])


@pytest.mark.parametrize('seed', range(4))
def test_similarity_is_the_least_squares_solution(seed):
    rng = np.random.default_rng(seed)
    source = rng.uniform(10, 90, size=(5, 2))
    target = ARCFACE_LANDMARKS
    matrix = similarity_transform(source, target)
    # x' = p x - q y + s, y' = q x + p y + t, solved as linear equations.
    rows, values = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, -y, 1, 0], [y, x, 0, 1]]
        values += [u, v]
    p, q, s, t = np.linalg.lstsq(np.array(rows), np.array(values))[0]
    np.testing.assert_allclose(matrix, [[p, -q, s], [q, p, t]])


def test_similarity_of_a_similarity_is_exact():
    turn = 1.7 * np.exp(0.4j)
    source = ARCFACE_LANDMARKS
    moved = (source @ [1, 1j]) * turn + (3 - 8j)
    target = np.stack([moved.real, moved.imag], axis=1)
    matrix = similarity_transform(source, target)
    np.testing.assert_allclose(source @ matrix[:, :2].T + matrix[:, 2], target)
    np.testing.assert_allclose(
        similarity_transform(source, source), np.eye(2, 3), atol=1e-12
    )


def test_landmarks_without_extent_are_refused():
    with pytest.raises(ValueError, match='5 landmarks are at one point'):
        similarity_transform(np.full((5, 2), 3.0), ARCFACE_LANDMARKS)
    with pytest.raises(ValueError, match=r'\(4, 2\) and \(5, 2\)'):
        similarity_transform(np.zeros((4, 2)), ARCFACE_LANDMARKS)
