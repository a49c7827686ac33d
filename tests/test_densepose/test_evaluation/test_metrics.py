"""The metrics in mmengine's evaluators, on one rank and on several."""

import json
import re

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from mmdense.densepose.evaluation import (
    DensePoseCocoMetric,
    DensePoseUVMetric,
)
from mmdense.densepose.evaluation.ground_truth import DensePoseGroundTruth
from mmdense.densepose.evaluation.results_file import read_results
from mmdense.densepose.structures import DensePoseResults
from mmdense.registry import METRICS
from tests.densepose_eval import (
    FOLDER,
    MEASURES,
    RESULTS,
    copy_surface,
    read_annotations,
    read_set,
)

from .people import HEIGHT, WIDTH, make_content, make_surface, perfect

SET = 'noisy'


def _sample(image_id, boxes, scores, iuvs):
    """As mmdet hands it to metrics."""
    boxes = torch.as_tensor(boxes).clone().reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    instances = InstanceData(
        bboxes=boxes,
        scores=torch.as_tensor(scores),
        labels=torch.zeros(len(boxes), dtype=torch.int64),
        densepose=DensePoseResults(iuvs),
    )
    return dict(img_id=image_id, pred_instances=dict(instances.items()))


def _golden_samples(name):
    arrays, iuvs = read_set(name)
    for image in read_annotations()['images']:
        rows = np.flatnonzero(arrays['image_id'] == image['id'])
        # To single precision, as a model's boxes are.
        yield _sample(
            image['id'],
            arrays['bbox_xywh'][rows],
            arrays['score'][rows],
            [iuvs[row] for row in rows],
        )


def _run(metric, samples, size=None, batch_size=3):
    evaluator = Evaluator([metric])
    evaluator.dataset_meta = dict(classes=('person',))
    for start in range(0, len(samples), batch_size):
        batch = samples[start : start + batch_size]
        metric.process(None, batch)
    return evaluator.evaluate(size or len(samples))


@pytest.fixture
def tiny(tmp_path):
    """An annotation file of two people, and a sample that is perfect."""
    annotations, found = perfect()
    path = tmp_path / 'annotations.json'
    path.write_text(json.dumps(make_content(annotations)))
    return str(path), _sample(7, found.boxes, found.scores, found.iuvs)


def _tiny_metric(path, **options):
    return DensePoseCocoMetric(path, surface=make_surface(), **options)


@pytest.mark.golden
def test_golden_tables_from_a_config(tmp_path):
    init_default_scope('mmdet')
    evaluator = Evaluator(
        [
            dict(
                type='mmdense.DensePoseCocoMetric',
                ann_file=str(FOLDER / 'eval_gt.json'),
                surface=str(copy_surface(tmp_path)),
                by_part=True,
            ),
            dict(
                type='mmdense.DensePoseUVMetric',
                ann_file=str(FOLDER / 'eval_gt.json'),
            ),
        ]
    )
    evaluator.dataset_meta = dict(classes=('person',))
    samples = list(_golden_samples(SET))
    for sample in samples:
        for metric in evaluator.metrics:
            metric.process(None, [sample])
    metrics = evaluator.evaluate(len(samples))
    for name, table in RESULTS['results'][SET].items():
        for key, value in table.items():
            ours = metrics[f'densepose/{MEASURES[name]}_{key}']
            assert ours == pytest.approx(value, abs=1e-6)
    shared = [k for k in metrics if k.startswith('densepose_uv/')]
    assert 'densepose_uv/segm_AP50' in shared
    assert 'densepose_uv/part_accuracy' in shared
    for key in shared:
        assert metrics[key] == metrics[key.replace('pose_uv/', 'pose/')]


def _on_a_rank(name, folder, size, options):
    """What each rank gets of its share of the samples, and what it kept."""
    samples = list(_golden_samples(name))
    metric = DensePoseCocoMetric(
        str(FOLDER / 'eval_gt.json'), folder, **options
    )
    mine = [samples[i] for i in DefaultSampler(samples, shuffle=False)]
    metrics = _run(metric, mine, size=len(samples))
    return metrics, len(mine)


@pytest.mark.golden
def test_ranks_agree_with_one(ranks, tmp_path):
    """Three do not divide the images, so some are evaluated twice."""
    folder = str(copy_surface(tmp_path))
    # With ties among the scores.
    name = 'extra_false_positives'
    count = len(read_annotations()['images'])
    prefix = str(tmp_path / 'saved')
    alone = _on_a_rank(name, folder, count, {})[0]
    outcomes = ranks(3)(
        _on_a_rank, name, folder, count, dict(outfile_prefix=prefix)
    )
    assert [share for _, share in outcomes] == [-(-count // 3)] * 3
    for metrics, _ in outcomes:
        assert metrics == alone
    truth = DensePoseGroundTruth(FOLDER / 'eval_gt.json')
    saved = read_results(f'{prefix}.densepose.json', truth)
    total = sum(len(found.scores) for found in saved.values())
    assert total == len(read_set(name)[1])


def _fail_on_a_rank(path, image_id, bad_rank):
    from mmdense.distributed.collectives import rank

    _, found = perfect()
    iuvs = found.iuvs
    if rank() == bad_rank:
        iuvs = [iuvs[0], iuvs[1][:, :-3]]
    metric = _tiny_metric(path)
    _run(metric, [_sample(image_id, found.boxes, found.scores, iuvs)], size=2)


def test_what_fails_on_one_rank_raises_on_all(ranks, tiny):
    path, _ = tiny
    first, second = ranks(2).outcomes(_fail_on_a_rank, path, 7, 1)
    assert re.search('rank 1 failed: .*image 7: an IUV of', str(first))
    assert isinstance(second, ValueError)


def _fail_on_rank_0(path, prefix):
    _, found = perfect()
    metric = _tiny_metric(path, outfile_prefix=prefix)
    _run(metric, [_sample(7, found.boxes, found.scores, found.iuvs)], size=2)


def test_what_fails_on_rank_0_raises_on_all(ranks, tiny, tmp_path):
    path, _ = tiny
    (tmp_path / 'file').write_text('no folder')
    prefix = str(tmp_path / 'file' / 'saved')
    first, second = ranks(2).outcomes(_fail_on_rank_0, path, prefix)
    assert isinstance(first, OSError)
    assert 'rank 0 failed' in str(second)


def test_a_metric_works_again_after_an_error(tiny):
    path, sample = tiny
    metric = _tiny_metric(path, strict=True)
    with pytest.raises(ValueError, match='image 8 is not in'):
        _run(metric, [{**sample, 'img_id': 8}])
    assert _run(metric, [sample])['densepose/gps_AP'] == pytest.approx(100)
    # A second epoch is as good as the first.
    assert _run(metric, [sample])['densepose/gps_AP'] == pytest.approx(100)
    assert metric.evaluation.num_people == 2


def test_kappa_and_thresholds(tiny):
    path, sample = tiny
    metrics = _run(
        _tiny_metric(path, kappa=0.255, lowest_threshold=0.2), [sample]
    )
    assert {'densepose/gps_AP20', 'densepose/gps_AP40'} <= metrics.keys()


def test_single_precision_boxes(tiny):
    """Their sizes are rounded, and IUVs fit all the same."""
    path, sample = tiny
    fields = sample['pred_instances']
    fields['bboxes'] = fields['bboxes'].float()
    metrics = _run(_tiny_metric(path, strict=True), [sample])
    assert metrics['densepose/gps_AP'] == pytest.approx(100)


def test_bfloat16(tiny):
    """Sizes are those of bfloat16, as the head makes IUVs of."""
    path, _ = tiny
    corners = torch.tensor([[1.0, 0.0, 302.0, 40.0]], dtype=torch.bfloat16)
    # 301, which bfloat16 does not have.
    columns = int(corners[0, 2] - corners[0, 0])
    assert columns == 300
    iuv = np.zeros((3, 40, columns), dtype=np.uint8)
    sample = _sample(7, np.zeros((1, 4)), [0.75], [iuv])
    fields = sample['pred_instances']
    fields['bboxes'], fields['scores'] = corners, fields['scores'].bfloat16()
    metric = _tiny_metric(path)
    metric.process(None, [sample])
    (((result,), _),) = metric.results
    assert result.scores == [0.75]


@pytest.mark.parametrize('format_only', [False, True])
def test_images_of_another_size(tiny, tmp_path, format_only):
    path, sample = tiny
    options = dict(outfile_prefix=str(tmp_path / 'saved'))
    metric = _tiny_metric(path, format_only=format_only, **options)
    good = dict(ori_shape=(HEIGHT, WIDTH), img_path='images/a.jpg')
    metric.process(None, [{**sample, **good}])
    turned = {**good, 'ori_shape': (WIDTH, HEIGHT)}
    with pytest.raises(
        ValueError,
        match=r'image 7 \(images/a\.jpg\) is 200 x 150 \(height x width\), '
        r'but .*annotations\.json says 150 x 200',
    ):
        metric.process(None, [{**sample, **turned}])


def test_parts_that_do_not_exist(tiny):
    """With a surface and without."""
    path, sample = tiny
    sample['pred_instances']['densepose'][1][0, 5:50, 5:50] = 30
    for metric in (_tiny_metric(path), DensePoseUVMetric(path)):
        with pytest.raises(
            ValueError,
            match=r'image 7: part labels must be in 0\.\.24, got 30',
        ):
            metric.process(None, [sample])


def test_nothing_detected(tiny):
    path, _ = tiny
    empty = _sample(7, np.zeros((0, 4)), np.zeros(0), [])
    metrics = _run(_tiny_metric(path), [empty])
    assert metrics['densepose/gpsm_AP'] == -1
    assert 'densepose/mean_cm' not in metrics
    metrics = _run(_tiny_metric(path, strict=True), [empty])
    assert metrics['densepose/gpsm_AP'] == 0


def test_only_saving(tiny, tmp_path):
    path, sample = tiny
    prefix = str(tmp_path / 'new' / 'saved')
    metric = _tiny_metric(path, outfile_prefix=prefix, format_only=True)
    assert _run(metric, [sample]) == {}
    read = read_results(f'{prefix}.densepose.json', DensePoseGroundTruth(path))
    np.testing.assert_array_equal(
        read[7, 1].unpacked().iuvs[1], sample['pred_instances']['densepose'][1]
    )


@pytest.mark.parametrize('name', ['bboxes', 'densepose'])
def test_missing_fields(tiny, name):
    path, sample = tiny
    del sample['pred_instances'][name]
    with pytest.raises(KeyError, match=f'lacks .*{name}'):
        _run(_tiny_metric(path), [sample])


@pytest.mark.parametrize(
    ('field', 'value', 'error', 'message'),
    [
        ('labels', torch.tensor([0, 1]), ValueError, 'label 1 is predicted'),
        ('densepose', [1, 2], TypeError, 'must be DensePoseResults'),
        ('densepose', DensePoseResults([]), ValueError, '2 boxes, but dense'),
    ],
)
def test_wrong_fields(tiny, field, value, error, message):
    path, sample = tiny
    sample['pred_instances'][field] = value
    with pytest.raises(error, match=message):
        _run(_tiny_metric(path), [sample])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(format_only=True), 'set outfile_prefix'),
        (dict(kappa=0), 'kappa must be positive'),
        (dict(lowest_threshold=0), 'thresholds must be'),
        (dict(max_detections=0), 'max_detections must be'),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        _tiny_metric('missing.json', **options)


def test_surface_from_a_config():
    with pytest.raises(FileNotFoundError):
        METRICS.build(
            dict(
                type='DensePoseCocoMetric', ann_file='a', surface='missing.npz'
            )
        )
