"""Points against the picture, through each geometric transform of mmdet."""

import re
from dataclasses import replace
from pathlib import Path

import mmdet.datasets.transforms as host
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.registry import init_default_scope

from mmdense.densepose.transforms import LoadDensePoseAnnotations
from mmdense.densepose.transforms.compatibility import (
    REFUSED,
)
from mmdense.densepose.visualization.drawing import place_labels
from mmdense.registry import TRANSFORMS
from tests.densepose_data import write_symmetry
from tests.test_densepose.test_transforms.blobs import (
    make_results,
    seed_all,
    worst_offset,
)

DOCS = Path(__file__).parents[3] / 'docs/densepose_data.md'

CARRY = {
    'Resize': {'scale': (500, 300)},
    'FixScaleResize': {'scale': (417, 333), 'keep_ratio': True},
    'FixShapeResize': {'width': 281, 'height': 377},
    'ResizeShortestEdge': {'scale': 333, 'max_size': 600, 'keep_ratio': True},
    'RandomFlip': {
        'prob': [0.3, 0.3, 0.3],
        'direction': ['horizontal', 'vertical', 'diagonal'],
    },
    'RandomShift': {'prob': 1.0, 'max_shift_px': 60},
    'Pad': {'size_divisor': 128},
    'RandomCrop': {
        'crop_size': (0.5, 0.6),
        'crop_type': 'relative_range',
        'allow_negative_crop': True,
    },
    'MinIoURandomCrop': {'min_ious': (0.1, 0.3)},
    'Expand': {'prob': 1.0, 'ratio_range': (1, 2), 'mean': (0, 0, 0)},
    'RandomCenterCropPad': {
        'crop_size': (300, 260),
        'ratios': (0.7, 1.0, 1.2),
        'border': 40,
        'mean': (0, 0, 0),
        'std': (1, 1, 1),
        'to_rgb': False,
        'test_pad_mode': None,
    },
    'RandomAffine': {
        'max_rotate_degree': 60,
        'max_translate_ratio': 0.2,
        'scaling_ratio_range': (0.8, 1.4),
        'max_shear_degree': 12,
        'border': (20, -10),
        'border_val': (0, 0, 0),
    },
    'ShearX': {'max_mag': 25.0, 'img_border_value': 0},
    'ShearY': {'max_mag': 25.0, 'img_border_value': 0},
    'Rotate': {'max_mag': 180.0, 'img_border_value': 0},
    'TranslateX': {'max_mag': 0.4, 'img_border_value': 0},
    'TranslateY': {'max_mag': 0.4, 'img_border_value': 0},
    'CutOut': {'n_holes': 1, 'cutout_shape': (1, 1)},
}
MIX = {
    'Mosaic': {'img_scale': (307, 241), 'pad_val': 0.0},
    'CachedMosaic': {'img_scale': (307, 241), 'pad_val': 0.0},
    'MixUp': {
        'img_scale': (307, 241),
        'ratio_range': (0.8, 1.5),
        'pad_val': 0.0,
    },
    'CachedMixUp': {
        'img_scale': (307, 241),
        'ratio_range': (0.8, 1.5),
        'pad_val': 0.0,
    },
}
# Half a pixel is asked of all others. These cut sizes down to whole pixels,
# and not the scale by which they move what is in the image.
MIX_TOLERANCE = 2.0
# Only colors; nothing has to be carried.
COLORS = {
    'AutoContrast', 'Brightness', 'Color', 'ColorTransform', 'Contrast',
    'Equalize', 'Invert', 'PhotoMetricDistortion', 'Posterize', 'Sharpness',
    'Solarize', 'SolarizeAdd', 'YOLOXHSVRandomAug',
}  # fmt: skip
# Made of others, or not for boxes of people in single images.
ELSEWHERE = {
    'AutoAugment', 'BaseFrameSample', 'FilterAnnotations', 'GeomTransform',
    'ImageAug', 'ImageToTensor', 'InferencerLoader', 'LineDetDataProcessor',
    'LinesToArray', 'LoadAnnotations', 'LoadEmptyAnnotations',
    'LoadImageFromNDArray', 'LoadLineAnnotations',
    'LoadMultiChannelImageFromFiles', 'LoadOneDLSegmentation',
    'LoadPanopticAnnotations', 'LoadProposals', 'LoadTextAnnotations',
    'LoadTrackAnnotations', 'MultiBranch', 'PackDetInputs',
    'PackLineDetectionInputs', 'PackReIDInputs', 'PackTrackInputs',
    'ProposalBroadcaster', 'RandAugment', 'RandomOrder',
    'RandomSamplingNegPos', 'SegRescale', 'ToTensor', 'Transpose',
    'UniformRefFrameSample',
}  # fmt: skip


@pytest.fixture(scope='module')
def loader(tmp_path_factory):
    path = write_symmetry(tmp_path_factory.mktemp('symmetry'))
    return LoadDensePoseAnnotations(symmetry=path)


def build(name: str, **settings):
    init_default_scope('mmdet')
    return TRANSFORMS.build({'type': f'mmdet.{name}', **settings})


def forget_cut_blobs(results: dict, margin: int = 8) -> None:
    """Half a blob at the border has its center of gravity elsewhere."""
    boxes = results['gt_bboxes']
    height, width = results['img'].shape[:2]
    x, y = boxes.dense.xy.T
    is_whole = (x > margin) & (x < width - margin)
    is_whole &= (y > margin) & (y < height - margin)
    boxes.dense = replace(
        boxes.dense, is_visible=boxes.dense.is_visible & is_whole
    )


def few(examples: int):
    return settings(max_examples=examples, deadline=None)


def test_blobs_are_found(loader):
    results = make_results(loader, seed=0)
    offset, count = worst_offset(results)
    assert offset < 0.1
    assert count == 48
    # And missed: the test below would notice half a pixel.
    results['gt_bboxes'].translate_((0.5, 0.0))
    assert 0.4 < worst_offset(results)[0] < 0.6


@pytest.mark.parametrize('name', CARRY)
def test_points_go_where_the_picture_goes(name, loader):
    transform = build(name, **CARRY[name])
    counts = []

    @given(st.integers(0, 2**31))
    @few(6)
    def check(seed):
        results = make_results(loader, seed)
        seed_all(seed)
        results = transform(results)
        offset, count = worst_offset(results)
        assert offset < 0.5
        counts.append(count)

    check()
    assert sum(counts) > 20


@pytest.mark.parametrize('name', MIX)
def test_points_of_mixed_images_go_with_them(name, loader):
    counts = []

    @given(st.integers(0, 2**31))
    @few(3)
    def check(seed):
        transform = build(name, **MIX[name])
        # What is mixed with the first or last has a channel of its own.
        images = [
            make_results(loader, seed + i, channel=channel)
            for i, channel in enumerate((0, 1, 1, 1, 1, 2))
        ]
        for image in images:
            image['img'] = image['img'].astype(np.uint8)
        seed_all(seed)
        if name.startswith('Cached'):
            for image in images:
                results = transform(image)
        else:
            images[0]['mix_results'] = images[1:4]
            if name == 'MixUp':
                images[0]['mix_results'] = images[1:2]
            results = transform(images[0])
        offset, count = worst_offset(results)
        assert offset < MIX_TOLERANCE
        counts.append(count)

    check()
    assert sum(counts) > 40


@given(st.integers(0, 2**31), st.data())
@few(30)
def test_points_through_a_chain(loader, seed, data):
    names = data.draw(
        st.lists(
            st.sampled_from(
                [n for n in CARRY if n not in ('RandomCenterCropPad', 'Pad')]
            ),
            min_size=2,
            max_size=4,
        )
    )
    results = make_results(loader, seed)
    seed_all(seed)
    for name in names:
        results = build(name, **CARRY[name])(results)
        if results is None or not len(results['gt_bboxes']):
            return
        forget_cut_blobs(results)
    height, width = results['img'].shape[:2]
    scale = min(height / 240, width / 320)
    # Where shrunk, blobs are close to each other.
    if scale > 0.5:
        assert worst_offset(results)[0] < 0.75


@given(st.integers(0, 2**31), st.sampled_from(['horizontal', 'vertical']))
@few(10)
def test_two_flips_are_none(loader, seed, direction):
    results = make_results(loader, seed)
    before = results['gt_bboxes'].dense
    flip = build('RandomFlip', prob=1.0, direction=direction)
    once = flip(results)['gt_bboxes'].dense
    assert once.part.equal(before.mirrored_part)
    np.testing.assert_allclose(
        once.uv[:, 0], 1 - before.uv[:, 0], atol=1 / 255
    )
    twice = flip(results)['gt_bboxes'].dense
    assert twice.part.equal(before.part)
    assert twice.uv.equal(before.uv)
    assert twice.part_masks.equal(before.part_masks)
    np.testing.assert_allclose(twice.xy, before.xy, atol=1e-4)


@pytest.mark.parametrize('name', CARRY)
def test_part_masks_go_where_the_picture_goes(name, loader):
    """Not a pixel of a mask is resampled, only its matrix changes."""
    transform = build(name, **CARRY[name])
    results = make_results(loader, seed=1)
    boxes = results['gt_bboxes']
    height, width = results['img'].shape[:2]
    results['img'] = np.stack(
        [placed_mask(boxes.dense, i, height, width) for i in range(3)], axis=2
    ).astype(np.float32)
    # Which person a box is of, wherever it goes.
    uv = boxes.dense.uv.clone()
    uv[:, 1] = boxes.dense.instance
    boxes.dense = replace(boxes.dense, uv=uv, mirrored_uv=uv)
    seed_all(1)
    results = transform(results)
    dense = results['gt_bboxes'].dense
    assert len(dense)
    height, width = results['img'].shape[:2]
    for i in range(len(dense)):
        person = int(dense[i].uv[0, 1])
        expected = results['img'][..., person] > 0.5
        found = placed_mask(dense, i, height, width)
        overlap = (expected & found).sum() / (expected | found).sum()
        assert overlap > 0.97


def placed_mask(dense, i: int, height: int, width: int) -> np.ndarray:
    labels = place_labels(
        dense.part_masks[i].numpy(),
        dense.mask_to_image[i].double().numpy(),
        height,
        width,
    )
    return labels > 0


def test_every_transform_of_the_host_is_accounted_for():
    """One that mmdet adds is to be tried before the docs can list it."""
    known = {*CARRY, *MIX, *REFUSED, *COLORS, *ELSEWHERE}
    assert set(host.__all__) <= known


def test_table_in_the_docs():
    """Two lists: what was tried above and went well, and what is refused."""
    rows = re.findall(r'^\| (.+?) \| (.+?) \|', DOCS.read_text(), re.M)
    documented = {}
    for names, outcome in rows:
        for name in re.findall(r'`(\w+)`', names):
            documented[name] = outcome
    for name in (*CARRY, *MIX):
        assert documented[name].startswith('carried'), name
    for name in REFUSED:
        assert documented[name].startswith('refused'), name
