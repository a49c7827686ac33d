"""Placing of masks and their overlap, against scipy and pycocotools."""

import numpy as np
import pycocotools.mask as coco_mask
import pytest
from scipy.ndimage import zoom

from mmdense.densepose.functional.gps import BoxGrid
from mmdense.densepose.functional.mask_overlap import (
    box_iou,
    enlarge,
    mask_iou,
    place_box_mask,
    place_frame_mask,
    place_image_mask,
)


def _blob(rng, size=256):
    rows, columns = np.mgrid[:size, :size]
    mask = np.zeros((size, size), dtype=bool)
    for _ in range(6):
        y, x, radius = rng.uniform(0, size, 3) * [1, 1, 0.4]
        mask |= np.hypot(rows - y, columns - x) < radius
    return mask


@pytest.mark.parametrize('size', [1, 2, 3, 17, 128, 255, 256, 257, 300, 511])
def test_enlarge_is_zoom(size):
    rng = np.random.default_rng(size)
    for other in (1, 5, 100, 256, 334, *rng.integers(1, 700, 3).tolist()):
        mask = _blob(rng)
        scale = (other / 256, size / 256)
        expected = zoom(mask.astype(float), scale, order=1, prefilter=False)
        np.testing.assert_array_equal(
            enlarge(mask, other, size), expected > 0.5
        )


def _in_image(placed, height, width):
    image = np.zeros((height, width), dtype=np.uint8, order='F')
    rows, columns = placed.pixels.shape
    inner = image[placed.y : placed.y + rows, placed.x : placed.x + columns]
    assert inner.shape == placed.pixels.shape
    inner[:] = placed.pixels
    assert image.sum() == placed.area
    return image


def _random_masks(rng, count, height, width):
    for _ in range(count):
        x, y = rng.uniform([-30, -30], [width, height])
        box = np.array([x, y, *rng.uniform(1, 90, 2)])
        rows, columns = int(box[3]), int(box[2])
        grid = BoxGrid.of_iuv(box, rows, columns)
        mask = rng.random((rows, columns)) < 0.6
        yield place_box_mask(mask, grid, height, width)
        yield place_frame_mask(_blob(rng), box, height, width)


def test_overlap_is_that_of_pycocotools():
    rng = np.random.default_rng(0)
    height, width = 90, 120
    masks = list(_random_masks(rng, 12, height, width))
    masks.append(place_image_mask(np.zeros((height, width))))
    # Among the random ones, some are wholly outside.
    assert sum(mask.area == 0 for mask in masks) > 1
    detected, annotated = masks[::2], masks[1::2]
    crowd = rng.random(len(annotated)) < 0.4
    codes = [
        [coco_mask.encode(_in_image(mask, height, width)) for mask in part]
        for part in (detected, annotated)
    ]
    expected = coco_mask.iou(*codes, crowd.astype(int).tolist())
    ours = mask_iou(detected, annotated, crowd)
    np.testing.assert_allclose(ours, expected, atol=1e-12)
    assert (ours > 0).sum() > 10


def test_boxes_are_those_of_pycocotools():
    rng = np.random.default_rng(1)
    detected, annotated = (
        rng.uniform([0, 0, 0, 0], [50, 50, 60, 60], (n, 4)) for n in (7, 9)
    )
    detected[0, 2] = 0
    crowd = rng.random(9) < 0.5
    expected = coco_mask.iou(
        detected.tolist(), annotated.tolist(), crowd.astype(int).tolist()
    )
    ours = box_iou(detected, annotated, crowd)
    np.testing.assert_allclose(ours, expected, atol=1e-12)


def test_image_mask_is_cut_down():
    mask = np.zeros((20, 30))
    mask[3:7, 11:13] = 1
    placed = place_image_mask(mask)
    assert (placed.x, placed.y) == (11, 3)
    np.testing.assert_array_equal(_in_image(placed, 20, 30), mask)


def test_strict_masks_are_sampled_at_centers():
    height, width = 40, 50
    # Also out of the image on all sides.
    box = np.array([-3.7, -2.2, 70.9, 51.4])
    rng = np.random.default_rng(2)
    frame = _blob(rng)
    grid = BoxGrid.of_iuv(box, 51, 70)
    mask = rng.random((51, 70)) < 0.5
    for ours, source in (
        (place_frame_mask(frame, box, height, width, strict=True), frame),
        (place_box_mask(mask, grid, height, width, strict=True), mask),
    ):
        image = _in_image(ours, height, width)
        for y in range(height):
            for x in range(width):
                row = int((y + 0.5 - box[1]) / box[3] * len(source))
                column = int((x + 0.5 - box[0]) / box[2] * len(source[0]))
                assert image[y, x] == source[row, column]
