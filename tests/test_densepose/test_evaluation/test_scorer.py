"""What scores are for predictions whose error is known."""

import numpy as np
import pytest

from mmdense.densepose.evaluation.detections import Detections
from mmdense.densepose.evaluation.ground_truth import DensePoseGroundTruth
from mmdense.densepose.evaluation.scorer import DensePoseScorer
from mmdense.densepose.evaluation.summary import evaluate_images

from .people import (
    BOXES,
    annotation,
    exact_iuv,
    make_content,
    make_surface,
    perfect,
)

NOTHING = Detections(np.zeros((0, 4)), np.zeros(0), [])


@pytest.fixture(scope='module')
def surface():
    return make_surface()


def _people(annotations, strict):
    truth = DensePoseGroundTruth(make_content(annotations), strict=strict)
    return truth.people(7, 1)


def _evaluate(scorer, annotations, detections):
    people = _people(annotations, scorer.strict)
    result = scorer.score(7, 1, people, detections)
    return evaluate_images([result], scorer, [1])


def test_perfect_is_100_by_strict_rules(surface):
    annotations, detections = perfect()
    scorer = DensePoseScorer(surface, strict=True)
    evaluation = _evaluate(scorer, annotations, detections)
    for measure, table in evaluation.tables.items():
        # Both are larger than 32 x 32 px, one larger than 96 x 96.
        assert [*table.values()] == pytest.approx([100] * 10), measure
    assert evaluation.errors.distance.max() == 0
    metrics = evaluation.metrics()
    assert metrics['within_5cm'] == metrics['covered'] == 100
    assert metrics['uv_error'] == pytest.approx(0, abs=1e-6)


def test_perfect_is_less_by_the_published_rules(surface):
    """By what they cut off, and by the frame of 255."""
    annotations, detections = perfect()
    people = _people(annotations, strict=False)
    similar = DensePoseScorer(surface).similarities(people, detections)
    inside = []
    for box, item in zip(BOXES, annotations, strict=True):
        x = np.array(item['dp_x']) * box[2] / 255
        y = np.array(item['dp_y']) * box[3] / 255
        inside.append(((x < int(box[2])) & (y < int(box[3]))).mean())
    assert min(inside) < 1
    assert (np.diag(similar.gps) <= inside).all()


@pytest.mark.parametrize('kappa', [None, 0.255])
def test_gps_of_a_known_shift(surface, kappa):
    """Everything is predicted at the pole of the left hand."""
    annotations, detections = perfect()
    iuv = detections.iuvs[0].copy()
    iuv[0], iuv[1:] = 4, 255
    detections = Detections(detections.boxes[:1], detections.scores[:1], [iuv])
    scorer = DensePoseScorer(surface, kappa, strict=True)
    similar = scorer.similarities(_people(annotations, True), detections)
    item = annotations[0]
    part = np.array(item['dp_I'])
    vertex = surface.vertex_of(part, item['dp_U'], item['dp_V'])
    target = surface.vertex_of(4, 1.0, 1.0)
    distance = surface.geodesic(vertex, target).astype(float)
    tolerance = surface.mean_distances[part] if kappa is None else kappa
    expected = np.exp(-((distance / tolerance) ** 2) / 2).mean()
    assert 0.01 < expected < 0.9
    assert similar.gps[0, 0] == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(
        similar.of('gpsm'), np.sqrt(similar.gps * similar.mask_iou)
    )


def test_only_so_many_detections_count(surface):
    annotations, detections = perfect()
    scorer = DensePoseScorer(surface, max_detections=1, strict=True)
    evaluation = _evaluate(scorer, annotations, detections)
    assert evaluation.num_detections == 1
    # The one of higher score is found, and is half of all.
    assert evaluation.tables['gps']['AR'] == pytest.approx(50)


def test_without_a_surface():
    annotations, detections = perfect()
    scorer = DensePoseScorer(None, strict=True)
    evaluation = _evaluate(scorer, annotations, detections)
    assert [*evaluation.tables] == ['segm']
    metrics = evaluation.metrics()
    assert metrics['part_accuracy'] == metrics['segm_AP'] == 100
    assert not any('cm' in name for name in metrics)


def test_nothing_detected(surface):
    annotations, _ = perfect()
    for strict, value in ((False, -1), (True, 0)):
        scorer = DensePoseScorer(surface, strict=strict)
        evaluation = _evaluate(scorer, annotations, NOTHING)
        assert set(evaluation.tables['gps'].values()) == {value}


def test_part_that_the_surface_lacks(surface):
    """Predicted it is far away; annotated it is of another surface."""
    annotations, detections = perfect()
    detections.iuvs[0][0, :5] = 17
    people = _people(annotations, True)
    scorer = DensePoseScorer(surface, strict=True)
    result = scorer.score(7, 1, people, detections)
    wrong = result.errors.predicted_part == 17
    assert wrong.any()
    assert np.isinf(result.errors.distance[wrong]).all()
    annotations[1]['dp_I'][3] = 17
    with pytest.raises(ValueError, match=r'annotation 2 .*part 17 .*lacks'):
        scorer.score(7, 1, _people(annotations, True), detections)


def test_part_above_24(surface):
    annotations, detections = perfect()
    detections.iuvs[0][0] = 25
    with pytest.raises(ValueError, match=r'0\.\.24, got 25'):
        _evaluate(DensePoseScorer(surface), annotations, detections)


@pytest.mark.parametrize('strict', [False, True])
@pytest.mark.parametrize(
    'box', [(30.0, 40.0, 0.0, 0.0), (30.0, 40.0, 0.3, 50.0), (-500.0, 3, 9, 9)]
)
def test_boxes_of_no_area_and_outside(surface, box, strict):
    annotations, _ = perfect()
    rows, columns = max(int(box[3]), 1), max(int(box[2]), 1)
    iuv = np.full((3, rows, columns), 2, np.uint8)
    detections = Detections(np.array([box]), np.ones(1), [iuv])
    scorer = DensePoseScorer(surface, strict=strict)
    similar = scorer.similarities(_people(annotations, strict), detections)
    assert (similar.box_iou == 0).all() or strict or box[3] > 1
    assert np.isfinite(similar.gps).all()
    assert np.isfinite(similar.mask_iou).all()
    assert similar.gps.max() < 0.1


def test_errors_are_of_people_that_were_found(surface):
    annotations, detections = perfect()
    annotations.append(
        annotation(3, (0, 0, 40, 30), exact_iuv((0, 0, 40, 30), 5))
    )
    annotations.append({**annotations[0], 'id': 4, 'bbox': [150, 100, 40, 40]})
    del annotations[-1]['dp_x']
    people = _people(annotations, strict=True)
    result = DensePoseScorer(surface, strict=True).score(
        7, 1, people, detections
    )
    assert len(result.errors) == 120
    assert len(result.mask_ious) == 2
    # Another person's box covers a corner of the first.
    assert result.errors.occlusion[0] == pytest.approx(
        (40 - 10.4) * (30 - 20.7) / (61.8 * 93.9), rel=1e-5
    )
