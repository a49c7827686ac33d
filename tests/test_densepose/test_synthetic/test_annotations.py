"""Annotations are compared with the body file and with ray geometry."""

import numpy as np
import pycocotools.mask as mask_utils
import pytest

from mmdense.densepose.functional.annotations import (
    check_dense,
    read_part_masks,
)
from mmdense.densepose.surface.parts import SEGM_OF_PART
from mmdense.densepose.surface.posing import BODY_FILE
from mmdense.densepose.synthetic.annotations import (
    share_evenly,
    spread_points,
)


def each_person(samples):
    for sample in samples:
        for number, item in enumerate(sample.annotations):
            yield sample.rendering, number, item


def pixels_of(item):
    """Row and column of each point; they are at the centers of pixels."""
    x, y, width, height = item['bbox']
    column = x + np.array(item['dp_x']) * width / 256 - 0.5
    row = y + np.array(item['dp_y']) * height / 256 - 0.5
    np.testing.assert_allclose(column, column.round(), atol=1e-3)
    np.testing.assert_allclose(row, row.round(), atol=1e-3)
    return row.round().astype(int), column.round().astype(int)


def test_there_are_groups_and_everyone_is_annotated(samples):
    counts = [len(sample.annotations) for sample in samples]
    assert max(counts) > 1
    assert counts == [len(s.rendering.scene.people) for s in samples]
    ids = [a['id'] for sample in samples for a in sample.annotations]
    assert len(set(ids)) == len(ids)


def test_boxes_and_masks_are_what_is_seen(samples):
    for rendering, number, item in each_person(samples):
        seen = rendering.person == number
        mask = mask_utils.decode(item['segmentation'])
        np.testing.assert_array_equal(mask, seen)
        x, y, width, height = item['bbox']
        inside = seen[y : y + height, x : x + width]
        assert inside.sum() == seen.sum() == item['area']
        for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]):
            assert edge.any()


def test_points_are_what_the_triangles_say(samples):
    file = np.load(BODY_FILE)
    for rendering, number, item in each_person(samples):
        row, column = pixels_of(item)
        assert (rendering.person[row, column] == number).all()
        assert not check_dense(item)
        face = rendering.face[row, column]
        camera = rendering.scene.camera
        vertices = rendering.scene.people[number].vertices.astype(float)
        corners = vertices[file['faces'][face].astype(int)]
        # Where the ray through the pixel meets the plane of the triangle.
        ray = camera.rays(column + 0.5, row + 0.5)
        basis = np.stack((*(corners[:, 1:] - corners[:, :1]).swapaxes(0, 1),
                          -ray), -1)  # fmt: skip
        b, c, _ = np.linalg.solve(
            basis, (camera.position - corners[:, 0])[..., None]
        )[..., 0].T
        weights = np.stack((1 - b - c, b, c), -1)
        entries = file['chart_faces'][face].astype(int)
        np.testing.assert_array_equal(
            item['dp_I'], file['chart_parts'][entries[:, 0]]
        )
        uv = (file['chart_uv'][entries] * weights[..., None]).sum(1)
        np.testing.assert_allclose(
            np.stack((item['dp_U'], item['dp_V']), 1), uv, atol=2e-4
        )
        place = (corners * weights[..., None]).sum(1)
        back = camera.project(place)[:, :2] - 0.5
        assert np.abs(back - np.stack((column, row), 1)).max() < 0.01


def test_points_lead_back_to_the_place_on_the_surface(samples, studio):
    """By (I, U, V) alone, as a network would give them."""
    for rendering, number, item in each_person(samples):
        row, column = pixels_of(item)
        face, weights = studio.surface.locate(
            np.array(item['dp_I']), item['dp_U'], item['dp_V']
        )
        vertices = rendering.scene.people[number].vertices
        corners = vertices[studio.body.faces[face]]
        place = (corners * weights[..., None]).sum(1)
        back = rendering.scene.camera.project(place)[:, :2]
        assert np.abs(back - np.stack((column, row), 1) - 0.5).max() < 0.5


def test_part_masks_agree_with_the_part_map(samples, studio):
    for rendering, number, item in each_person(samples):
        labels = read_part_masks(item)
        x, y, width, height = item['bbox']
        at = (np.arange(256) + 0.5) / 256
        row = (y + at * height).astype(int)[:, None]
        column = (x + at * width).astype(int)[None]
        part = studio.surface.face_part[rendering.face[row, column]]
        mine = rendering.person[row, column] == number
        np.testing.assert_array_equal(labels, SEGM_OF_PART[part] * mine)


def test_points_are_shared_among_the_parts(samples):
    for rendering, number, item in each_person(samples):
        count = len(item['dp_I'])
        area = (rendering.person == number).sum()
        assert 100 <= count <= 150 or count == area
        assert len(set(zip(*pixels_of(item), strict=True))) == count


def test_points_of_a_part_are_spread():
    rng = np.random.default_rng(0)
    rows, columns = np.divmod(np.arange(64 * 64), 64)
    part = np.where(columns < 16, 3, 9).astype(np.uint8)
    chosen = spread_points(rng, rows, columns, part, 40)
    assert np.bincount(part[chosen]).tolist() == [0, 0, 0, 20] + [0] * 5 + [20]
    # In each quarter of the larger part are about as many.
    mine = chosen[part[chosen] == 9]
    upper, right = rows[mine] < 32, columns[mine] >= 40
    for quarter in (upper & right, upper & ~right, ~upper & right):
        assert 3 <= quarter.sum() <= 7


@pytest.mark.parametrize(
    ('available', 'total', 'shares'),
    [
        ([0, 9, 9, 9], 9, [0, 3, 3, 3]),
        ([0, 1, 9, 9], 9, [0, 1, 4, 4]),
        ([0, 1, 2, 3], 9, [0, 1, 2, 3]),
        ([100, 1, 100], 6, [1, 2, 3]),
    ],
)
def test_share_evenly(available, total, shares):
    got = share_evenly(np.array(available), total)
    assert sorted(got) == sorted(shares)
    assert got.sum() == min(total, sum(available))
    assert (got <= available).all()
