"""Matrices, matches, curves and tables of the published evaluator."""

import copy
import re

import numpy as np
import pytest

from mmdense.densepose.evaluation.ground_truth import DensePoseGroundTruth
from mmdense.densepose.evaluation.scorer import DensePoseScorer
from mmdense.densepose.functional.average_precision import (
    similarity_thresholds,
)
from mmdense.densepose.functional.gps import pixels_of_points
from tests import golden
from tests.densepose_eval import (
    MEASURES,
    RESULTS,
    SETS,
    assert_tables_equal,
    detections_in,
    evaluate,
    read_annotations,
    read_surface,
)

pytestmark = pytest.mark.golden


@pytest.fixture(scope='module')
def surface(tmp_path_factory):
    return read_surface(tmp_path_factory.mktemp('official'))


class _AnnotatedPoints(DensePoseScorer):
    """All points within the box of a detection are where they should be."""

    def _predicted(self, detections, points):
        predicted = super()._predicted(detections, points)
        for row, (_, grid) in zip(
            predicted, detections.with_grids(), strict=True
        ):
            row[0] = pixels_of_points(points.xy, grid)[2]
        return predicted

    def _predicted_vertices(self, predicted, points):
        return np.where(predicted[:, 0] > 0, points.vertex, -1)


def test_there_are_sets():
    assert {'perfect', 'noisy', 'empty'} <= set(SETS)
    assert RESULTS['results'].keys() >= set(SETS)


@pytest.mark.parametrize('name', RESULTS['results'])
def test_tables(name, surface):
    tables = RESULTS['results'][name]
    base = max((s for s in SETS if name.startswith(s)), key=len)
    kind = name.removeprefix(base).strip('_')
    scorer, images = DensePoseScorer(surface), None
    if kind.startswith('first_threshold_'):
        lowest = float(kind.rpartition('_')[2])
        scorer.thresholds = similarity_thresholds(lowest)
    elif kind.startswith('image_subset'):
        images = RESULTS['image_subset']
    elif kind == 'with_gt_uv_mode':
        scorer = _AnnotatedPoints(surface)
    elif kind:
        pytest.fail(f'{kind} is not known')
    assert_tables_equal(evaluate(base, scorer, image_ids=images), tables)


def _numbers(text):
    return [int(number) for number in re.findall(r'\b\d+\b', text)]


@pytest.mark.parametrize('name', RESULTS['gt_variants'])
def test_tables_of_odd_annotations(name, surface):
    variant = RESULTS['gt_variants'][name]
    content = copy.deepcopy(read_annotations())
    annotations = content['annotations']
    if name == 'area_from_boxes':
        for item in annotations:
            item['area'] = item['bbox'][2] * item['bbox'][3]
    else:
        # "annotation number N ... id X"
        numbers = _numbers(variant['edit'].replace('0-based', ''))
        annotations[numbers[0]]['id'] = numbers[1]
    for base, tables in variant['results'].items():
        evaluation = evaluate(base, DensePoseScorer(surface), content)
        assert_tables_equal(evaluation, tables)


@pytest.mark.parametrize('name', SETS)
def test_matrices(name, surface):
    expected = golden.read_json('densepose/eval_matrices.json').get(name, {})
    truth = DensePoseGroundTruth(read_annotations())
    scorer = DensePoseScorer(surface)
    compared = 0
    for image, values in expected.items():
        if image.startswith('_'):
            continue
        people = truth.people(int(image), truth.category_ids[0])
        assert people.ids == values['gt_ids']
        found = scorer.similarities(people, detections_in(name, int(image)))
        for key, ours in (
            ('gps', found.gps),
            ('bbox_iou', found.box_iou),
            ('mask_iou', found.mask_iou),
        ):
            matrix = np.array(values[key]).reshape(ours.shape)
            np.testing.assert_allclose(ours, matrix, rtol=0, atol=1e-6)
            compared += matrix.size
    assert compared or not expected


@pytest.mark.parametrize('name', SETS)
def test_matches(name, surface):
    matrices = golden.read_json('densepose/eval_matrices.json').get(name, {})
    truth = DensePoseGroundTruth(read_annotations())
    (category,) = truth.category_ids
    tables = {k: v for k, v in matrices.items() if k.startswith('_matches')}
    for key, images in tables.items():
        _, measure, area, _ = key.strip('_').split('_')
        for expected in images:
            image = expected['image_id']
            people = truth.people(image, category)
            result = DensePoseScorer(surface).score(
                image, category, people, detections_in(name, image)
            )
            matches = result.matches[measure, area]
            ids = np.array([*people.ids, 0])
            ours = np.where(matches.is_found, ids[matches.person], 0)
            np.testing.assert_array_equal(ours, expected['dt_matches'])
            np.testing.assert_array_equal(
                matches.is_ignored, expected['dt_ignore']
            )
            assert matches.num_people == expected['gt_ignore'].count(0)


def test_curves(surface):
    expected = golden.read_arrays('densepose/eval_details.npz')
    names = [key for key in expected if key.endswith('_precision')]
    assert names
    evaluations = {}
    for key in names:
        base, _, measure = key.removesuffix('_precision').rpartition('_')
        if base not in evaluations:
            evaluations[base] = evaluate(base, DensePoseScorer(surface))
        (curve,) = evaluations[base].curves[MEASURES[measure]]
        # All sizes of people are the first.
        precision = expected[key][..., 0]
        recall = expected[key.replace('precision', 'recall')][..., 0]
        np.testing.assert_allclose(curve.precision, precision, atol=1e-6)
        np.testing.assert_allclose(curve.recall, recall, atol=1e-6)
