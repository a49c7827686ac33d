"""Record files (.rec, .idx) from images and back; no mxnet is needed.

    python tools/dataset_converters/recordio.py pack SOURCE OUT.rec
    python tools/dataset_converters/recordio.py unpack FILE.rec FOLDER
    python tools/dataset_converters/recordio.py check FILE.rec
    python tools/dataset_converters/recordio.py index FILE.rec

SOURCE is a folder of class folders, a .lst or a .rec file. A run that was
killed goes on where it was when it is started again. More in docs/data.md.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from mmdense.recognition.datasets.list_file import FORMATS
from mmdense.recognition.datasets.recordio import RecordReader
from mmdense.recognition.datasets.recordio.checking import Report, check
from mmdense.recognition.datasets.recordio.indexing import (
    KEYS,
    rebuild_index,
)
from mmdense.recognition.datasets.recordio.packing import (
    LAYOUTS,
    Packing,
    pack,
)
from mmdense.recognition.datasets.recordio.processes import Track
from mmdense.recognition.datasets.recordio.sources import open_source
from mmdense.recognition.datasets.recordio.unpacking import (
    Unpacking,
    unpack,
)

SHOWN = 20


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool; errors of the user end in one line."""
    args = _parse(argv)
    # Tables go to stdout, the rest does not get into their way.
    console = Console(stderr=True, highlight=False)
    try:
        args.run(args, console)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')


def _pack(args: argparse.Namespace, console: Console) -> None:
    skip = args.on_error == 'skip'
    if args.out.exists():
        console.print(f'{args.out} is there already: nothing to do')
        return
    with console.status(f'looking at {args.source}'):
        source = open_source(
            args.source, args.folder, args.list_format or 'auto', skip
        )
        job = Packing(
            source,
            args.out,
            args.layout,
            args.shuffle,
            skip,
            args.decode,
            args.workers,
        )
    damaged = pack(job, _bar(console, 'packing'))
    _print_damaged(damaged, 'left out', console)
    console.print(
        f'{args.out}: {len(source.labels) - len(damaged)} images, '
        f'{job.num_classes} classes, layout {args.layout}',
        soft_wrap=True,
    )


def _unpack(args: argparse.Namespace, console: Console) -> None:
    reader = RecordReader(args.rec, args.idx)
    job = Unpacking(
        reader,
        args.out,
        args.on_error == 'skip',
        args.decode,
        args.workers,
    )
    if job.listed.exists():
        console.print(f'{job.listed} is there already: nothing to do')
        return
    damaged = unpack(job, _bar(console, 'unpacking'))
    _print_damaged(damaged, 'left out', console)
    console.print(
        f'{args.out}: {len(job.positions) - len(damaged)} images, listed in '
        f'{job.listed}',
        soft_wrap=True,
    )


def _index(args: argparse.Namespace, console: Console) -> None:
    out = args.idx or args.rec.with_suffix('.idx')
    if out.exists() and not args.overwrite:
        raise ValueError(
            f'{out} is there already; replace it with --overwrite'
        )
    count, damaged = rebuild_index(
        args.rec,
        out,
        args.keys,
        args.on_error == 'skip',
        _bar(console, 'reading', unit='bytes'),
    )
    _print_damaged(damaged, 'left out', console)
    console.print(f'{out}: {count} records', soft_wrap=True)


def _check(args: argparse.Namespace, console: Console) -> None:
    reader = RecordReader(args.rec, args.idx)
    report = check(
        reader, args.decode, args.workers, _bar(console, 'checking')
    )
    _print_report(report)
    for remark in report.remarks:
        print(f'disagrees: {remark}')
    for error in report.damaged:
        print(f'damaged: {error}')
    sys.exit(1 if report.damaged or report.remarks else 0)


def _print_report(report: Report) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    labels = report.labels[report.labels >= 0]
    row = table.add_row
    row('layout', report.layout)
    row('records', str(report.records))
    row('images', str(report.images))
    row('identities', str(len(report.per_class)))
    if report.num_classes is not None:
        row('number of classes', str(report.num_classes))
    if len(labels):
        row('labels', f'{labels.min()} to {labels.max()}')
        counts = report.per_class
        row(
            'images per identity',
            f'{counts.min()} to {counts.max()}, median '
            f'{np.median(counts):g}, mean {counts.mean():.2f}',
        )
    sizes = sorted(report.sizes.items(), key=lambda item: -item[1])
    for (height, width), count in sizes[:SHOWN]:
        row(f'images of {height} x {width}', str(count))
    if len(sizes) > SHOWN:
        rest = sum(count for _, count in sizes[SHOWN:])
        row(f'of {len(sizes) - SHOWN} other sizes', str(rest))
    row('damaged records', str(len(report.damaged)))
    Console(width=160, highlight=False).print(table)


def _print_damaged(damaged: list, what: str, console: Console) -> None:
    for error in damaged[:SHOWN]:
        console.print(f'{what}: {error}', markup=False, soft_wrap=True)
    if len(damaged) > SHOWN:
        console.print(f'{what}: {len(damaged) - SHOWN} more')


def _bar(console: Console, text: str, unit: str = 'images') -> Track:
    def track(
        items: Iterable, total: int, size: Callable[[Any], int]
    ) -> Iterator:
        columns = (
            TextColumn('{task.description}'),
            BarColumn(),
            TaskProgressColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console) as progress:
            task = progress.add_task(text, total=total)
            for item in items:
                yield item
                progress.advance(task, size(item))

    return track


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar='COMMAND')

    def command(run, name, text):
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub.add_argument

    add = command(_pack, 'pack', 'Make a record file from images.')
    add(
        'source',
        type=Path,
        help='folder of class folders, .lst or .rec file',
    )
    add('out', type=Path, help='the .rec file; .idx and property go beside')
    add(
        '--layout',
        choices=LAYOUTS,
        default=LAYOUTS[0],
        help='default: %(default)s',
    )
    add(
        '--folder',
        type=Path,
        help='folder of the paths in a list (default: that of the list)',
    )
    add('--list-format', choices=FORMATS, help='default: by its first line')
    add(
        '--shuffle',
        type=int,
        metavar='SEED',
        help='random order, for readers that cannot jump; --layout im2rec',
    )
    _add_common(add)
    add = command(_unpack, 'unpack', 'Make image files and a list of them.')
    _add_rec(add)
    add('out', type=Path, help='folder for CLASS/KEY.jpg')
    _add_common(add)
    add = command(_check, 'check', 'Say what is in a file and if it is whole.')
    _add_rec(add)
    _add_reading(add)
    add = command(_index, 'index', 'Make the index of a file that has none.')
    _add_rec(add)
    add(
        '--keys',
        choices=KEYS,
        default=KEYS[0],
        help='the ids in the headers, or numbers from 0; default: %(default)s',
    )
    add('--overwrite', action='store_true', help='replace an index')
    _add_on_error(add)
    return parser.parse_args(argv)


def _add_rec(add: Callable) -> None:
    add('rec', type=Path, help='the .rec file')
    add('--idx', type=Path, help='its index (default: the .idx beside it)')


def _add_common(add: Callable) -> None:
    _add_on_error(add)
    _add_reading(add)


def _add_on_error(add: Callable) -> None:
    add(
        '--on-error',
        choices=('raise', 'skip'),
        default='raise',
        help='at damage stop, or leave it out and say so; default: '
        '%(default)s',
    )


def _add_reading(add: Callable) -> None:
    add(
        '--no-decode',
        dest='decode',
        action='store_false',
        help='find damage in images only by their ends; much faster',
    )
    add(
        '--workers',
        type=int,
        default=os.cpu_count() or 1,
        metavar='N',
        help='processes, default: %(default)s',
    )


if __name__ == '__main__':
    main()
