"""ROC, score histogram and hardest pairs, as pictures."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

# Figures are made without pyplot, so that no display is needed and nothing
# stays open.
_GENUINE, _IMPOSTOR = '#1b7837', '#b2182b'


def plot_roc(
    fars: NDArray, tars: NDArray, path: str | Path, floor: float = 1e-4
) -> None:
    """Draw the ROC with a logarithmic axis of false accepts.

    Args:
        fars: (K,) false accept rates, ascending.
        tars: (K,) true accept rates.
        path: The picture to write.
        floor: Smallest rate on the axis; rates below are drawn there.
    """
    figure = Figure(figsize=(5, 4), layout='constrained')
    axes = figure.add_subplot()
    axes.step(np.maximum(fars, floor), tars, where='post', color=_GENUINE)
    axes.set(
        xscale='log',
        xlim=(floor, 1),
        ylim=(0, 1.01),
        xlabel='false accept rate',
        ylabel='true accept rate',
        title='Receiver operating characteristic',
    )
    axes.grid(which='both', alpha=0.3)
    figure.savefig(path, dpi=120)


def plot_scores(scores: NDArray, issame: NDArray, path: str | Path) -> None:
    """Draw the histograms of genuine and impostor scores.

    Args:
        scores: (P,) cosines.
        issame: (P,) bool.
        path: The picture to write.
    """
    figure = Figure(figsize=(5, 4), layout='constrained')
    axes = figure.add_subplot()
    low, high = scores.min(), scores.max()
    if high - low < 1e-6:  # a collapsed network; bins need a width
        low, high = low - 0.05, high + 0.05
    bins = np.linspace(low, high, 61)
    for mask, name, color in (
        (~issame, 'impostor', _IMPOSTOR),
        (issame, 'genuine', _GENUINE),
    ):
        axes.hist(
            scores[mask],
            bins,
            density=True,
            alpha=0.6,
            color=color,
            label=f'{name} ({mask.sum()})',
        )
    axes.set(xlabel='cosine', ylabel='density', title='Scores of pairs')
    # Below the axes: inside, it would hide bars.
    figure.legend(loc='outside lower center', ncols=2)
    figure.savefig(path, dpi=120)


def plot_pairs(
    pairs: list[tuple[NDArray, NDArray]],
    captions: list[str],
    path: str | Path,
    title: str,
    columns: int = 6,
) -> None:
    """Draw pairs of images side by side, in a grid.

    Args:
        pairs: Images of shape (H, W, 3) or (H, W), uint8.
        captions: One line for each pair.
        path: The picture to write.
        title: The heading.
        columns: Pairs per row.
    """
    rows = max(-(-len(pairs) // columns), 1)
    figure = Figure(
        figsize=(2.2 * columns, 1.5 * rows + 0.5), layout='constrained'
    )
    figure.suptitle(title)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.axis('off')
    for axes, (left, right), caption in zip(
        grid, pairs, captions, strict=False
    ):
        gap = np.full((left.shape[0], 2, *left.shape[2:]), 128, left.dtype)
        axes.imshow(
            np.concatenate([left, gap, right], axis=1), cmap='gray', vmin=0,
            vmax=255,
        )  # fmt: skip
        axes.set_title(caption, fontsize=7)
    figure.savefig(path, dpi=120)
