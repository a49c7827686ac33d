"""Exact predictions of rendered people, on the body that ships."""

import numpy as np
import pytest

from mmdense.densepose.evaluation.detections import Detections
from mmdense.densepose.evaluation.ground_truth import DensePoseGroundTruth
from mmdense.densepose.evaluation.scorer import DensePoseScorer
from mmdense.densepose.evaluation.summary import evaluate_images
from mmdense.densepose.surface import build_surface
from mmdense.densepose.synthetic.annotations import CATEGORIES
from mmdense.densepose.synthetic.sample import make_sample
from mmdense.densepose.synthetic.studio import Studio

SIZE, IMAGES = 320, 5


def _exact(studio, sample):
    """What a model would predict that sees what the renderer drew."""
    rendering = sample.rendering
    boxes, iuvs = [], []
    for number, item in enumerate(sample.annotations):
        rows, columns = np.nonzero(rendering.person == number)
        face = rendering.face[rows, columns]
        weights = rendering.weights[rows, columns]
        part, uv = studio.chart_points(face, weights)
        x, y, width, height = item['bbox']
        iuv = np.zeros((3, height, width), np.uint8)
        values = np.floor([part, *(255 * uv.T)])
        iuv[:, rows - y, columns - x] = values
        boxes.append(item['bbox'])
        iuvs.append(iuv)
    scores = np.linspace(0.9, 0.5, len(boxes))
    return Detections(np.array(boxes, dtype=float), scores, iuvs)


@pytest.fixture(scope='module')
def evaluations(tmp_path_factory):
    """By strict rules and by the published ones."""
    cache = tmp_path_factory.mktemp('distances')
    surface = build_surface(dict(landmarks=300, cache_dir=str(cache)))
    studio = Studio()
    samples = [make_sample(studio, 3, k, SIZE) for k in range(IMAGES)]
    content = dict(images=[], annotations=[], categories=CATEGORIES)
    for number, sample in enumerate(samples, start=1):
        height, width = sample.rendering.person.shape
        image = dict(id=number, height=height, width=width)
        content['images'].append(image)
        content['annotations'] += sample.annotations
    found = {}
    for strict in (True, False):
        truth = DensePoseGroundTruth(content, strict=strict)
        scorer = DensePoseScorer(surface, strict=strict)
        results = [
            scorer.score(
                number, 1, truth.people(number, 1), _exact(studio, sample)
            )
            for number, sample in enumerate(samples, start=1)
        ]
        found[strict] = evaluate_images(results, scorer, [1])
    return found


def test_strict_scores_of_exact_predictions(evaluations):
    """All that is lost is by the rounding of U and V to 8 bits."""
    evaluation = evaluations[True]
    assert evaluation.num_people > IMAGES
    for measure in ('gps', 'gpsm', 'segm'):
        assert evaluation.tables[measure]['AP'] == pytest.approx(100)
    metrics = evaluation.metrics()
    assert metrics['covered'] == metrics['part_accuracy'] == 100
    # Rounding takes up to 1/255 off U and off V, half of it on average.
    assert metrics['uv_error'] < 0.5 * np.sqrt(2) / 255 * 1.2
    assert metrics['median_cm'] < 1
    # Distances by so few landmarks are off by some centimetres.
    assert metrics['within_5cm'] > 97
    assert metrics['within_10cm'] == 100


def test_what_the_published_rules_cost(evaluations):
    strict, legacy = (evaluations[key].metrics() for key in (True, False))
    assert legacy['gps_AP'] > 95
    # A frame of 255 puts the last points of each box outside, ...
    assert 95 < legacy['covered'] < 100
    # ... and shifts others by up to a pixel, into other parts, too.
    assert legacy['mean_cm'] > strict['mean_cm']
    assert legacy['part_accuracy'] < 100
