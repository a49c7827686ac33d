"""Render a data set of dense pose: made-up people, exact annotations.

    python tools/dataset_converters/synthetic_bodies.py \
        --out data/synthetic_bodies --num-images 2000

Writes images and annotations in the format of DensePose-COCO. Killed or
continued with a larger --num-images, it makes what is missing. More in
docs/synthetic_bodies.md.
"""

import argparse
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

# One process a core; threads of numpy would get in each other's way.
os.environ.setdefault('OMP_NUM_THREADS', '1')
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from mmdense.densepose.surface.posing import BODY_FILE, PosableBody
from mmdense.densepose.synthetic.data_set import (
    Journal,
    least_with_val,
    split_of,
    write_image,
)
from mmdense.densepose.synthetic.motions import read_motions
from mmdense.densepose.synthetic.photos import check_photos, find_photos
from mmdense.densepose.synthetic.sample import make_sample
from mmdense.densepose.synthetic.scene import MAX_PEOPLE
from mmdense.densepose.synthetic.sheet import draw_sheet
from mmdense.densepose.synthetic.studio import Studio

_studio: Studio


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; errors of the user end in one line."""
    args = parse_args(argv)
    console = Console(stderr=True)
    try:
        run(args, console)
    except (FileNotFoundError, ImportError, ValueError) as error:
        console.print(f'error: {error}', markup=False, highlight=False)
        return 1
    except BrokenProcessPool:
        console.print(
            'error: a worker was killed, by lack of memory perhaps; the same '
            'command continues, with fewer --workers if need be',
            highlight=False,
        )
        return 1
    except KeyboardInterrupt:
        console.print('stopped; the same command continues')
        return 130
    return 0


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('--out', type=Path, help='folder of the data set')
    add('--num-images', type=int, default=2000, help='default: 2000')
    add(
        '--size',
        type=int,
        default=512,
        help='longer side of the images in pixels (default: 512)',
    )
    add(
        '--seed',
        type=int,
        default=0,
        help='equal seeds and options give equal images (default: 0)',
    )
    add(
        '--val-fraction',
        type=float,
        default=0.1,
        help='share of the images for validation (default: 0.1)',
    )
    add(
        '--max-people',
        type=int,
        default=MAX_PEOPLE,
        help=f'in an image, 1 to {MAX_PEOPLE} (default: {MAX_PEOPLE})',
    )
    add(
        '--workers',
        type=int,
        default=len(os.sched_getaffinity(0))
        if hasattr(os, 'sched_getaffinity')
        else os.cpu_count(),
        help='processes (default: one a core); does not change the images',
    )
    add(
        '--backgrounds',
        type=Path,
        metavar='FOLDER',
        help='take backgrounds from these photos; people in them would not '
        'be annotated',
    )
    add(
        '--bvh',
        type=Path,
        nargs='+',
        default=[],
        metavar='PLACE',
        help='take poses from these motion files, or folders of them',
    )
    add(
        '--bvh-share',
        type=float,
        default=0.5,
        help='share of people with poses of --bvh (default: 0.5)',
    )
    add(
        '--bvh-joints',
        type=Path,
        metavar='JSON',
        help='object of bones by the names of joints, for unusual names',
    )
    add(
        '--bvh-rest-frame',
        type=int,
        metavar='N',
        help='frame in which the person stands upright with straight limbs, '
        'if the zero pose of the files is not so',
    )
    add('--sheet', type=Path, metavar='PNG', help='also draw a contact sheet')
    add(
        '--sheet-images',
        type=int,
        default=8,
        help='how many images it shows (default: 8)',
    )
    args = parser.parse_args(argv)
    if args.out is None and args.sheet is None:
        parser.error('give --out, --sheet or both')
    return args


def run(args: argparse.Namespace, console: Console) -> None:
    check(args)
    motions = read_motions(
        args.bvh, PosableBody.load(), args.bvh_joints, args.bvh_rest_frame
    )
    photos: Sequence[Path] = ()
    if args.backgrounds:
        photos = find_photos(args.backgrounds)
        with console.status('reading the photos'):
            check_photos(photos, args.workers)
    start_worker(motions, args.bvh_share, photos)
    make = partial(
        make_sample,
        _studio,
        args.seed,
        size=args.size,
        max_people=args.max_people,
    )
    if args.sheet is not None:
        args.sheet.parent.mkdir(parents=True, exist_ok=True)
        draw_sheet(_studio, map(make, range(args.sheet_images))).save(
            args.sheet
        )
    if args.out is None:
        return
    warn_of_empty_val(args, console)
    journal = Journal(args.out, image_options(args, motions, photos))
    missing = [i for i in range(args.num_images) if i not in journal.places]
    make_record = partial(
        render_image,
        folder=args.out,
        seed=args.seed,
        size=args.size,
        max_people=args.max_people,
        val_fraction=args.val_fraction,
    )
    initargs = (motions, args.bvh_share, photos)
    with workers(args.workers, initargs) as map_over:
        for record in with_progress(
            map_over(make_record, missing), len(missing), console
        ):
            journal.add(record)
    people = journal.join(args.num_images)
    journal.close()
    console.print(
        f'{args.out}: {args.num_images} images, people: '
        + ', '.join(f'{count} {split}' for split, count in people.items()),
        highlight=False,
    )


def check(args: argparse.Namespace) -> None:
    for name, low, high in (
        ('num_images', 1, 10**9),
        ('size', 64, 4096),
        ('seed', 0, 2**63),
        ('max_people', 1, MAX_PEOPLE),
        ('workers', 1, 4096),
        ('val_fraction', 0, 1),
        ('bvh_share', 0, 1),
        ('sheet_images', 1, 1000),
    ):
        if not low <= getattr(args, name) <= high:
            raise ValueError(
                f'--{name.replace("_", "-")} must be within {low} and {high}, '
                f'got {getattr(args, name)}'
            )


def warn_of_empty_val(args: argparse.Namespace, console: Console) -> None:
    """Say so before images are made, if none of them is for validation."""
    if not args.val_fraction:
        return
    least = least_with_val(args.val_fraction)
    if args.num_images < least:
        text = (
            f'warning: none of {args.num_images} images is for validation at '
            f'--val-fraction {args.val_fraction}, so val.json will be empty, '
            f'which data sets refuse; expected --num-images {least} or more, '
            'a larger fraction, or 0 to have no warning'
        )
        console.print(text, markup=False, highlight=False)


def image_options(
    args: argparse.Namespace, motions: list, photos: Sequence[Path]
) -> dict[str, Any]:
    """All that the images depend on; not where files lie."""
    options = {
        'body': hashlib.sha256(BODY_FILE.read_bytes()).hexdigest()[:16],
        'seed': args.seed,
        'size': args.size,
        'max_people': args.max_people,
        'val_fraction': args.val_fraction,
    }
    if photos:
        names = [
            path.relative_to(args.backgrounds).as_posix() for path in photos
        ]
        options['backgrounds'] = digest(names)
    if motions:
        options['bvh_share'] = args.bvh_share
        options['bvh'] = digest(
            f'{motion.file.path.name} {motion.num_frames} '
            f'{motion.joints} {args.bvh_rest_frame}'
            for motion in motions
        )
    return options


def digest(lines: Iterable[str]) -> str:
    return hashlib.sha256('\n'.join(lines).encode()).hexdigest()[:16]


def start_worker(*options: Any) -> None:
    global _studio
    _studio = Studio(*options)


def render_image(index: int, folder: Path, val_fraction: float, **options):
    sample = make_sample(_studio, index=index, **options)
    return write_image(folder, sample, index, split_of(index, val_fraction))


@contextmanager
def workers(count: int, initargs: tuple):
    """`map` over processes; the worker of this process is started already."""
    if count == 1:
        yield map
        return
    with ProcessPoolExecutor(
        count, initializer=start_worker, initargs=initargs
    ) as pool:
        try:
            yield partial(pool.map, chunksize=4)
        finally:
            pool.shutdown(cancel_futures=True)


def with_progress(
    records: Iterable[dict], total: int, console: Console
) -> Iterator[dict]:
    progress = Progress(
        TextColumn('rendering'),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn('{task.fields[rate]:.1f} people/s'),
        TimeRemainingColumn(),
        console=console,
    )
    with progress:
        task = progress.add_task('', total=total, rate=0.0)
        people = 0
        for record in records:
            yield record
            people += len(record['annotations'])
            elapsed = progress.tasks[task].elapsed or 1e-9
            progress.update(task, advance=1, rate=people / elapsed)


if __name__ == '__main__':
    sys.exit(main())
