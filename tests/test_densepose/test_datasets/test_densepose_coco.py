import copy
import json

import cv2
import numpy as np
import pytest
from mmdet.datasets import MultiImageMixDataset
from mmengine.registry import init_default_scope

from mmdense.densepose.datasets import DensePoseCocoDataset
from tests.densepose_data import (
    annotation,
    dense_fields,
    make_annotations,
    write_data_set,
    write_symmetry,
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('densepose')
    write_data_set(folder)
    write_symmetry(folder)
    return folder


def pipeline(folder, *steps, pack=True, **loading) -> list[dict]:
    loading.setdefault('symmetry', str(folder / 'UV_symmetry_transforms.mat'))
    return [
        {'type': 'LoadImageFromFile'},
        {'type': 'mmdense.LoadDensePoseAnnotations', **loading},
        *steps,
        *([{'type': 'mmdense.PackDensePoseInputs'}] if pack else []),
    ]


def build(folder, *steps, content=None, loading=None, **settings):
    if content is not None:
        path = folder / 'other.json'
        path.write_text(json.dumps(content))
        settings.setdefault('ann_file', str(path))
    settings.setdefault('ann_file', str(folder / 'annotations.json'))
    # Serializing collects garbage first, of all that was ever imported.
    settings.setdefault('serialize_data', False)
    settings.setdefault('pipeline', pipeline(folder, *steps, **loading or {}))
    settings.setdefault('data_prefix', {'img': str(folder / 'images')})
    return DensePoseCocoDataset(**settings)


def test_reads_the_official_forms(folder):
    content = make_annotations()
    dataset = build(folder, loading={'with_mask': True})
    assert len(dataset) == 4
    seen = []
    for info in (dataset.get_data_info(i) for i in range(4)):
        seen.append([person['ann_id'] for person in info['instances']])
    # The dog is of no class; of one id there are two.
    assert seen == [[10, 11], [12, 13], [15, 15], []]

    by_image = [
        [a for a in content['annotations'] if a['image_id'] == i]
        for i in (1, 2, 3, 4)
    ]
    for index, expected in enumerate(by_image):
        people = [a for a in expected if a['category_id'] == 1]
        instances = dataset[index]['data_samples'].gt_instances
        dense = instances.densepose
        assert len(instances) == len(people) == len(dense)
        assert dense.num_points.tolist() == [
            len(a.get('dp_x', [])) for a in people
        ]
        assert dense.has_part_mask.tolist() == [
            'dp_masks' in a for a in people
        ]
        for i, a in enumerate(people):
            if 'dp_x' not in a:
                continue
            x, y, w, h = a['bbox']
            person = dense[i]
            np.testing.assert_allclose(
                person.xy,
                np.stack(
                    (
                        x + np.array(a['dp_x']) * w / 256,
                        y + np.array(a['dp_y']) * h / 256,
                    ),
                    axis=1,
                ),
                rtol=1e-6,
            )
            assert person.part.tolist() == a['dp_I']
            np.testing.assert_allclose(
                person.uv, np.stack((a['dp_U'], a['dp_V']), axis=1), rtol=1e-6
            )
            corners = np.array([[0, 256], [0, 256], [1, 1]])
            np.testing.assert_allclose(
                person.mask_to_image[0].numpy() @ corners,
                [[x, x + w], [y, y + h], [1, 1]],
                rtol=1e-5,
            )
    # The list form has parts, the dict form one mask.
    assert (
        dataset[0]['data_samples'].gt_instances.densepose.part_masks.max()
        == 14
    )
    assert (
        dataset[1]['data_samples'].gt_instances.densepose.part_masks.max() == 1
    )


def test_more_classes(folder):
    dataset = build(folder, metainfo={'classes': ('person', 'dog')})
    instances = dataset[1]['data_samples'].gt_instances
    assert instances.labels.tolist() == [0, 0, 1]
    assert instances.densepose.has_points.tolist() == [True, True, False]


def test_filters(folder):
    content = make_annotations()
    content['annotations'].append(annotation(30, 4, (10, 10, 50, 80)))
    assert len(build(folder, content=content)) == 4
    settings = {'filter_cfg': {'filter_no_densepose': True}}
    dataset = build(folder, content=content, **settings)
    assert [dataset.get_data_info(i)['img_id'] for i in range(3)] == [1, 2, 3]
    assert len(dataset) == 3
    assert len(build(folder, content=content, test_mode=True, **settings)) == 4
    dataset = build(folder, filter_cfg={'filter_empty_gt': True})
    assert len(dataset) == 3


def spoil(content, field, index, value):
    for item in content['annotations']:
        if item['id'] == 12:
            if index is None:
                item[field] = value
            else:
                item[field][index] = value
    return content


@pytest.mark.parametrize(
    ('field', 'index', 'value'),
    [
        ('dp_I', 3, 30),
        ('dp_U', 3, 1.5),
        ('dp_V', 3, float('nan')),
        ('dp_x', None, [1.0]),
        ('dp_masks', None, {'size': [256, 256], 'counts': 'abc'}),
        ('dp_masks', 'counts', [3]),
    ],
)
def test_what_cannot_be_used_is_said(folder, field, index, value):
    content = spoil(make_annotations(), field, index, value)
    name = 'dp_' if index is None and field == 'dp_x' else field
    with pytest.raises(
        ValueError, match=rf'other\.json: annotation 12: {name}.*validate_de'
    ):
        build(folder, content=content)
    with pytest.warns(UserWarning, match=r'^1 dense ann.*annotation 12: dp_'):
        dataset = build(folder, content=content, on_problem='drop')
    dense = dataset[1]['data_samples'].gt_instances.densepose
    assert dense.has_points.tolist() == [False, True]
    assert not dense.has_part_mask.any()


def test_points_outside_the_box_are_read(folder):
    content = spoil(make_annotations(), 'dp_x', 0, 270.0)
    with pytest.warns(UserWarning, match=r'1 dense .* outside .*, got 270'):
        dataset = build(folder, content=content)
    dense = dataset[1]['data_samples'].gt_instances
    assert dense.densepose.num_points[0] == 25


def test_broken_files(folder):
    whole = json.dumps(make_annotations())
    (folder / 'cut.json').write_text(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r'cut\.json is no JSON file or cut'):
        build(folder, ann_file=str(folder / 'cut.json'))
    content = make_annotations()
    del content['images'][0]['width']
    with pytest.raises(ValueError, match=r"other\.json.* has no 'width';"):
        build(folder, content=content)
    for field, value in (('area', None), ('bbox', [1, 2, 3]), ('bbox', 'x')):
        content = make_annotations()
        content['annotations'][0][field] = value
        with pytest.raises(
            ValueError, match=r'other\.json: annotation 10: bbox, area'
        ):
            build(folder, content=content)
    content = make_annotations()
    content['categories'][0]['name'] = 'human'
    with pytest.raises(ValueError, match=r"\('person',\) match 0 of its"):
        build(folder, content=content)
    with pytest.raises(ValueError, match="must be 'raise' or 'drop'"):
        build(folder, on_problem='ignore')
    with pytest.raises(FileNotFoundError, match='nowhere'):
        build(folder, ann_file=str(folder / 'nowhere.json'))


@pytest.mark.parametrize(
    ('content', 'key'),
    [
        ([], 'images'),
        ({'images': [], 'annotations': []}, 'categories'),
        ({'images': [3], 'annotations': [], 'categories': []}, 'images'),
    ],
)
def test_other_json(folder, content, key):
    with pytest.raises(ValueError, match=rf"other\.json has no list '{key}'"):
        build(folder, content=content)


@pytest.mark.parametrize('prefix', [{}, {'img_path': 'images'}])
def test_no_folder_of_images(folder, prefix):
    with pytest.raises(
        ValueError,
        match=r"no img, got \{.*give data_prefix=dict\(img='.*annotations\.j",
    ):
        build(folder, data_prefix=prefix)


@pytest.mark.parametrize('serialize', [False, True])
def test_no_images(folder, serialize):
    settings = {'serialize_data': serialize}
    content = {**make_annotations(), 'images': [], 'annotations': []}
    for test_mode in (False, True):
        with pytest.raises(
            ValueError, match=r'other\.json has no images, exp'
        ):
            build(folder, content=content, test_mode=test_mode, **settings)
    with pytest.raises(
        ValueError, match=r'min_size.: 999.* none of 4 images \(0 by filter_em'
    ):
        build(folder, filter_cfg={'min_size': 999}, **settings)
    content = make_annotations()
    content['annotations'] = [annotation(11, 1, (200, 60, 90, 120))]
    only = {'filter_no_densepose': True}
    with pytest.raises(
        ValueError,
        match=r'none of 4 images \(4 by .*, 0 of these by filter_no_densepose',
    ):
        build(folder, content=content, filter_cfg=only, **settings)
    # As in the host, filters are for training.
    data_set = build(
        folder, content=content, filter_cfg=only, test_mode=True, **settings
    )
    assert len(data_set) == 4


@pytest.mark.parametrize('segmentation', [None, []])
def test_people_without_masks(folder, segmentation):
    content = make_annotations()
    content['annotations'][1]['segmentation'] = segmentation
    assert len(build(folder, content=content)[0]['data_samples'].gt_instances)
    dataset = build(folder, content=content, loading={'with_mask': True})
    with pytest.raises(
        ValueError,
        match=r'other\.json: annotation 11 has no segmentation.*with_mask out',
    ):
        dataset[0]


def test_image_of_another_size(tmp_path):
    write_data_set(tmp_path)
    write_symmetry(tmp_path)
    image = tmp_path / 'images/000000000001.png'
    cv2.imwrite(str(image), np.zeros((100, 320, 3), np.uint8))
    dataset = build(tmp_path)
    with pytest.raises(
        ValueError, match=r'1\.png is 100 x 320 .*annotations\.json says 240'
    ):
        dataset[0]
    image.unlink()
    with pytest.raises(FileNotFoundError, match=r'000000000001\.png'):
        dataset[0]


@pytest.mark.parametrize(
    'step',
    [
        {'type': 'mmdet.RandomErasing', 'n_patches': 1, 'ratio': 0.2},
        {'type': 'mmdet.GTBoxSubOne_GLIP'},
        {'type': 'mmdet.RandomFlip_GLIP', 'prob': 0.5},
        {'type': 'mmdet.CopyPaste'},
        {
            'type': 'mmdet.RandomCrop',
            'crop_size': (9, 9),
            'recompute_bbox': True,
        },
        {'type': 'mmdet.MinIoURandomCrop', 'bbox_clip_border': False},
    ],
)
@pytest.mark.parametrize('wrapped', [False, True])
def test_transforms_that_lose_points_are_refused_at_once(
    folder, step, wrapped
):
    name = step['type']
    if wrapped:
        step = {
            'type': 'RandomChoice',
            'transforms': [[{'type': 'RandomApply', 'transforms': [step]}]],
        }
    with pytest.raises(ValueError, match=rf'{name}.* cannot be used with'):
        build(folder, step)


def test_same_transforms_with_good_settings(folder):
    dataset = build(
        folder,
        {'type': 'mmdet.RandomCrop', 'crop_size': (200, 200)},
        {'type': 'mmdet.MinIoURandomCrop'},
        {
            'type': 'RandomApply',
            'transforms': [{'type': 'mmdet.RandomFlip', 'prob': 1.0}],
        },
    )
    assert dataset[0] is not None


def test_annotations_are_not_changed_by_reading(folder):
    dataset = build(folder, serialize_data=True)
    before = copy.deepcopy(dataset.get_data_info(0))
    dataset[0]
    after = dataset.get_data_info(0)
    np.testing.assert_array_equal(
        before['instances'][0]['densepose']['points'].xy,
        after['instances'][0]['densepose']['points'].xy,
    )


def test_masks_alone_are_dense_annotations(folder):
    content = make_annotations()
    masks = dense_fields(np.random.default_rng(0), 1)['dp_masks']
    content['annotations'][1]['dp_masks'] = masks
    dense = build(folder, content=content)[0]['data_samples'].gt_instances
    assert dense.densepose.has_points.tolist() == [True, False]
    assert dense.densepose.has_part_mask.tolist() == [True, True]


def test_mixed_images(folder):
    """As YOLOX trains: mixing stands outside the pipeline of the data set."""
    init_default_scope('mmdet')
    dataset = MultiImageMixDataset(
        build(folder, pipeline=pipeline(folder, pack=False)),
        pipeline=[
            {'type': 'mmdet.Mosaic', 'img_scale': (320, 240)},
            {'type': 'mmdet.RandomAffine', 'border': (-160, -120)},
            {'type': 'mmdet.MixUp', 'img_scale': (320, 240)},
            {'type': 'mmdet.RandomFlip', 'prob': 0.5},
            {'type': 'mmdet.FilterAnnotations', 'keep_empty': False},
            {'type': 'mmdense.PackDensePoseInputs'},
        ],
    )
    np.random.seed(0)
    people = points = 0
    for i in range(len(dataset)):
        instances = dataset[i]['data_samples'].gt_instances
        dense = instances.densepose
        people += len(instances)
        points += len(dense.xy)
        # A point stays with its person: in the box, but for the rounding of
        # sizes that MixUp does, and for boxes clipped to the image.
        boxes = instances.bboxes.tensor[dense.instance]
        assert (dense.xy > boxes[:, :2] - 1.5).all()
        assert (dense.xy < boxes[:, 2:] + 1.5).all()
    assert people > 10
    assert points > 100
