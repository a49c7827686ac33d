"""The hook draws what the metric of a real validation has found."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import BaseDataElement

from mmdense.recognition.evaluation import VerificationMetric
from mmdense.recognition.visualization import (
    VerificationVisualizationHook,
    metric_pictures_hook,
)
from mmdense.recognition.visualization import verification_hook as module

_FILES = ['hardest_genuine', 'hardest_impostor', 'roc', 'scores']


class _Glyphs:
    """Images whose left half is the identity's colour; BGR, as loaded."""

    def __init__(self, channels):
        rng = np.random.default_rng(0)
        self.images = rng.integers(
            0, 255, size=(12, channels, 16, 16), dtype=np.uint8
        )
        self.images[:, 0] = 200
        pairs = [[i, j] for i in range(12) for j in range(i)]
        self.metainfo = dict(
            pairs=pairs,
            issame=[i % 4 == j % 4 for i, j in pairs],
            fold=[n % 3 for n in range(len(pairs))],
        )

    def __getitem__(self, index):
        return dict(inputs=torch.tensor(self.images[index]))


def _runner(tmp_path, dataset):
    metric = VerificationMetric(num_hardest=5)
    evaluator = Evaluator([metric])
    evaluator.dataset_meta = dataset.metainfo
    rng = np.random.default_rng(1)
    metric.process(
        None,
        [
            dict(embedding=torch.tensor(rng.normal(size=6)), sample_idx=i)
            for i in range(12)
        ],
    )
    evaluator.evaluate(12)
    loop = SimpleNamespace(
        evaluator=evaluator, dataloader=SimpleNamespace(dataset=dataset)
    )
    return SimpleNamespace(
        work_dir=str(tmp_path), val_loop=loop, test_loop=loop
    ), metric


@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('stage', ['val', 'test'])
def test_four_pictures(tmp_path, monkeypatch, channels, stage):
    drawn = {}
    plot = module.plot_pairs

    def record(pairs, captions, path, title):
        drawn[path.stem] = pairs, captions
        plot(pairs, captions, path, title)

    monkeypatch.setattr(module, 'plot_pairs', record)
    dataset = _Glyphs(channels)
    runner, metric = _runner(tmp_path, dataset)
    hook = VerificationVisualizationHook(out_dir='pictures')
    getattr(hook, f'after_{stage}_epoch')(runner, metrics={})
    files = sorted((tmp_path / 'pictures').iterdir())
    assert [file.stem for file in files] == _FILES
    for file in files:
        assert cv2.imread(str(file)).std() > 1
    for kind in ('genuine', 'impostor'):
        pairs, captions = drawn[f'hardest_{kind}']
        numbers = metric.details[''][f'hardest_{kind}']
        assert len(pairs) == len(captions) == 5
        for (left, _), caption, number in zip(
            pairs, captions, numbers, strict=True
        ):
            score = metric.details['']['scores'][number]
            assert caption == f'cosine {score:.2f}'
            index = dataset.metainfo['pairs'][number][0]
            image = dataset.images[index].transpose(1, 2, 0)
            expected = image[:, :, 0] if channels == 1 else image[..., ::-1]
            assert np.array_equal(left, expected)


def test_other_ranks_draw_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(metric_pictures_hook, 'is_main_process', lambda: False)
    runner, _ = _runner(tmp_path, _Glyphs(3))
    VerificationVisualizationHook().after_val_epoch(runner)
    assert list(tmp_path.iterdir()) == []


def test_other_metrics_are_left_alone(tmp_path):
    loop = SimpleNamespace(
        evaluator=SimpleNamespace(metrics=[object()]), dataloader=None
    )
    runner = SimpleNamespace(work_dir=str(tmp_path), val_loop=loop)
    VerificationVisualizationHook().after_val_epoch(runner)
    assert list(tmp_path.iterdir()) == []


def test_the_unflipped_view_is_drawn(tmp_path, monkeypatch):
    """With test-time augmentation a sample is a list of views."""
    plain = _Glyphs(3)

    class _Views(_Glyphs):
        def __getitem__(self, index):
            inputs = super().__getitem__(index)['inputs']
            samples = [
                BaseDataElement(metainfo=dict(flip=flip))
                for flip in (True, False)
            ]
            return dict(inputs=[inputs.flip(-1), inputs], data_samples=samples)

    drawn = []
    monkeypatch.setattr(
        module, 'plot_pairs', lambda pairs, *_: drawn.extend(pairs)
    )
    for dataset in (plain, _Views(3)):
        runner, _ = _runner(tmp_path, dataset)
        VerificationVisualizationHook().after_test_epoch(runner)
    half = len(drawn) // 2
    for expected, got in zip(drawn[:half], drawn[half:], strict=True):
        assert np.array_equal(expected, got)
    assert half == 10


def test_each_pack_has_its_folder(tmp_path):
    runner, metric = _runner(tmp_path, _Glyphs(3))
    details = metric.details.pop('')
    metric.details.update(lfw=details, agedb_30=details)
    VerificationVisualizationHook().after_val_epoch(runner)
    for name in ('lfw', 'agedb_30'):
        folder = tmp_path / 'verification' / name
        assert sorted(file.stem for file in folder.iterdir()) == _FILES
