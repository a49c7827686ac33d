"""Pictures of an evaluation: precision-recall, confusion, where errors are."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from ..evaluation.summary import Evaluation
from ..functional.average_precision import RECALL_LEVELS, UNDEFINED
from ..functional.point_errors import PointErrors, confusion, mean_by_vertex
from ..surface import BodySurface
from ..surface.parts import NUM_PARTS, PART_NAMES
from .body_views import draw_views, spread_over_mesh

_TITLES = {'gps': 'GPS', 'gpsm': 'GPSm', 'segm': 'mask IoU'}
_ERROR_COLORS = 'turbo'
_NO_POINTS = (0.82, 0.82, 0.82)


def draw_evaluation(
    evaluation: Evaluation,
    surface: BodySurface | None,
    folder: str | Path,
    limit: float = 0.2,
) -> list[Path]:
    """All pictures that an evaluation has data for.

    `precision_recall.png`; `confusion.png` of parts, if points were found;
    with a surface `error_charts.png`, and `error_body.png` if it has a mesh.

    Args:
        evaluation: What to draw.
        surface: What it was measured on.
        folder: Where to; made if needed.
        limit: Metres, the end of the colour scale of errors.

    Returns:
        The files.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / 'precision_recall.png']
    plot_precision_recall(evaluation, files[0])
    errors = evaluation.errors
    if not len(errors):
        return files
    files.append(folder / 'confusion.png')
    plot_confusion(errors, files[-1])
    if surface is None:
        return files
    files.append(folder / 'error_charts.png')
    plot_error_charts(errors, surface, files[-1], limit)
    if surface.vertices is not None and surface.faces is not None:
        files.append(folder / 'error_body.png')
        draw_error_body(errors, surface, files[-1], limit)
    return files


def plot_precision_recall(evaluation: Evaluation, path: str | Path) -> None:
    """Curves of each measure, one for each threshold.

    Of several categories the mean over those that have people.

    Args:
        evaluation: With the curves.
        path: The picture to write.
    """
    count = len(evaluation.curves)
    figure = Figure(figsize=(4.2 * count, 3.9), layout='constrained')
    colors = matplotlib.colormaps['viridis'](
        np.linspace(0, 0.95, len(evaluation.thresholds))
    )
    panels = figure.subplots(1, count, squeeze=False)[0]
    for axes, (measure, curves) in zip(
        panels, evaluation.curves.items(), strict=True
    ):
        known = [c for c in curves if c.recall[0] > UNDEFINED]
        for level, threshold in enumerate(evaluation.thresholds):
            if known:
                shown = np.mean([c.precision[level] for c in known], axis=0)
                axes.plot(
                    RECALL_LEVELS,
                    shown,
                    color=colors[level],
                    label=f'{threshold:.2f}',
                )
        title = (
            f'{_TITLES[measure]}, AP {evaluation.tables[measure]["AP"]:.1f}'
        )
        axes.set(title=title, xlim=(0, 1), ylim=(0, 1.02), xlabel='recall')
        axes.grid(alpha=0.3)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1))
    panels[0].set_ylabel('precision')
    handles, labels = panels[-1].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc='outside right center',
        fontsize='small',
        title='threshold',
    )
    figure.savefig(path, dpi=110)


def plot_confusion(errors: PointErrors, path: str | Path) -> None:
    """Annotated parts against predicted ones, rows adding up to 100 %.

    Args:
        errors: The points.
        path: The picture to write.
    """
    counts = confusion(errors)[1:].astype(float)
    totals = counts.sum(axis=1, keepdims=True)
    shares = 100 * counts / np.maximum(totals, 1)
    figure = Figure(figsize=(9, 8), layout='constrained')
    axes = figure.add_subplot(title='annotated (rows) predicted as (columns)')
    # The root makes small shares visible.
    picture = axes.imshow(np.sqrt(shares), cmap='magma', vmin=0, vmax=10)
    names = [name.replace('_', ' ') for name in PART_NAMES]
    columns = ['not covered', *names[1:]]
    axes.set_xticks(range(NUM_PARTS + 1), columns, rotation=90, fontsize=7)
    axes.set_yticks(range(NUM_PARTS), names[1:], fontsize=7)
    for row, column in zip(*np.nonzero(shares >= 5), strict=True):
        axes.text(
            column,
            row,
            f'{shares[row, column]:.0f}',
            ha='center',
            va='center',
            fontsize=6,
            color='black' if shares[row, column] > 40 else 'white',
        )
    bar = figure.colorbar(picture, ax=axes, shrink=0.7, label='percent')
    bar.set_ticks([0, 1, 2, 5, 10], labels=['0', '1', '4', '25', '100'])
    figure.savefig(path, dpi=110)


def plot_error_charts(
    errors: PointErrors,
    surface: BodySurface,
    path: str | Path,
    limit: float = 0.2,
) -> None:
    """Mean error at the vertices that have points, in the charts.

    Args:
        errors: The points.
        surface: Its charts.
        path: The picture to write.
        limit: Metres, the end of the colour scale.
    """
    mean, count = mean_by_vertex(errors, surface.num_vertices, limit)
    figure = Figure(figsize=(10, 7), layout='constrained')
    panels = figure.subplots(4, 6)
    for part, axes in enumerate(panels.ravel(), start=1):
        mine = surface.part == part
        seen = mine & (count[surface.vertex] > 0)
        axes.scatter(*surface.uv[mine].T, s=1.5, color=_NO_POINTS, lw=0)
        axes.scatter(
            *surface.uv[seen].T,
            c=100 * mean[surface.vertex[seen]],
            s=7,
            lw=0,
            cmap=_ERROR_COLORS,
            vmin=0,
            vmax=100 * limit,
        )
        axes.set_title(PART_NAMES[part].replace('_', ' '), fontsize=8)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect='equal')
        axes.set_xticks([])
        axes.set_yticks([])
    _color_bar(figure, panels, limit)
    figure.savefig(path, dpi=110)


def draw_error_body(
    errors: PointErrors,
    surface: BodySurface,
    path: str | Path,
    limit: float = 0.2,
) -> None:
    """The body from four sides, coloured by the mean error around a place.

    Args:
        errors: The points.
        surface: With a mesh.
        path: The picture to write.
        limit: Metres, the end of the colour scale.

    Raises:
        ValueError: The surface has no mesh.
    """
    mean, count = mean_by_vertex(errors, surface.num_vertices, limit)
    mean = spread_over_mesh(surface, mean, count)
    rgb = matplotlib.colormaps[_ERROR_COLORS](mean / limit)[:, :3]
    rgb[np.isnan(mean)] = _NO_POINTS
    views = draw_views(surface, rgb, height=520)
    figure = Figure(figsize=(11, 5.4), layout='constrained')
    axes = figure.add_subplot(title='mean geodesic error; grey: no points')
    axes.imshow(views)
    axes.set_axis_off()
    _color_bar(figure, axes, limit)
    figure.savefig(path, dpi=110)


def _color_bar(figure: Figure, axes: NDArray | object, limit: float) -> None:
    colors = ScalarMappable(Normalize(0, 100 * limit), _ERROR_COLORS)
    figure.colorbar(
        colors, ax=axes, shrink=0.8, extend='max', label='mean error, cm'
    )
