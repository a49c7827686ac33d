r"""Write a list of images whose labels are wrong on purpose.

    python tools/dataset_converters/label_noise.py conflict SOURCE OUT.lst \
        --identities 0.324 --parts 3
    python tools/dataset_converters/label_noise.py flip SOURCE OUT.lst \
        --share 0.4
    python tools/dataset_converters/label_noise.py long_tail SOURCE OUT.lst \
        --head 0.2 --tail-samples 3

SOURCE is a folder of class folders or a .lst file. OUT.lst is in im2rec's
format, its paths are relative to the folder of SOURCE, and beside it
OUT.classes.tsv has the true class of each new label. `mmdense.ListDataset`
reads the list, recordio.py packs it. More in docs/label_noise.md.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track

from mmdense.distributed.atomic_files import partial_path
from mmdense.recognition.datasets.noisy_labels import make_noise
from mmdense.recognition.datasets.recordio.sources import open_source


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool; errors of the user end in one line."""
    args = _parse(argv)
    try:
        _run(args, Console(stderr=True, highlight=False))
    except (OSError, TypeError, ValueError) as error:
        sys.exit(f'error: {error}')


def _run(args: argparse.Namespace, console: Console) -> None:
    if args.source.suffix == '.rec':
        raise ValueError(
            f'{args.source} is a record file; unpack it with '
            'tools/dataset_converters/recordio.py first, or train with '
            'mmdense.NoisyLabels, which takes any data set'
        )
    if args.source.resolve() == args.out.resolve():
        raise ValueError(f'OUT would overwrite SOURCE, {args.source}')
    with console.status(f'looking at {args.source}'):
        source = open_source(args.source)
        is_list = args.source.suffix == '.lst'
        folder = args.source.parent if is_list else args.source
        arguments = {
            name: value
            for name, value in vars(args).items()
            if name not in ('kind', 'source', 'out', 'seed')
        }
        noise = make_noise(
            source.labels, args.kind, seed=args.seed, **arguments
        )
    names: dict[int, str] = {}
    partial = partial_path(args.out)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    pairs = zip(noise.index.tolist(), noise.labels.tolist(), strict=True)
    with partial.open('w', encoding='utf-8', newline='\n') as file:
        for number, (index, label) in enumerate(
            track(pairs, 'writing', len(noise.index), console=console)
        ):
            path = os.path.relpath(source.name(index), folder)
            file.write(f'{number}\t{label}\t{path}\n')
            if not is_list:
                names[int(source.labels[index])] = path.split(os.sep)[0]
    partial.replace(args.out)

    classes = args.out.with_suffix('.classes.tsv')
    with classes.open('w', encoding='utf-8', newline='\n') as file:
        file.write('label\ttrue_label\tname\n')
        for label, true in enumerate(noise.true_class.tolist()):
            file.write(f'{label}\t{true}\t{names.get(true, "")}\n')
    changed = int((noise.labels != source.labels[noise.index]).sum())
    console.print(
        f'{args.out}: {len(noise.index)} of {len(source.labels)} images in '
        f'{noise.num_classes} classes (before: '
        f'{int(source.labels.max()) + 1}); {changed} have another label'
    )


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = parser.add_subparsers(dest='kind', required=True)
    conflict = kinds.add_parser(
        'conflict', help='split identities into several'
    )
    flip = kinds.add_parser('flip', help='labels of other identities')
    long_tail = kinds.add_parser(
        'long_tail', help='few images of most identities'
    )
    for kind in (conflict, flip, long_tail):
        kind.add_argument('source', type=Path, metavar='SOURCE')
        kind.add_argument('out', type=Path, metavar='OUT.lst')
        kind.add_argument('--seed', type=int, default=0)
    count = 'a number (500) or, with a point, a share (0.324)'
    conflict.add_argument(
        '--identities',
        type=_number_or_share,
        required=True,
        help=f'identities to split: {count}',
    )
    conflict.add_argument('--parts', type=int, default=3)
    flip.add_argument(
        '--share', type=float, required=True, help='of the images, 0 to 1'
    )
    long_tail.add_argument(
        '--head',
        type=_number_or_share,
        required=True,
        help=f'identities that keep all images: {count}',
    )
    long_tail.add_argument(
        '--tail-samples',
        type=int,
        required=True,
        help='images left of each other identity',
    )
    return parser.parse_args(argv)


def _number_or_share(text: str) -> int | float:
    return float(text) if '.' in text else int(text)


if __name__ == '__main__':
    main()
