"""Curves of verification and identification, several in a picture."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

Curve = tuple[NDArray, NDArray]


def plot_rocs(
    curves: dict[str, Curve], path: str | Path, floor: float = 1e-6
) -> None:
    """Draw ROCs with a logarithmic axis of false accepts.

    Args:
        curves: By name, (K,) false accept rates, ascending, and (K,) true
            ones.
        path: The picture to write.
        floor: Smallest rate on the axis; rates below are drawn there.
    """
    figure, axes = _new('Receiver operating characteristic')
    lowest = 1.0
    for name, (fars, tars) in curves.items():
        axes.step(np.maximum(fars, floor), tars, where='post', label=name)
        # Where the axis begins.
        lowest = min(lowest, float(np.max(tars[fars <= floor], initial=0)))
    axes.set(
        xscale='log',
        xlim=(floor, 1),
        ylim=(np.floor(20 * lowest) / 20, 1.005),
        xlabel='false accept rate',
        ylabel='true accept rate',
    )
    _save(figure, axes, path)


def plot_dets(
    curves: dict[str, Curve], path: str | Path, floor: float = 1e-6
) -> None:
    """Draw detection error trade-offs: false rejects over false accepts.

    Martin et al., "The DET curve in assessment of detection task
    performance", 1997; with logarithmic axes, which need no assumption.

    Args:
        curves: As for :func:`plot_rocs`.
        path: The picture to write.
        floor: Smallest false accept rate on the axis.
    """
    figure, axes = _new('Detection error trade-off')
    lowest = 0.1
    for name, (fars, tars) in curves.items():
        misses = 1 - np.asarray(tars)
        axes.step(np.maximum(fars, floor), misses, where='post', label=name)
        lowest = min(lowest, misses[misses > 0].min(initial=1.0))
    axes.set(
        xscale='log',
        yscale='log',
        xlim=(floor, 1),
        ylim=(10 ** np.floor(np.log10(lowest)), 1),
        xlabel='false accept rate',
        ylabel='false reject rate',
    )
    _save(figure, axes, path)


def plot_cmcs(curves: dict[str, NDArray], path: str | Path) -> None:
    """Draw cumulative match characteristics.

    Args:
        curves: By name, (K,) rank-k rates, k = 1, 2, ...
        path: The picture to write.
    """
    figure, axes = _new('Cumulative match characteristic')
    longest = max(map(len, curves.values()), default=1)
    for name, rates in curves.items():
        ranks = np.arange(1, len(rates) + 1)
        axes.plot(ranks, rates, marker='.', label=name)
    axes.set(
        xlim=(0.5, longest + 0.5),
        xlabel='rank',
        ylabel='share of queries with a mate up to it',
    )
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylim(top=1.005)
    _save(figure, axes, path)


def plot_tpirs(
    curves: dict[str, Curve], path: str | Path, floor: float = 1e-4
) -> None:
    """Draw open-set identification: true over false positives.

    Args:
        curves: By name, (K,) false positive identification rates, ascending,
            and (K,) true ones.
        path: The picture to write.
        floor: Smallest false positive identification rate on the axis.
    """
    figure, axes = _new('Open-set identification')
    for name, (fpirs, tpirs) in curves.items():
        axes.step(np.maximum(fpirs, floor), tpirs, where='post', label=name)
    axes.set(
        xscale='log',
        xlim=(floor, 1),
        ylim=(0, 1.005),
        xlabel='false positive identification rate',
        ylabel='true positive identification rate',
    )
    _save(figure, axes, path)


def _new(title: str) -> tuple[Figure, Axes]:
    # Made without pyplot, so that no display is needed and nothing stays
    # open.
    figure = Figure(figsize=(5.5, 4.2), layout='constrained')
    axes = figure.add_subplot(title=title)
    axes.grid(which='both', alpha=0.3)
    return figure, axes


def _save(figure: Figure, axes: Axes, path: str | Path) -> None:
    if axes.get_yscale() == 'linear':
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    if len(axes.get_lines()) > 1:
        axes.legend(fontsize='small')
    figure.savefig(path, dpi=120)
