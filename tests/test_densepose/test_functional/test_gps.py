"""Pixels of points and GPS, against the golden steps and by hand."""

import numpy as np
import pytest

from mmdense.densepose.functional.gps import (
    BoxGrid,
    geodesic_point_similarity,
    pixels_of_points,
    points_in_image,
    read_iuv,
)
from tests import golden
from tests.densepose_eval import read_annotations, read_set


def _pairs():
    details = golden.read_arrays('densepose/eval_details.npz')
    number = 0
    while f'pair{number}_gt_id' in details:
        prefix = f'pair{number}_'
        yield {
            name.removeprefix(prefix): value
            for name, value in details.items()
            if name.startswith(prefix)
        }
        number += 1


@pytest.mark.golden
def test_steps_of_the_reference():
    annotations = {
        item['id']: item for item in read_annotations()['annotations']
    }
    arrays, iuvs = read_set('noisy')
    seen = 0
    for pair in _pairs():
        annotation = annotations[int(pair['gt_id'])]
        row = int(pair['dt_index'])
        box = arrays['bbox_xywh'][row]
        grid = BoxGrid.of_iuv(box, *iuvs[row].shape[1:])
        xy = np.stack([annotation['dp_x'], annotation['dp_y']], axis=1)
        points = points_in_image(xy, np.array(annotation['bbox']))
        columns, rows, inside = pixels_of_points(points, grid)
        np.testing.assert_array_equal(inside, ~pair['outside'])
        np.testing.assert_array_equal(columns[inside], pair['px'][inside])
        np.testing.assert_array_equal(rows[inside], pair['py'][inside])
        values = read_iuv(iuvs[row], points, grid)
        covered = pair['dt_vertex_1based'] > 0
        np.testing.assert_array_equal(values[0] > 0, covered)
        gps = geodesic_point_similarity(
            pair['distance'][None],
            pair['kappa'],
            np.zeros(len(points), dtype=int),
            1,
        )
        assert gps[0, 0] == pytest.approx(float(pair['gps']), abs=1e-6)
        seen += len(points)
    assert seen > 100


def test_similarity_by_hand():
    distance = np.array([[0, 0.1, np.inf, 0.3], [np.inf] * 4], dtype='f4')
    kappa = np.array([0.1, 0.1, 0.1, 0.2])
    # People 1 and 3 of five have points.
    person = np.array([1, 1, 1, 3])
    gps = geodesic_point_similarity(distance, kappa, person, 5)
    expected = np.zeros((2, 5))
    expected[0, 1] = (1 + np.exp(-0.5) + 0) / 3
    expected[0, 3] = np.exp(-(0.3**2) / (2 * 0.2**2))
    np.testing.assert_allclose(gps, expected, rtol=1e-6)


@pytest.mark.parametrize('detections', [0, 3])
def test_nobody_has_points(detections):
    none = np.zeros(0)
    distance = np.zeros((detections, 0))
    gps = geodesic_point_similarity(distance, none, none.astype(int), 2)
    np.testing.assert_array_equal(gps, np.zeros((detections, 2)))


def test_strict_pixels_share_out_the_box():
    grid = BoxGrid.of_iuv(np.array([10.0, 20.0, 4.9, 3.5]), 3, 4)
    x = np.array([9.5, 10.0, 11.3, 14.85, 14.9])
    points = np.stack([x, np.full(5, 23.4)], axis=1)
    columns, rows, inside = pixels_of_points(points, grid, strict=True)
    # Pixels are 1.225 px wide: the last is not cut off, the first no wider.
    np.testing.assert_array_equal(inside, [False, True, True, True, False])
    np.testing.assert_array_equal(columns, [0, 0, 1, 3, 0])
    np.testing.assert_array_equal(rows[inside], 2)
    legacy = pixels_of_points(points, grid)[2]
    # 9.5 is less than a pixel off; beyond 3 rows of 1 px nothing counts.
    np.testing.assert_array_equal(legacy, False)
    points[:, 1] = 22.9
    legacy = pixels_of_points(points, grid)[2]
    np.testing.assert_array_equal(legacy, [True, True, True, False, False])


def test_frames():
    box = np.array([10.0, 20.0, 51.0, 102.0])
    corner = np.array([[256.0, 256.0]])
    np.testing.assert_allclose(
        points_in_image(corner, box, strict=True), [[61, 122]]
    )
    np.testing.assert_allclose(points_in_image(corner, box), [[61.2, 122.4]])


@pytest.mark.parametrize(
    ('size', 'pixels'), [(7.0, 7), (7.9, 7), (6.999, 7), (0.0, 1), (0.4, 1)]
)
def test_sizes_that_fit(size, pixels):
    grid = BoxGrid.of_iuv(np.array([0, 0, size, 5.2]), 5, pixels)
    assert grid.columns == pixels
    # A box thinner than a pixel has an IUV, but nothing is inside.
    inside = pixels_of_points(np.array([[0.1, 0.1]]), grid)[2]
    assert inside[0] == (size >= 1)


@pytest.mark.parametrize(
    ('box', 'message'),
    [
        ((0, 0, 8.2, 5), r'5 x 7 pixels does not fit .* 5 x 8'),
        ((0, 0, 6.9, 5), r'does not fit'),
        ((0, 0, -7, 5), r'negative'),
        ((0, 0, np.nan, 5), r'finite'),
    ],
)
def test_boxes_that_do_not_fit(box, message):
    with pytest.raises(ValueError, match=message):
        BoxGrid.of_iuv(np.array(box, dtype=float), 5, 7)
