"""Curves are read back from the axes and from the pixels."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from mmdense.recognition.evaluation import IdentificationMetric, IJBMetric
from mmdense.recognition.evaluation.ijb_protocol import IJBResult
from mmdense.recognition.functional import roc_curve, search_gallery
from mmdense.recognition.visualization import (
    CurvesVisualizationHook,
    metric_pictures_hook,
)
from mmdense.recognition.visualization.curve_plots import (
    plot_cmcs,
    plot_dets,
    plot_rocs,
    plot_tpirs,
)


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved, by file name; files are written, too."""
    saved = {}
    save = Figure.savefig

    def record(self, path, **kwargs):
        save(self, path, **kwargs)
        assert cv2.imread(str(path)).std() > 1
        saved[path.name] = self

    monkeypatch.setattr(Figure, 'savefig', record)
    return saved


def _line(figures, name, number=0):
    (axes,) = figures[name].axes
    return axes, axes.get_lines()[number]


def _curve(apart=2.0, seed=0):
    rng = np.random.default_rng(seed)
    issame = np.arange(4000) % 4 == 0
    return roc_curve(rng.normal(size=4000) + apart * issame, issame)


def test_rocs_and_dets(tmp_path, figures):
    curves = {'good': _curve(4.0), 'bad': _curve(1.0)}
    plot_rocs(curves, tmp_path / 'roc.png', floor=1e-3)
    plot_dets(curves, tmp_path / 'det.png', floor=1e-3)
    for number, (name, (fars, tars)) in enumerate(curves.items()):
        axes, line = _line(figures, 'roc.png', number)
        assert axes.get_xscale() == 'log'
        assert line.get_label() == name
        np.testing.assert_array_equal(line.get_ydata(), tars)
        np.testing.assert_array_equal(line.get_xdata(), np.maximum(fars, 1e-3))
        axes, line = _line(figures, 'det.png', number)
        assert axes.get_yscale() == 'log'
        np.testing.assert_allclose(line.get_ydata(), 1 - tars)
    assert figures['roc.png'].axes[0].get_legend() is not None
    # The axis shows all there is at the smallest rate.
    low, _ = figures['roc.png'].axes[0].get_ylim()
    fars, tars = curves['bad']
    assert low <= tars[fars <= 1e-3].max()


def test_a_perfect_roc(tmp_path, figures):
    plot_rocs({'': roc_curve([0.9, 0.1], [1, 0])}, tmp_path / 'roc.png')
    plot_dets({'': roc_curve([0.9, 0.1], [1, 0])}, tmp_path / 'det.png')
    assert figures['roc.png'].axes[0].get_legend() is None


def test_cmcs_and_open_sets(tmp_path, figures):
    rates = np.array([0.5, 0.7, 0.9])
    plot_cmcs({'G1': rates, 'G2': rates / 2}, tmp_path / 'cmc.png')
    _, line = _line(figures, 'cmc.png', 1)
    assert line.get_xdata().tolist() == [1, 2, 3]
    assert line.get_ydata().tolist() == (rates / 2).tolist()
    plot_tpirs({'': (np.array([1e-3, 0.1]), rates[:2])}, tmp_path / 'o.png')
    axes, line = _line(figures, 'o.png')
    assert axes.get_xscale() == 'log'
    assert line.get_ydata().tolist() == [0.5, 0.7]


def _found():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 20
    centers = torch.randn(20, 8, generator=generator)
    rows = centers[labels] + 0.8 * torch.randn(60, 8, generator=generator)
    # Gallery of 14 of the 20.
    keep = labels[20:] < 14
    return search_gallery(
        rows[:20], labels[:20], rows[20:][keep], labels[20:][keep]
    )


def _runner(tmp_path, metric):
    loop = SimpleNamespace(evaluator=SimpleNamespace(metrics=[metric]))
    return SimpleNamespace(
        work_dir=str(tmp_path), val_loop=loop, test_loop=loop
    )


@pytest.mark.parametrize('stage', ['val', 'test'])
def test_pictures_of_an_identification(tmp_path, figures, stage):
    metric = IdentificationMetric()
    metric.found = _found()
    hook = CurvesVisualizationHook(out_dir='pictures')
    getattr(hook, f'after_{stage}_epoch')(_runner(tmp_path, metric))
    files = [file.name for file in (tmp_path / 'pictures').iterdir()]
    assert sorted(files) == ['cmc.png', 'open_set.png']
    _, line = _line(figures, 'cmc.png')
    np.testing.assert_allclose(line.get_ydata(), metric.found.cmc(20))
    _, line = _line(figures, 'open_set.png')
    np.testing.assert_allclose(
        line.get_ydata(), metric.found.tpir(line.get_xdata())
    )


def test_pictures_of_ijb(tmp_path, figures):
    rng = np.random.default_rng(0)
    metric = IJBMetric(variants=['N1D1F1', 'N0D1F1'])
    metric.issame = np.arange(300) < 60
    for name in ('N1D1F1', 'N0D1F1'):
        scores = rng.normal(size=300) + metric.issame
        metric.results_of[name] = IJBResult(
            {}, scores, *roc_curve(scores, metric.issame), {'G1': _found()}
        )
    CurvesVisualizationHook().after_test_epoch(_runner(tmp_path, metric))
    files = [file.stem for file in (tmp_path / 'curves').iterdir()]
    assert sorted(files) == ['cmc', 'det', 'open_set', 'roc', 'scores']
    axes, _ = _line(figures, 'cmc.png')
    labels = [line.get_label() for line in axes.get_lines()]
    assert labels == ['N1D1F1 G1', 'N0D1F1 G1']


def test_other_ranks_and_metrics_draw_nothing(tmp_path, monkeypatch):
    runner = _runner(tmp_path, object())
    CurvesVisualizationHook().after_val_epoch(runner)
    monkeypatch.setattr(metric_pictures_hook, 'is_main_process', lambda: False)
    metric = IdentificationMetric()
    metric.found = _found()
    runner = _runner(tmp_path, metric)
    CurvesVisualizationHook().after_val_epoch(runner)
    assert list(tmp_path.iterdir()) == []
