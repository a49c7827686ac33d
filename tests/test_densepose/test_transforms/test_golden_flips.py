"""Flips of annotations against those of detectron2."""

import numpy as np
import pytest
from mmdet.datasets.transforms import RandomFlip

from mmdense.densepose.functional.annotations import (
    check_points,
    is_dense,
    read_points,
)
from mmdense.densepose.surface import build_symmetry
from mmdense.densepose.surface.parts import MIRROR_PARTS, MIRROR_SEGM
from mmdense.densepose.transforms import LoadDensePoseAnnotations
from tests.golden import FOLDER, read_arrays, read_json

pytestmark = pytest.mark.golden

ANNOTATIONS = read_json('densepose/data_annotations.json') or []
FACTS = read_json('densepose/data_flip.json') or {}
TABLES = {
    'hflip': 'densepose/UV_symmetry_synthetic.mat',
    'hflip_toy_table': 'densepose/eval_data/UV_symmetry_transforms.mat',
}
BOX = (13.25, 7.5, 83.25, 190.5)  # x1 y1 x2 y2, of no meaning
HEIGHT, WIDTH = FACTS.get('image_hw', (200, 150))


def load(annotation: dict, table: str) -> dict:
    """As `DensePoseCocoDataset` hands a person on, then loaded."""
    person = {
        'bbox': BOX,
        'bbox_label': 0,
        'ignore_flag': 0,
        'densepose': {
            'points': read_points(annotation),
            'dp_masks': annotation['dp_masks'],
        },
    }
    loader = LoadDensePoseAnnotations(symmetry=str(FOLDER / table))
    return loader(
        {
            'img': np.zeros((HEIGHT, WIDTH, 3), np.uint8),
            'instances': [person],
        }
    )


def compare(results: dict, arrays: dict, prefix: str) -> None:
    """Points back in the frame of the box, as the reference holds them."""
    boxes = results['gt_bboxes']
    x1, y1, x2, y2 = boxes.tensor[0].tolist()
    dense = boxes.dense
    x, y = dense.xy.T.numpy()
    found = {
        'x': (x - x1) / (x2 - x1) * 256,
        'y': (y - y1) / (y2 - y1) * 256,
        'u': dense.uv[:, 0].numpy(),
        'v': dense.uv[:, 1].numpy(),
    }
    for name, values in found.items():
        expected = arrays.get(f'{prefix}_{name}')
        if expected is not None:
            # x and y went through image coordinates in float32.
            tolerance = 1e-4 if name in 'xy' else 1e-5
            np.testing.assert_allclose(values, expected, atol=tolerance)
    np.testing.assert_array_equal(dense.part, arrays[f'{prefix}_i'])
    if f'{prefix}_segm' in arrays:
        # Ours is not resampled: the matrix says that x runs backwards.
        mask = dense.part_masks[0].numpy()
        if dense.mask_to_image[0, 0, 0] < 0:
            mask = mask[:, ::-1]
        np.testing.assert_array_equal(mask, arrays[f'{prefix}_segm'])


@pytest.mark.parametrize('table', TABLES)
@pytest.mark.parametrize('number', range(len(ANNOTATIONS)))
def test_flips(number, table):
    arrays = read_arrays('densepose/data_flip.npz')
    prefix = f'{number}_{table}'
    if f'{prefix}_i' not in arrays:
        pytest.skip('not recorded for this table')
    results = load(ANNOTATIONS[number], TABLES[table])
    compare(results, arrays, f'{number}_orig')
    flip = RandomFlip(prob=1.0)
    flip(results)
    compare(results, arrays, prefix)
    if f'{number}_hflip_twice_i' in arrays:
        flip(results)
        compare(results, arrays, f'{number}_hflip_twice')


@pytest.mark.parametrize('number', range(len(ANNOTATIONS)))
def test_labels_of_flip_and_rotation(number):
    """Only labels: the reference rotates points of the box as if they were
    of the image (densepose.md 8.11).
    """
    arrays = read_arrays('densepose/data_flip.npz')
    if f'{number}_rot30_i' not in arrays:
        pytest.skip('not recorded')
    results = load(ANNOTATIONS[number], TABLES['hflip'])
    boxes = results['gt_bboxes']
    boxes.rotate_((74.5, 99.5), 30)
    names = {'u': boxes.dense.uv[:, 0], 'v': boxes.dense.uv[:, 1]}
    for name, values in {**names, 'i': boxes.dense.part}.items():
        np.testing.assert_array_equal(values, arrays[f'{number}_rot30_{name}'])
    boxes.flip_((HEIGHT, WIDTH))
    dense = boxes.dense
    flipped = f'{number}_hflip_rot_m15'
    np.testing.assert_array_equal(dense.part, arrays[f'{flipped}_i'])
    np.testing.assert_allclose(
        dense.uv.T, [arrays[f'{flipped}_u'], arrays[f'{flipped}_v']], atol=1e-5
    )


def test_label_tables():
    if not FACTS:
        pytest.skip('densepose/data_flip.json is not in the golden data')
    assert MIRROR_PARTS.tolist() == FACTS['point_label_symmetries']
    assert MIRROR_SEGM.tolist() == FACTS['mask_label_symmetries']


def test_tables_are_not_their_own_inverse():
    """So two flips are none only because nothing is computed anew."""
    if not ANNOTATIONS:
        pytest.skip('data_annotations.json is not in the golden data')
    tables = build_symmetry(str(FOLDER / TABLES['hflip']))
    points = read_points(ANNOTATIONS[0])
    once = tables.flip(points.part, *points.uv.T)
    twice = tables.flip(*once)
    np.testing.assert_array_equal(twice[0], points.part)
    assert np.abs(np.stack(twice[1:], 1) - points.uv).max() > 1e-3


@pytest.mark.parametrize('case', FACTS.get('validate', []))
def test_what_is_a_dense_annotation(case):
    """What the reference takes for one has points in ours too.

    The reference passes over the others in silence; so do we where nothing
    dense is left, and call the rest a problem.
    """
    annotation = {
        key: value
        for key, value in ANNOTATIONS[0].items()
        if key not in case['removed']
    }
    assert is_dense(annotation)
    assert (check_points(annotation) == []) == case['valid']
