"""The plots of the study."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from projects.sampling_study.grid import (
    LONG_NOISES,
    LONG_STEPS,
    NOISES,
    RATES,
    SAMPLERS,
    STEPS,
    UPDATES,
    Cell,
)
from projects.sampling_study.results_io import Results, values_of

# From a palette that colour-blind readers can tell apart (Okabe and Ito).
_COLORS = {'cosface': '#0072b2', 'arcface': '#d55e00'}
_SEED_MARKERS = 'osD^v<>'


def plot_rates(results: Results, path: Path) -> None:
    """Accuracy by sample rate: a panel per noise, a line per margin.

    A mark is a training, its shape the seed; lines go through the means.
    """
    figure = Figure(figsize=(11, 3.4), layout='constrained')
    panels = figure.subplots(1, len(NOISES), sharey=True)
    for panel, noise in zip(panels, NOISES, strict=True):
        for margin, color in _COLORS.items():
            means = {}
            for rate in sorted(RATES):
                values = values_of(results, Cell(noise, rate, margin))
                for seed, value in values.items():
                    # Beside each other, where the margins are alike.
                    side = 0.96 if margin == 'cosface' else 1.04
                    _mark(panel, rate * side, value, seed, color, 0.6)
                if values:
                    means[rate] = np.mean(list(values.values()))
            if means:
                panel.plot(*zip(*means.items(), strict=True), color=color)
        panel.set_xscale('log')
        panel.set_xticks(sorted(RATES), [f'{r:g}' for r in sorted(RATES)])
        panel.minorticks_off()
        panel.set(title=noise.replace('_', ' '), xlabel='sample rate')
        panel.grid(alpha=0.3)
    panels[0].set_ylabel('accuracy on unseen identities, %')
    _legend(figure, results, _COLORS)
    figure.savefig(path, dpi=120)


def plot_differences(results: Results, path: Path) -> None:
    """Accuracy of a rate less that of all classes, a mark per pair."""
    rates = (0.3, 0.1, 0.01)
    figure = Figure(figsize=(9, 3.6), layout='constrained')
    panels = figure.subplots(1, len(rates), sharey=True)
    for panel, rate in zip(panels, rates, strict=True):
        panel.axhline(0, color='black', linewidth=1)
        for place, noise in enumerate(NOISES):
            every = []
            for shift, margin in ((-0.15, 'cosface'), (0.15, 'arcface')):
                full = values_of(results, Cell(noise, 1.0, margin))
                part = values_of(results, Cell(noise, rate, margin))
                for seed in sorted(full.keys() & part.keys()):
                    every.append(part[seed] - full[seed])
                    color = _COLORS[margin]
                    _mark(panel, place + shift, every[-1], seed, color, 0.7)
            if every:
                panel.hlines(
                    np.mean(every),
                    place - 0.3,
                    place + 0.3,
                    color='grey',
                    linewidth=2,
                )
        names = [noise.replace('_', ' ') for noise in NOISES]
        panel.set_xticks(range(len(NOISES)), names)
        panel.set(title=f'rate {rate:g} less all classes')
        panel.grid(axis='y', alpha=0.3)
    panels[0].set_ylabel('accuracy, percentage points')
    _legend(figure, results, _COLORS)
    figure.savefig(path, dpi=120)


def plot_samplers(results: Results, path: Path) -> None:
    """Accuracy by sampler and update rule, a mark per training."""
    figure = Figure(figsize=(10, 3.4), layout='constrained')
    panels = figure.subplots(1, 2)
    kinds = [(s, u) for s in SAMPLERS for u in UPDATES]
    for panel, noise in zip(panels, ('clean', 'conflict'), strict=True):
        base = Cell(noise, 0.1)
        for place, (sampler, update) in enumerate(kinds):
            values = values_of(
                results, replace(base, sampler=sampler, update=update)
            )
            for seed, value in values.items():
                panel.plot(
                    place,
                    value,
                    _marker(seed),
                    color=_COLORS['cosface'],
                    alpha=0.7,
                    markeredgewidth=0,
                )
            if values:
                mean = np.mean(list(values.values()))
                panel.hlines(mean, place - 0.25, place + 0.25, color='grey')
        panel.set_xticks(
            range(len(kinds)),
            ['\n'.join(kind) for kind in kinds],
            fontsize=9,
        )
        panel.set_xlim(-0.5, len(kinds) - 0.5)
        panel.set(title=f'{noise}, rate 0.1')
        panel.grid(axis='y', alpha=0.3)
    panels[0].set_ylabel('accuracy on unseen identities, %')
    _legend(figure, results, {})
    figure.savefig(path, dpi=120)


def plot_long(results: Results, path: Path) -> None:
    """Accuracy by number of steps, of all classes and of a tenth."""
    figure = Figure(figsize=(9, 3.4), layout='constrained')
    panels = figure.subplots(1, len(LONG_NOISES), sharey=True)
    colors = {1.0: 'black', 0.1: '#009e73'}
    for panel, noise in zip(panels, LONG_NOISES, strict=True):
        for rate, color in colors.items():
            means = {}
            for steps in (STEPS, LONG_STEPS):
                values = values_of(results, Cell(noise, rate, steps=steps))
                for seed, value in values.items():
                    _mark(panel, steps, value, seed, color, 0.6)
                if values:
                    means[steps] = np.mean(list(values.values()))
            if means:
                panel.plot(*zip(*means.items(), strict=True), color=color)
        panel.set_xticks([STEPS, LONG_STEPS])
        panel.set_xlim(0.6 * STEPS, LONG_STEPS + 0.4 * STEPS)
        panel.set(title=noise, xlabel='steps')
        panel.grid(alpha=0.3)
    panels[0].set_ylabel('accuracy on unseen identities, %')
    _legend(
        figure, results, {f'rate {rate:g}': c for rate, c in colors.items()}
    )
    figure.savefig(path, dpi=120)


def _mark(
    panel: Axes, x: float, y: float, seed: int, color: str, alpha: float
) -> None:
    panel.plot(
        x,
        y,
        _marker(seed),
        color=color,
        alpha=alpha,
        markersize=5,
        markeredgewidth=0,
    )


def _marker(seed: int) -> str:
    return _SEED_MARKERS[seed % len(_SEED_MARKERS)]


def _legend(figure: Figure, results: Results, colors: dict[str, str]) -> None:
    """What colours and shapes of marks mean, beside the panels."""
    axes = figure.axes[0]
    handles = [
        axes.plot([], [], color=color, label=name)[0]
        for name, color in colors.items()
    ]
    handles += [
        axes.plot([], [], _marker(seed), color='grey', label=f'seed {seed}')[0]
        for seed in sorted({cell.seed for cell in results})
    ]
    figure.legend(handles=handles, loc='outside right center', frameon=False)
