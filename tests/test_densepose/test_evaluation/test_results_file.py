"""Detections in files: ours, the challenges' and detectron2's."""

import base64
import json
import pickle
import sys
import types

import numpy as np
import pytest
import torch

from mmdense.densepose.evaluation.ground_truth import DensePoseGroundTruth
from mmdense.densepose.evaluation.results_file import (
    Detection,
    read_results,
    write_results,
)
from mmdense.densepose.functional.iuv_png import encode_iuv

from .people import make_content, perfect


@pytest.fixture
def truth():
    return DensePoseGroundTruth(make_content(perfect()[0]))


def _detections():
    _, found = perfect()
    return [
        Detection(7, 1, box, score, iuv)
        for box, score, iuv in zip(
            found.boxes.tolist(),
            found.scores.tolist(),
            found.iuvs,
            strict=True,
        )
    ]


def _assert_are(read, detections):
    (found,) = read.values()
    found = found.unpacked()
    assert len(found.scores) == len(detections)
    for k, detection in enumerate(detections):
        np.testing.assert_array_equal(found.boxes[k], detection.box)
        assert found.scores[k] == detection.score
        np.testing.assert_array_equal(found.iuvs[k], detection.iuv)


def test_round_trip(tmp_path, truth):
    path = tmp_path / 'new' / 'results.json'
    detections = _detections()
    write_results(path, detections)
    read = read_results(path, truth)
    assert [*read] == [(7, 1)]
    _assert_are(read, detections)
    assert [file.name for file in path.parent.iterdir()] == ['results.json']


def test_layout_of_the_challenges(tmp_path):
    """Read without our code; PNGs may also be given already."""
    path = tmp_path / 'results.json'
    first, second = _detections()
    packed = Detection(7, 1, second.box, 0.5, encode_iuv(second.iuv))
    write_results(path, iter([first, packed]))
    entries = json.loads(path.read_text())
    assert [entry['uv_shape'] for entry in entries] == [
        list(first.iuv.shape),
        list(second.iuv.shape),
    ]
    import cv2

    for entry, iuv in zip(entries, (first.iuv, second.iuv), strict=True):
        data = np.frombuffer(base64.b64decode(entry['uv_data']), np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(image[..., ::-1].transpose(2, 0, 1), iuv)


def test_no_detections(tmp_path, truth):
    path = tmp_path / 'results.json'
    write_results(path, [])
    assert read_results(path, truth) == {}


def test_a_failed_write_leaves_the_old_file(tmp_path, truth):
    path = tmp_path / 'results.json'
    write_results(path, _detections())
    wrong = Detection(7, 1, [0, 0, 1, 1], 1.0, np.zeros((3, 1, 1)))
    with pytest.raises(TypeError, match='uint8'):
        write_results(path, [*_detections(), wrong])
    _assert_are(read_results(path, truth), _detections())
    assert len([*tmp_path.iterdir()]) == 1


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(image_id=9), 'detection 1 is in image 9'),
        (dict(image_id=[7]), r'detection 1 is in image \[7\]'),
        (dict(category_id=0), 'detection 1 is of category 0, but .* has'),
        (dict(bbox=[1, 2, 3]), 'detection 1: expected bbox'),
        (dict(bbox=None), 'detection 1: expected bbox'),
        (dict(bbox='1234'), 'detection 1: expected bbox .* got .1234. and'),
        (dict(bbox=['1', '2', '3', '4']), 'detection 1: expected bbox'),
        (dict(bbox=[1, 2, [3], 4]), 'detection 1: expected bbox'),
        (dict(score='0.5'), "expected bbox .* and '0.5'"),
        (dict(score=float('inf')), 'detection 1: expected bbox'),
        (dict(uv_data='????'), 'detection 1: uv_data is no PNG'),
        (dict(uv_data=5), 'detection 1: uv_data is no PNG'),
        (dict(uv_shape=None), 'detection 1: uv_shape is None, but uv_data'),
        (dict(uv_shape=5), 'detection 1: uv_shape is 5, but uv_data'),
        (dict(uv_shape=[3, 5, 5]), r'detection 1: uv_shape is \[3, 5, 5\]'),
    ],
)
def test_broken_entries(tmp_path, truth, change, message):
    path = tmp_path / 'results.json'
    write_results(path, _detections())
    entries = json.loads(path.read_text())
    entries[1].update(change)
    path.write_text(json.dumps(entries))
    with pytest.raises(ValueError, match=message):
        read_results(path, truth)


def test_other_categories_are_left_out(tmp_path, truth):
    path = tmp_path / 'results.json'
    first, second = _detections()
    dog = Detection(7, 3, second.box, second.score, second.iuv)
    write_results(path, [first, dog])
    _assert_are(read_results(path, truth), [first])


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('[{"image_id": 7', 'no JSON file or cut off'),
        ('{}', 'holds a dict, expected a list'),
        ('[{"image_id": 7}]', 'detection 0 has no category_id, bbox'),
        ('[5]', 'detection 0'),
    ],
)
def test_other_json(tmp_path, truth, text, message):
    path = tmp_path / 'results.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_results(path, truth)
    with pytest.raises(FileNotFoundError, match='does not exist'):
        read_results(tmp_path / 'missing.json', truth)


class DensePoseChartResultQuantized:
    """As detectron2's class, under whose name it is pickled."""

    def __init__(self, labels_uv_uint8):
        self.labels_uv_uint8 = labels_uv_uint8


@pytest.fixture
def detectron2(monkeypatch):
    """Where the class is found when a file is written."""
    name = 'densepose.structures.chart_result'
    cls = DensePoseChartResultQuantized
    monkeypatch.setattr(cls, '__module__', name)
    module = types.ModuleType(name)
    module.DensePoseChartResultQuantized = cls
    for package in ('densepose', 'densepose.structures', name):
        monkeypatch.setitem(sys.modules, package, module)
    return cls


def _save(path, cls, **fields):
    """Write a file, and forget the module: it is read without it."""
    entries = [
        dict(
            image_id=7,
            category_id=0,
            bbox=detection.box,
            score=detection.score,
            densepose=cls(torch.from_numpy(detection.iuv)),
            segmentation=dict(size=[150, 200], counts='abc'),
        )
        for detection in _detections()
    ]
    entries[1].update(fields)
    torch.save(entries, path)
    for name in [n for n in sys.modules if n.startswith('densepose')]:
        del sys.modules[name]


def test_predictions_of_detectron2(tmp_path, truth, detectron2):
    path = tmp_path / 'coco_densepose_predictions.pth'
    _save(path, detectron2)
    _assert_are(read_results(path, truth), _detections())


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        (dict(category_id=1), 'detection 1 is of class 1, but'),
        (dict(category_id=None), 'detection 1 is of class None, but'),
        (dict(record_id=3), 'detection 1 holds references to a storage'),
        (dict(embedding=3), 'detection 1 holds continuous surface'),
        (dict(densepose=3), 'detection 1 has no densepose.labels_uv_uint8'),
    ],
)
def test_other_predictions_of_detectron2(
    tmp_path, truth, detectron2, fields, message
):
    path = tmp_path / 'coco_densepose_predictions.pth'
    _save(path, detectron2, **fields)
    with pytest.raises(ValueError, match=message):
        read_results(path, truth)


class _Evil:
    def __reduce__(self):
        return print, ('code was run',)


@pytest.mark.parametrize('legacy', [False, True])
def test_files_cannot_run_code(tmp_path, truth, capsys, legacy):
    path = tmp_path / 'predictions.pth'
    torch.save([_Evil()], path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ValueError, match=r'it holds __builtin__\.print'):
        read_results(path, truth)
    path.write_bytes(pickle.dumps(_Evil()))
    with pytest.raises(ValueError, match='truncated or not the predictions'):
        read_results(path, truth)
    path.write_bytes(b'PK\x03\x04 cut off')
    with pytest.raises(ValueError, match='truncated or not the predictions'):
        read_results(path, truth)
    assert 'code was run' not in capsys.readouterr().out
