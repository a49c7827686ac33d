"""Dense pose of files, against mmdet's functions and the annotations."""

import base64
import json
from copy import deepcopy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from matplotlib.image import imsave
from mmdet.apis import inference_detector, init_detector
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdense.apis import DensePoseInferencer
from mmdense.densepose.functional.iuv_png import decode_iuv
from mmdense.densepose.synthetic import Studio, make_sample
from mmdense.registry import MODELS
from tests.small_uv_rcnn import shrink_model

LIGHT = (
    Path(__file__).parents[2]
    / 'configs/uv_rcnn/uv-rcnn_light_fpn_2xb4-10e_synthetic-bodies-192px.py'
)


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """A small model with random weights that finds people everywhere."""
    cfg = Config.fromfile(LIGHT)
    shrink_model(cfg.model)
    cfg.model.test_cfg.rcnn.max_per_img = 3
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    with torch.no_grad():
        model.roi_head.bbox_head.fc_cls.bias[:] = torch.tensor([2.0, 0.0])
        model.roi_head.uv_head.predictors.coarse.bias[1] = 1e3
    path = tmp_path_factory.mktemp('weights') / 'small.pth'
    meta = dict(
        cfg=cfg.pretty_text,
        dataset_meta=dict(CLASSES=('person',), palette=[(220, 20, 60)]),
    )
    torch.save(dict(meta=meta, state_dict=model.state_dict()), path)
    return path


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp('photos')
    rng = np.random.default_rng(0)
    for name, size in (('a.jpg', (60, 90, 3)), ('b.png', (80, 40, 3))):
        image = rng.integers(256, size=size, dtype=np.uint8)
        cv2.imwrite(str(folder / name), image)
    return folder


def test_as_mmdet_infers(checkpoint, photos, tmp_path):
    predict = DensePoseInferencer(
        weights=checkpoint, device='cpu', show_progress=False
    )
    files = [str(photos / name) for name in ('a.jpg', 'b.png')]
    found = predict(
        files, out_dir=str(tmp_path), pred_score_thr=0, no_save_pred=False
    )['predictions']
    config = Config.fromfile(LIGHT)
    config.model = Config.fromstring(
        torch.load(checkpoint)['meta']['cfg'], '.py'
    ).model
    model = init_detector(config, str(checkpoint), device='cpu')
    for file, result in zip(files, found, strict=True):
        expected = inference_detector(model, file).pred_instances
        assert len(result['bboxes']) == 3
        np.testing.assert_array_equal(result['bboxes'], expected.bboxes)
        np.testing.assert_array_equal(result['scores'], expected.scores)
        for png, iuv in zip(
            result['densepose'], expected.densepose, strict=True
        ):
            decoded = decode_iuv(base64.b64decode(png))
            assert np.array_equal(decoded, iuv.numpy())
            assert decoded[0].any()
    for name, result in zip('ab', found, strict=True):
        saved = json.loads((tmp_path / f'preds/{name}.json').read_text())
        assert saved == result
    # Six panels of the image beside each other, five lines between.
    assert cv2.imread(str(tmp_path / 'vis/b.png')).shape == (80, 260, 3)


def test_arrays_and_panels(checkpoint, photos, tmp_path):
    atlas = tmp_path / 'atlas.png'
    imsave(atlas, np.zeros((60, 40, 3), np.uint8))
    predict = DensePoseInferencer(
        weights=checkpoint,
        panels=['texture'],
        texture=str(atlas),
        device='cpu',
        show_progress=False,
    )
    image = cv2.imread(str(photos / 'b.png'))
    out = str(tmp_path)
    for _ in range(2):
        found = predict(image, out_dir=out, no_save_pred=False)
    names = sorted(file.name for file in (tmp_path / 'preds').iterdir())
    assert names == ['00000000.json', '00000001.json']
    whole = predict(str(photos / 'b.png'))['predictions']
    assert found['predictions'] == whole
    assert not predict.visualizer.texture.any()
    picture = cv2.imread(str(tmp_path / 'vis/00000001.jpg'))
    assert picture.shape == (80, 40, 3)


def test_pictures_of_arrays_and_of_nobody(checkpoint, photos):
    """Arrays have the colors of files; without people all is as it was."""
    predict = DensePoseInferencer(
        weights=checkpoint, device='cpu', show_progress=False
    )
    image = cv2.imread(str(photos / 'b.png'))
    options = dict(return_vis=True, pred_score_thr=1.1)
    pictures = [
        predict(x, **options)['visualization'][0]
        for x in (image, str(photos / 'b.png'))
    ]
    assert np.array_equal(*pictures)
    for panel in range(6):
        found = pictures[0][:50, 44 * panel :][:, :40]
        assert np.array_equal(found, image[:50, :, ::-1])


def test_errors(checkpoint):
    with pytest.raises(ValueError, match='a config without weights'):
        DensePoseInferencer(str(LIGHT))
    with pytest.raises(FileNotFoundError, match=r'no\.pth do not exist'):
        DensePoseInferencer(weights='no.pth')
    with pytest.raises(FileNotFoundError, match=r'x\.py does not exist'):
        DensePoseInferencer('x.py', checkpoint)
    with pytest.raises(ValueError, match='panels must be some of'):
        DensePoseInferencer(weights=checkpoint, panels=['u'], device='cpu')


def test_a_model_without_dense_pose(checkpoint):
    cfg = Config.fromstring(torch.load(checkpoint)['meta']['cfg'], '.py')
    head = cfg.model.roi_head
    for name in [key for key in head if key.startswith('uv_')]:
        del head[name]
    del head['min_iou'], head['max_rois']
    head.type = 'mmdet.StandardRoIHead'
    with pytest.raises(ValueError, match='FasterRCNN with StandardRoIHead'):
        DensePoseInferencer(cfg, checkpoint, device='cpu')


def test_the_light_model_that_ships():
    """On people it has never seen: nearly all found, most points near."""
    predict = DensePoseInferencer(device='cpu', show_progress=False)
    studio = Studio()
    people = hits = points = right = 0
    errors = []
    for index in range(12):
        sample = make_sample(studio, 10**6, index, 256, max_people=1)
        image = sample.rendering.image[..., ::-1].copy()
        found = predict(image)['predictions'][0]
        for person in sample.annotations:
            people += 1
            points += len(person['dp_x'])
            if not found['bboxes']:
                continue
            x, y, w, h = person['bbox']
            left, top, *end = found['bboxes'][0]
            overlap = _overlap((x, y, x + w, y + h), (left, top, *end))
            hits += overlap > 0.5
            iuv = decode_iuv(base64.b64decode(found['densepose'][0]))
            columns = x + np.array(person['dp_x']) / 256 * w - round(left)
            rows = y + np.array(person['dp_y']) / 256 * h - round(top)
            inside = (columns >= 0) & (rows >= 0)
            inside &= (columns < iuv.shape[2]) & (rows < iuv.shape[1])
            place = rows[inside].astype(int), columns[inside].astype(int)
            is_right = iuv[0][place] == np.array(person['dp_I'])[inside]
            right += is_right.sum()
            for channel, name in ((1, 'dp_U'), (2, 'dp_V')):
                wanted = np.array(person[name])[inside]
                off = iuv[channel][place] / 255 - wanted
                errors.append(np.abs(off[is_right]))
    assert people >= 10
    assert hits / people > 0.8
    assert right / points > 0.4
    # Of values drawn at random it is 0.3.
    assert np.median(np.concatenate(errors)) < 0.15


def _overlap(a, b) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0) * max(height, 0)
    areas = [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (a, b)]
    return both / (sum(areas) - both)


@pytest.mark.parametrize(
    'array',
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.uint16),
        np.zeros((0, 8, 3), np.uint8),
    ],
    ids=lambda array: f'{array.shape} {array.dtype}',
)
def test_arrays_of_another_kind(checkpoint, array):
    predict = DensePoseInferencer(weights=checkpoint, device='cpu')
    with pytest.raises(ValueError, match='expected images as') as error:
        predict([array])
    assert f'got {array.shape} {array.dtype}' in str(error.value)


def test_scale(checkpoint, photos):
    """As a config with another scale; predictions are of the whole photo."""
    config = Config.fromfile(LIGHT)
    config.model = Config.fromstring(
        torch.load(checkpoint)['meta']['cfg'], '.py'
    ).model
    changed = deepcopy(config)
    (resize,) = (
        transform
        for transform in changed.test_dataloader.dataset.pipeline
        if transform.type == 'mmdet.Resize'
    )
    assert resize.scale != (96, 96)
    resize.scale = (96, 96)
    options = dict(device='cpu', show_progress=False)
    file = str(photos / 'a.jpg')
    plain, scaled, expected = (
        predict(file)['predictions'][0]['bboxes']
        for predict in (
            DensePoseInferencer(deepcopy(config), checkpoint, **options),
            DensePoseInferencer(
                deepcopy(config), checkpoint, scale=96, **options
            ),
            DensePoseInferencer(changed, checkpoint, **options),
        )
    )
    assert scaled == expected != plain
    with pytest.raises(ValueError, match='scale=0 needs'):
        DensePoseInferencer(config, checkpoint, scale=0, **options)
    config.test_dataloader.dataset.pipeline.pop(1)
    with pytest.raises(ValueError, match='one Resize, got 0 of'):
        DensePoseInferencer(config, checkpoint, scale=96, **options)
