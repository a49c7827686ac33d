"""The plots of the study."""

from collections.abc import Mapping
from itertools import product
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from projects.dense_points_study.grid import (
    BALANCED,
    BALANCERS,
    IMAGES,
    LOSSES,
    POINTS,
    RATES,
    Cell,
)
from projects.dense_points_study.results_io import (
    Results,
    num_failed,
    values_of,
)
from projects.study_tools.statistics import differences

# From a palette that colour-blind readers can tell apart (Okabe and Ito).
_COLORS = {'sum': '#d55e00', 'point': '#0072b2'}


def plot_rates(results: Results, path: Path) -> None:
    """AP by learning rate: a panel per condition, a line per loss.

    A mark is a training, a cross one that failed; lines go through means.
    """
    figure = Figure(figsize=(10, 5.6), layout='constrained')
    panels = figure.subplots(
        len(IMAGES), len(POINTS), sharex=True, sharey=True
    )
    for (images, points), panel in zip(
        product(IMAGES, POINTS), panels.flat, strict=True
    ):
        for loss, color in _COLORS.items():
            _line(panel, results, loss, images, points, color)
        panel.set_xscale('log')
        panel.set_xticks(RATES, [f'{rate:g}' for rate in RATES])
        panel.minorticks_off()
        panel.set_title(f'{images} images, points x {points:g}')
        panel.grid(alpha=0.3)
    for panel in panels[-1]:
        panel.set_xlabel('learning rate')
    for panel in panels[:, 0]:
        panel.set_ylabel('AP (GPSm)')
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside right upper', frameon=False)
    figure.savefig(path, dpi=120)


def _line(
    panel: Axes,
    results: Results,
    loss: str,
    images: int,
    points: float,
    color: str,
) -> None:
    # Beside each other, where the two are alike.
    side = 0.95 if loss == 'sum' else 1.05
    means = []
    for rate in RATES:
        setting = Cell(loss, rate, images, points)
        values = list(values_of(results, setting).values())
        failed = num_failed(results, setting)
        means.append(np.mean(values) if values else np.nan)
        values.sort()
        for marker, part, size in (
            ('x', values[:failed], 9),
            ('o', values[failed:], 6),
        ):
            panel.plot(
                [rate * side] * len(part),
                part,
                marker,
                color=color,
                markersize=size,
                markeredgewidth=2 if marker == 'x' else 1,
            )
    panel.plot(np.array(RATES) * side, means, color=color, label=loss)


def plot_forms(results: Results, path: Path) -> None:
    """AP of each form, weight and balancer, less the reference's."""
    forms = {name: Cell(name) for name in LOSSES if name != 'point'}
    balancers = {
        f'{name}, w {LOSSES[loss]["weight"]:g}': Cell(loss, balancer=name)
        for loss, name in product(BALANCED, BALANCERS)
        if name != 'static'
    }
    figure = Figure(figsize=(10, 3.6), layout='constrained')
    panels = figure.subplots(
        1, 2, sharey=True, width_ratios=(len(forms), len(balancers))
    )
    _differences(panels[0], results, forms, 'loss of points')
    _differences(panels[1], results, balancers, 'balancer')
    panels[0].set_ylabel('AP (GPSm) less reference')
    figure.savefig(path, dpi=120)


def _differences(
    panel: Axes, results: Results, settings: Mapping[str, Cell], title: str
) -> None:
    base = values_of(results, Cell())
    panel.axhline(0, color='black', linewidth=1)
    for place, setting in enumerate(settings.values()):
        pairs = differences(values_of(results, setting), base)
        panel.plot([place] * len(pairs), pairs, 'o', color='#0072b2')
        if pairs:
            panel.plot(place, np.mean(pairs), '_', color='black', ms=18)
    panel.set_xticks(range(len(settings)), settings, rotation=30, ha='right')
    panel.set_title(title)
    panel.grid(alpha=0.3, axis='y')
