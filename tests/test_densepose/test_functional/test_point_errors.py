"""Errors of points by part, size and occlusion, by hand."""

import numpy as np
import pytest

from mmdense.densepose.functional.point_errors import (
    PointErrors,
    by_occlusion,
    by_part,
    by_size,
    confusion,
    mean_by_vertex,
    summarize_errors,
)

INF, NAN = np.inf, np.nan


@pytest.fixture
def errors():
    return PointErrors(
        part=np.array([2, 2, 2, 5, 5, 24], np.uint8),
        predicted_part=np.array([2, 1, 0, 5, 6, 24], np.uint8),
        distance=np.array([0.02, 0.3, INF, 0.06, 0.15, 0.01], np.float32),
        uv_error=np.array([0.1, NAN, NAN, 0.3, NAN, 0.2], np.float32),
        vertex=np.array([7, 7, 3, 0, 1, 0], np.int32),
        area=np.array([100, 2000, 2000, 1e4, 1e4, 1e4], np.float32),
        occlusion=np.array([0, 0.05, 0.2, 0.6, 0.9, 0], np.float32),
    )


def test_all(errors):
    summary = summarize_errors(errors)
    assert summary.points == 6
    assert summary.covered == pytest.approx(100 * 5 / 6)
    assert summary.part_accuracy == pytest.approx(50)
    assert summary.uv_error == pytest.approx(0.2)
    # Of the five that are covered; the shares are of all six.
    assert summary.mean_cm == pytest.approx((2 + 30 + 6 + 15 + 1) / 5)
    assert summary.median_cm == pytest.approx(6)
    np.testing.assert_allclose(
        summary.within, [100 / 3, 50, 100 * 4 / 6], rtol=1e-6
    )


def test_groups(errors):
    parts = by_part(errors)
    assert [*parts] == [2, 5, 24]
    assert parts[2].covered == pytest.approx(200 / 3)
    assert parts[5].mean_cm == pytest.approx(10.5)
    sizes = [group.points for group in by_size(errors).values()]
    assert sizes == [1, 2, 3]
    hidden = by_occlusion(errors)
    assert [group.points for group in hidden.values()] == [3, 1, 2]
    alone = hidden['partly covered']
    assert alone.covered == 0
    assert np.isnan([alone.mean_cm, alone.median_cm, alone.uv_error]).all()


def test_confusion(errors):
    counts = confusion(errors)
    assert counts.sum() == 6
    seen = {(2, 2), (2, 1), (2, 0), (5, 5), (5, 6), (24, 24)}
    assert {(i, j) for i, j in zip(*counts.nonzero(), strict=True)} == seen


def test_by_vertex(errors):
    mean, count = mean_by_vertex(errors, 9, limit=0.2)
    np.testing.assert_array_equal(count, [2, 1, 0, 1, 0, 0, 0, 2, 0])
    expected = [0.035, 0.15, 0, 0.2, 0, 0, 0, 0.11, 0]
    np.testing.assert_allclose(mean, expected, rtol=1e-6)


def test_without_a_surface(errors):
    unknown = np.full(6, NAN, np.float32)
    errors = PointErrors(**{**vars(errors), 'distance': unknown})
    summary = summarize_errors(errors)
    assert summary.part_accuracy == pytest.approx(50)
    assert np.isnan([summary.mean_cm, *summary.within]).all()


def test_joining(errors):
    joined = PointErrors.cat([errors, PointErrors.empty(), errors])
    assert len(joined) == 12
    assert len(PointErrors.cat([])) == 0
    assert summarize_errors(joined).mean_cm == pytest.approx(10.8)
    assert np.isnan(summarize_errors(PointErrors.empty()).covered)
