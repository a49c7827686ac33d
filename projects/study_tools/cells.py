"""Run the cells of a study that have no result yet.

A cell is anything with a `name`; its result is a JSON file of that name,
which appears when the training is done. Runs may be interrupted at will, and
several may work side by side.
"""

import argparse
import fcntl
import json
import multiprocessing
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol


class Cell(Protocol):
    """One training of a study."""

    @property
    def name(self) -> str:
        """Name of the result file."""


def add_arguments(parser: argparse.ArgumentParser, results: Path) -> None:
    """The options that `run_missing` needs.

    Args:
        parser: Of the study.
        results: Folder of the results that are committed.
    """
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--workers', type=int, default=1)
    parser.add_argument(
        '--minutes', type=float, help='begin no cell after so long'
    )
    parser.add_argument(
        '--match', default='', help='only cells whose name has this regex'
    )
    parser.add_argument('--out', type=Path, default=results)
    parser.add_argument(
        '--list', action='store_true', help='name what is missing and stop'
    )


def run_missing(
    cells: Sequence[Cell],
    args: argparse.Namespace,
    train: Callable[..., dict],
) -> None:
    """Train, or list, the cells without a result.

    Args:
        cells: The most telling first.
        args: Of :func:`add_arguments`.
        train: Makes the result of a cell; must be picklable.

    Raises:
        SystemExit: A training failed; the others were done.
    """
    cells = [cell for cell in cells if re.search(args.match, cell.name)]
    missing = [c for c in cells if not result_file(args.out, c).exists()]
    print(f'{len(cells) - len(missing)} of {len(cells)} cells are done')
    if args.list:
        for cell in missing:
            print(cell.name)
        return
    args.out.mkdir(parents=True, exist_ok=True)
    until = None
    if args.minutes is not None:
        until = time.time() + 60 * args.minutes
    work = partial(_work, missing, args.out, until, train)
    if args.workers == 1:
        has_failed = work()
    else:
        context = multiprocessing.get_context('spawn')
        with ProcessPoolExecutor(args.workers, context) as pool:
            futures = [pool.submit(work) for _ in range(args.workers)]
            has_failed = any([future.result() for future in futures])
    if has_failed:
        sys.exit('error: a training failed; see above')


def _work(
    cells: Sequence[Cell],
    out: Path,
    until: float | None,
    train: Callable[..., dict],
) -> bool:
    """Take cells one by one until none is left or the time is up.

    Returns:
        Whether one failed.
    """
    failed = False
    for cell in cells:
        if until is not None and time.time() > until:
            break
        with _claim(out, cell) as ours:
            if not ours:
                continue
            try:
                result = train(cell)
                _write(result_file(out, cell), result)
                print(f'{datetime.now():%H:%M:%S} {cell.name}', flush=True)
            except Exception:
                failed = True
                traceback.print_exc()
    return failed


def result_file(folder: Path, cell: Cell) -> Path:
    """Where the result of a cell is, or will be."""
    return folder / f'{cell.name}.json'


@contextmanager
def _claim(folder: Path, cell: Cell) -> Iterator[bool]:
    """Whether the cell is to be done, and by this worker alone.

    A lock, which ends with the process that holds it, however that ends.
    """
    path = folder / f'{cell.name}.lock'
    with path.open('w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield not result_file(folder, cell).exists()
        path.unlink(missing_ok=True)


def _write(path: Path, result: dict) -> None:
    # Here, since `--list` does without torch.
    from mmdense.distributed.atomic_files import write_atomically

    write_atomically(path, (json.dumps(result, indent=1) + '\n').encode())
