"""From loading to packing: what a sample holds, and what is refused."""

import pickle

import numpy as np
import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.registry import init_default_scope

from mmdense.densepose.structures.densepose_instances import SHAPE_OF_POINTS
from mmdense.densepose.transforms import (
    LoadDensePoseAnnotations,
    PackDensePoseInputs,
)
from mmdense.registry import TRANSFORMS
from tests.densepose_data import write_symmetry
from tests.test_densepose.test_transforms.blobs import make_results, seed_all


@pytest.fixture(scope='module')
def symmetry(tmp_path_factory):
    return write_symmetry(tmp_path_factory.mktemp('symmetry'))


@pytest.fixture
def results(symmetry):
    loader = LoadDensePoseAnnotations(symmetry=symmetry, with_mask=False)
    results = make_results(loader, seed=0)
    results['gt_bboxes_labels'] = np.array([0, 1, 2])
    return results


def build(name, **settings):
    init_default_scope('mmdet')
    return TRANSFORMS.build({'type': name, **settings})


def test_packed_sample(results):
    before = results['gt_bboxes'].dense
    results['gt_ignore_flags'] = np.array([False, True, False])
    results['gt_bboxes'].translate_((-100, 0))
    results['img'] = results['img'][:, 100:]
    results['img_shape'] = results['img'].shape[:2]
    sample = PackDensePoseInputs()(results)['data_samples']
    assert sample.metainfo[SHAPE_OF_POINTS] == sample.img_shape
    instances = sample.gt_instances
    assert type(instances.bboxes) is HorizontalBoxes
    assert instances.labels.tolist() == [0, 2]
    assert type(sample.ignored_instances.bboxes) is HorizontalBoxes
    expected = before[[0, 2]]
    inside = expected.xy[:, 0] >= 100
    assert inside.sum() < len(inside)
    np.testing.assert_allclose(
        instances.densepose.xy + torch.tensor([100.0, 0]),
        expected.xy[inside],
        atol=1e-4,
    )
    assert instances.densepose.part.equal(expected.part[inside])
    # Workers send samples to the training process.
    again = pickle.loads(pickle.dumps(sample))
    assert again.gt_instances.densepose.xy.equal(instances.densepose.xy)


def test_goes_through_the_preprocessor(results):
    preprocessor = build_preprocessor()
    packed = PackDensePoseInputs()(results)
    batch = {key: [value] for key, value in packed.items()}
    (sample,) = preprocessor(batch, training=True)['data_samples']
    assert isinstance(sample.gt_instances.bboxes, torch.Tensor)
    assert len(sample.gt_instances.densepose) == 3


def build_preprocessor():
    from mmdet.models.data_preprocessors import DetDataPreprocessor

    return DetDataPreprocessor(pad_size_divisor=32)


@pytest.mark.parametrize(
    ('name', 'settings'),
    [
        ('mmdet.RandomErasing', {'n_patches': 1, 'ratio': 0.1}),
        ('mmdet.GTBoxSubOne_GLIP', {}),
    ],
)
def test_new_boxes_are_refused(name, settings, results):
    """Outside the pipeline of a data set they are found when packed."""
    seed_all(0)
    results = build(name, **settings)(results)
    with pytest.raises(ValueError, match=r'carry no .*HorizontalBoxes'):
        PackDensePoseInputs()(results)


def test_copy_paste_is_refused(results, symmetry):
    loader = LoadDensePoseAnnotations(symmetry=symmetry)
    results['mix_results'] = [make_results(loader, seed=1)]
    seed_all(1)
    paste = build('mmdet.CopyPaste', selected=False, paste_by_box=True)
    results['mix_results'][0]['gt_masks'] = results['mix_results'][0][
        'gt_bboxes'
    ].create_masks((240, 320))
    with pytest.raises(ValueError, match='computed from instance masks'):
        paste(results)


def test_mixing_with_images_without_dense_points(results, symmetry):
    loader = LoadDensePoseAnnotations(symmetry=symmetry)
    others = [make_results(loader, seed=i) for i in range(3)]
    for other in others:
        other['gt_bboxes'] = HorizontalBoxes(other['gt_bboxes'].tensor)
        other['gt_bboxes_labels'] = np.array([0, 1, 2])
    results['mix_results'] = others
    with pytest.raises(ValueError, match='joined with HorizontalBoxes'):
        build('mmdet.Mosaic', img_scale=(320, 240))(results)


@pytest.mark.parametrize(
    ('name', 'settings'),
    [('Resize', {'scale': (100, 100)}), ('CenterCrop', {'crop_size': 100})],
)
def test_transforms_of_mmcv_are_refused(name, settings, results):
    """They take boxes for arrays; mmdet's of the same names do not."""
    import mmcv.transforms

    with pytest.raises((TypeError, ValueError)):
        PackDensePoseInputs()(
            getattr(mmcv.transforms, name)(**settings)(results)
        )


def test_instance_masks_left_behind(symmetry):
    """Mosaic does not know them."""
    loader = LoadDensePoseAnnotations(symmetry=symmetry)
    images = [make_results(loader, seed=i) for i in range(4)]
    from mmdet.structures.mask import BitmapMasks

    for image in images:
        image['gt_bboxes_labels'] = np.zeros(3, dtype=int)
        image['gt_masks'] = BitmapMasks(
            np.ones((3, 240, 320), np.uint8), 240, 320
        )
    PackDensePoseInputs()({**images[0]})
    images[0]['mix_results'] = images[1:]
    mixed = build('mmdet.Mosaic', img_scale=(320, 240))(images[0])
    with pytest.raises(ValueError, match='got 3 masks of 240 x 320, expected'):
        PackDensePoseInputs()(mixed)


def test_flip_needs_a_symmetry():
    with pytest.raises(TypeError, match='symmetry'):
        LoadDensePoseAnnotations()
    with pytest.raises(FileNotFoundError, match='no_such'):
        LoadDensePoseAnnotations(symmetry='no_such.mat')
    results = make_results(LoadDensePoseAnnotations(symmetry=False), seed=0)
    build('mmdet.RandomFlip', prob=1.0, direction='diagonal')(results)
    with pytest.raises(ValueError, match=r'UV_symmetry_transforms\.mat'):
        build('mmdet.RandomFlip', prob=1.0)(results)


def test_boxes_cannot_be_left_out():
    for settings in ({'with_bbox': False}, {'box_type': 'hbox'}):
        with pytest.raises(ValueError, match='leave with_bbox and box_type'):
            LoadDensePoseAnnotations(symmetry=False, **settings)


@pytest.mark.parametrize('clips', [True, False])
def test_what_a_crop_cuts_off_does_not_come_back(clips, results):
    """Though the canvas grows again over where it was."""
    seed_all(3)
    results = build(
        'mmdet.RandomCrop', crop_size=(160, 120), bbox_clip_border=clips
    )(results)
    dense = results['gt_bboxes'].dense
    height, width = results['img'].shape[:2]
    inside = dense.cut_to(height, width).is_visible
    assert 0 < inside.sum() < len(inside)
    results = build('mmdet.Expand', prob=1.0, ratio_range=(3, 3))(results)
    packed = PackDensePoseInputs()(results)['data_samples'].gt_instances
    assert packed.densepose.part.equal(dense.part[inside])


def test_repr(symmetry):
    loader = LoadDensePoseAnnotations(symmetry=symmetry)
    assert f'symmetry={symmetry!r})' in repr(loader)
