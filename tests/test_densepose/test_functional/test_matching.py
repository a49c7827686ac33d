"""Matches and average precision, against COCO's own evaluator and by hand."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmdense.densepose.functional.average_precision import (
    AREA_RANGES,
    precision_recall,
    similarity_thresholds,
    summarize,
)
from mmdense.densepose.functional.mask_overlap import box_iou
from mmdense.densepose.functional.matching import People, match_people

THRESHOLDS = similarity_thresholds()


def _random_images(rng, count):
    """Boxes of people, crowds and detections, on a coarse grid: ties."""
    for image in range(1, count + 1):
        people = rng.integers(0, 5)
        corners = rng.uniform(0, 200, (people, 2))
        sizes = np.exp(rng.uniform(np.log(15), np.log(160), (people, 2)))
        boxes = np.concatenate([corners, sizes], axis=1).round()
        crowd = rng.random(people) < 0.2
        found = np.repeat(boxes, rng.integers(0, 4, people), axis=0)
        found = found + rng.normal(0, 0.06, found.shape) * found[:, [2, 3] * 2]
        extra = rng.uniform(0, 150, (rng.integers(0, 3), 4)) + 5
        found = np.concatenate([found, extra]).round()
        scores = rng.integers(1, 9, len(found)) / 10
        yield image, boxes, crowd, found, scores


def _coco(images):
    annotations, detections = [], []
    for image, boxes, crowd, found, scores in images:
        for box, is_crowd in zip(boxes, crowd, strict=True):
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image,
                    category_id=1,
                    bbox=box.tolist(),
                    area=float(box[2] * box[3]),
                    iscrowd=int(is_crowd),
                )
            )
        for box, score in zip(found, scores, strict=True):
            detections.append(
                dict(
                    image_id=image,
                    category_id=1,
                    bbox=box.tolist(),
                    score=float(score),
                )
            )
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = dict(
            images=[dict(id=image[0]) for image in images],
            annotations=annotations,
            categories=[dict(id=1)],
        )
        coco.createIndex()
        evaluator = COCOeval(coco, coco.loadRes(detections), 'bbox')
        evaluator.params.maxDets = [20]
        evaluator.params.areaRng = [list(r) for r in AREA_RANGES.values()]
        evaluator.params.areaRngLbl = list(AREA_RANGES)
        evaluator.evaluate()
        evaluator.accumulate()
    # Without categories and numbers of detections.
    return evaluator.eval['precision'][:, :, 0, :, 0], evaluator.eval[
        'recall'
    ][:, 0, :, 0]


def test_coco_without_dense_pose():
    rng = np.random.default_rng(0)
    images = list(_random_images(rng, 40))
    precision, recall = _coco(images)
    for number, (low, high) in enumerate(AREA_RANGES.values()):
        matches, all_scores = [], []
        for _, boxes, crowd, found, scores in images:
            order = np.argsort(-scores, kind='stable')
            found, scores = found[order], scores[order]
            areas, own = boxes[:, 2] * boxes[:, 3], found[:, 2] * found[:, 3]
            people = People(
                crowd | (areas < low) | (areas > high),
                crowd,
                np.ones(len(boxes), bool),
            )
            similarity = box_iou(found, boxes, crowd)
            matches.append(
                match_people(
                    similarity,
                    # COCO knows no second look at boxes, ...
                    np.zeros_like(similarity),
                    people,
                    (own < low) | (own > high),
                    THRESHOLDS,
                    strict=True,
                )
            )
            if len(boxes) and people.is_ignored.all():
                # ... and has no rule for images without people to be found.
                matches[-1] = _as_coco(matches[-1], similarity, own, low, high)
            all_scores.append(scores)
        curve = precision_recall(matches, all_scores, len(THRESHOLDS))
        np.testing.assert_allclose(curve.precision, precision[..., number])
        np.testing.assert_allclose(curve.recall, recall[..., number])


def _as_coco(match, similarity, areas, low, high):
    outside = (areas < low) | (areas > high)
    match.is_ignored[:] = match.is_found | outside
    return match


def _people(ignored, crowd=None, counts=None):
    ignored = np.array(ignored, dtype=bool)
    none = np.zeros(len(ignored), dtype=bool)
    return People(
        ignored,
        none if crowd is None else np.array(crowd, bool),
        ~none if counts is None else np.array(counts, bool),
    )


def _match(similarity, overlap, people, strict=False, thresholds=(0.5, 0.75)):
    similarity = np.array(similarity, dtype=float)
    return match_people(
        similarity,
        np.array(overlap, dtype=float),
        people,
        np.zeros(len(similarity), bool),
        np.array(thresholds),
        strict,
    )


def test_of_equal_people_the_last_is_taken():
    match = _match([[0.8, 0.8]], [[0, 0]], _people([0, 0]))
    np.testing.assert_array_equal(match.person, [[1], [1]])


def test_people_to_be_found_go_before_ignored_ones():
    match = _match([[0.9, 0.6]], [[0, 0]], _people([1, 0]))
    # At 0.75 only the ignored one is left.
    np.testing.assert_array_equal(match.person, [[1], [0]])
    np.testing.assert_array_equal(match.is_ignored, [[False], [True]])
    assert match.num_people == 1


def test_a_crowd_is_found_again_and_again():
    people = _people([0, 1], crowd=[0, 1])
    overlap = [[0, 0.9], [0, 0.85], [0, 0.7]]
    match = _match(np.zeros((3, 2)), overlap, people, strict=True)
    expected = [[True, True, False]] * 2
    np.testing.assert_array_equal(match.is_ignored, expected)


def test_boxes_of_ignored_people_at_the_last_threshold_decide_for_all():
    # Right at 0.5, wrong at 0.75, with the box of somebody ignored.
    args = [[0.6, 0.0]], [[0.3, 0.9]], _people([0, 1])
    legacy, strict = _match(*args), _match(*args, strict=True)
    np.testing.assert_array_equal(legacy.is_ignored, [[True], [True]])
    np.testing.assert_array_equal(strict.is_ignored, [[False], [True]])
    np.testing.assert_array_equal(strict.person, [[0], [1]])


def test_a_free_person_with_a_better_box_keeps_a_detection_wrong():
    match = _match([[0.1, 0.0]], [[0.95, 0.9]], _people([0, 1]), strict=True)
    np.testing.assert_array_equal(match.is_ignored, False)
    np.testing.assert_array_equal(match.is_found, False)


@pytest.mark.parametrize(
    ('people', 'strict'), [(0, False), (2, False), (2, 1)]
)
def test_detections_in_images_with_nobody_to_be_found(people, strict):
    none = np.zeros((1, people))
    match = _match(none, none, _people([1] * people), bool(strict))
    np.testing.assert_array_equal(match.is_ignored, True)


def test_in_an_empty_image_strict_finds_detections_wrong():
    none = np.zeros((1, 0))
    match = _match(none, none, _people([]), strict=True)
    np.testing.assert_array_equal(match.is_ignored, False)


def test_the_id_0():
    people = _people([0], counts=[0])
    match = _match([[0.9]], [[0.9]], people)
    np.testing.assert_array_equal(match.person, 0)
    np.testing.assert_array_equal(match.is_found, False)


def test_nobody_and_nothing():
    none = np.zeros((0, 1))
    nobody = _match(none, none, _people([1]), thresholds=THRESHOLDS)
    missed = _match(none, none, _people([0]), thresholds=THRESHOLDS)
    scores = [np.zeros(0)]
    for match, expected in ((nobody, -1), (missed, 0)):
        curve = precision_recall([match], scores, len(THRESHOLDS))
        table = summarize([dict.fromkeys(AREA_RANGES, curve)], THRESHOLDS)
        assert set(table.values()) == {expected}


@pytest.mark.parametrize('limits', [(0, 0.9), (0.9, 0.5), (0.5, 1)])
def test_thresholds_out_of_range(limits):
    with pytest.raises(ValueError, match='thresholds must be in'):
        similarity_thresholds(*limits)


def test_thresholds():
    np.testing.assert_allclose(THRESHOLDS, np.arange(50, 100, 5) / 100)
    low = similarity_thresholds(0.2)
    assert len(low) == 16
    table = summarize(
        [
            dict.fromkeys(
                AREA_RANGES,
                precision_recall(
                    [_match([[0.42]], [[0]], _people([0]), thresholds=low)],
                    [np.ones(1)],
                    16,
                ),
            )
        ],
        low,
    )
    assert list(table)[:5] == ['AP', 'AP20', 'AP30', 'AP40', 'AP50']
    found = [table[k] for k in ('AP20', 'AP30', 'AP40', 'AP50')]
    np.testing.assert_allclose(found, [100, 100, 100, 0])
    # 0.20 to 0.40 of 16 thresholds.
    assert table['AR'] == pytest.approx(100 * 5 / 16)
