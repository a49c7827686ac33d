"""Images per second from a record file and from single files.

    python tools/analysis_tools/benchmark_recordio.py
    python tools/analysis_tools/benchmark_recordio.py --cold --workers 0 4

Writes the same images both ways and reads them in the same random order,
first as bytes alone, then as samples of a data set; opening is included. The
two take turns and the best of each counts, as other work on the machine only
slows them.
"""

import argparse
import gc
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from mmengine.dataset import DefaultSampler, pseudo_collate
from mmpretrain.datasets import CustomDataset
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch.utils.data import DataLoader

from mmdense.recognition.datasets import RecordIODataset
from mmdense.recognition.datasets.recordio import (
    RecordReader,
    RecordWriter,
    pack_image,
)

PER_CLASS = 50
PACK = dict(type='mmpretrain.PackInputs')


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('--images', type=int, default=20000, help='default %(default)s')
    add('--size', type=int, default=112, help='px, default %(default)s')
    add(
        '--workers',
        type=int,
        nargs='+',
        default=[0, 2],
        help='of the data loader, default 0 2',
    )
    add(
        '--cold',
        action='store_true',
        help='have the system forget the files before each reading',
    )
    add('--repeats', type=int, default=3, help='default %(default)s')
    add('--folder', type=Path, help='where to write (default: temporary)')
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        _measure(args, Path(folder))


def _measure(args: argparse.Namespace, folder: Path) -> None:
    files = write_images(folder, args.images, args.size)
    rec_file = folder / 'train.rec'
    order = np.random.default_rng(0).permutation(args.images).tolist()
    size = rec_file.stat().st_size / args.images / 1024
    table = Table(
        title=f'images per second, {args.images} of {args.size} px, '
        f'{size:.1f} KiB each, ' + ('cold' if args.cold else 'in memory')
    )
    for column in ('', 'files', 'record file', 'ratio'):
        table.add_column(column, justify='right')

    def row(name: str, *reads: Callable[[], None]) -> None:
        best = [float('inf')] * 2
        for _ in range(args.repeats):
            for side, read in enumerate(reads):
                gc.collect()
                if args.cold:
                    forget([*files, rec_file])
                start = time.perf_counter()
                read()
                took = time.perf_counter() - start
                best[side] = min(best[side], took)
        rates = [args.images / took for took in best]
        table.add_row(
            name,
            *(f'{rate:.0f}' for rate in rates),
            f'{rates[1] / rates[0]:.2f}',
        )

    # Opened anew each time: what is mapped cannot be forgotten.
    def read_files() -> None:
        for number in order:
            files[number].read_bytes()

    def read_records() -> None:
        reader = RecordReader(rec_file)
        for number in order:
            reader.read_image(number)

    def load_files(workers: int) -> None:
        load = dict(type='LoadImageFromFile')
        _load(
            CustomDataset(
                data_root=str(folder / 'images'), pipeline=[load, PACK]
            ),
            workers,
        )

    def load_records(workers: int) -> None:
        _load(RecordIODataset(data_root=str(folder), pipeline=[PACK]), workers)

    row('bytes', read_files, read_records)
    for workers in args.workers:
        row(
            f'samples, {workers} workers',
            partial(load_files, workers),
            partial(load_records, workers),
        )
    Console().print(table)


def write_images(folder: Path, count: int, size: int) -> list[Path]:
    """Images of smooth noise, as files and as records; returns the files."""
    rng = np.random.default_rng(0)
    files = []
    with RecordWriter(folder / 'train.rec') as writer:
        for number in track(
            range(count), 'writing', console=Console(stderr=True)
        ):
            label = number // PER_CLASS
            coarse = rng.integers(0, 256, (size // 8, size // 8, 3), np.uint8)
            image = cv2.resize(
                coarse, (size, size), interpolation=cv2.INTER_CUBIC
            )
            content = cv2.imencode('.jpg', image)[1].tobytes()
            path = folder / 'images' / f'{label:07}' / f'{number:07}.jpg'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            files.append(path)
            writer.write(number, pack_image(label, content, id=number))
    return files


def forget(files: list[Path]) -> None:
    """Drop files from the memory of the system, where it can be told to."""
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def _load(dataset, workers: int) -> None:
    loader = DataLoader(
        dataset,
        batch_size=128,
        num_workers=workers,
        sampler=DefaultSampler(dataset, shuffle=True, seed=0),
        collate_fn=pseudo_collate,
    )
    for _ in loader:
        pass


if __name__ == '__main__':
    main()
