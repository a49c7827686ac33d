"""Draw the curves of one or more training runs."""

import argparse
import json
import sys
from pathlib import Path

from matplotlib.figure import Figure

# Never drawn: they say how fast, not how well.
_SKIPPED = {'time', 'data_time', 'memory', 'step', 'epoch', 'iter', 'base_lr'}


def read_scalars(work_dir: Path) -> list[dict]:
    """All logged scalars of a work dir, resumed runs joined.

    Args:
        work_dir: Holds `<time>/vis_data/scalars.json`, one for each start.

    Returns:
        One dict a line, in the order written; where a resumed run repeats
        steps, its values replace the earlier ones.

    Raises:
        FileNotFoundError: Nothing was logged there.
        ValueError: A line of a file is none of a log.
    """
    files = sorted(work_dir.glob('*/vis_data/scalars.json'))
    if not files:
        raise FileNotFoundError(
            f'{work_dir} holds no */vis_data/scalars.json; give the work dir '
            'of a training run that used LocalVisBackend'
        )
    merged: dict[tuple, dict] = {}
    for file in files:
        for number, line in enumerate(file.read_text().splitlines(), 1):
            row = _row(line, f'{file}, line {number}')
            kind = 'train' if 'loss' in row else 'val'
            merged[kind, row['step']] = row
    return list(merged.values())


def _row(line: str, where: str) -> dict:
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        row = None
    if not isinstance(row, dict) or 'step' not in row:
        raise ValueError(
            f'{where} is cut off or no line of a log: expected an object '
            f'with step, got {line[:60]!r}; take the line out'
        )
    return row


def collect(rows: list[dict]) -> dict[str, tuple[list, list, str]]:
    """Curves by name.

    Args:
        rows: As from :func:`read_scalars`.

    Returns:
        For each name the x values, the y values and what x counts:
        iterations for training, epochs for validation.
    """
    curves: dict[str, tuple[list, list, str]] = {}
    for row in rows:
        axis = 'iteration' if 'loss' in row else 'epoch'
        for name, value in row.items():
            if name in _SKIPPED or not isinstance(value, int | float):
                continue
            xs, ys, _ = curves.setdefault(name, ([], [], axis))
            xs.append(row['step'])
            ys.append(value)
    return curves


def plot(runs: dict[str, dict], path: Path, columns: int = 3) -> None:
    """Draw each curve of all runs in a panel of its own.

    Args:
        runs: Curves by name, by run.
        path: The picture to write.
        columns: Panels per row.

    Raises:
        ValueError: There is no curve.
    """
    names = list(dict.fromkeys(n for run in runs.values() for n in run))
    if not names:
        raise ValueError(
            f'nothing to draw: {", ".join(runs)} logged no losses or metrics, '
            'as of runs that stopped before they logged any'
        )
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(4 * columns, 2.8 * rows), layout='constrained')
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels[len(names) :]:
        panel.axis('off')
    for panel, name in zip(panels, names, strict=False):
        for run, curves in runs.items():
            if name in curves:
                xs, ys, axis = curves[name]
                marker = 'o' if axis == 'epoch' else None
                panel.plot(xs, ys, marker=marker, markersize=3, label=run)
                panel.set_xlabel(axis)
        panel.set_title(name, fontsize=9)
        panel.grid(alpha=0.3)
    if len(runs) > 1:
        panels[0].legend(fontsize=7)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Parse the arguments and draw; errors of the user end in one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'work_dirs', nargs='+', type=Path, help='work dirs of training runs'
    )
    parser.add_argument(
        '--out', type=Path, help='the picture; default WORK_DIR/curves.png'
    )
    args = parser.parse_args()
    out = args.out or args.work_dirs[0] / 'curves.png'
    try:
        runs = {str(d): collect(read_scalars(d)) for d in args.work_dirs}
        plot(runs, out)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    print(f'wrote {out}')


if __name__ == '__main__':
    main()
