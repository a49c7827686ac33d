"""List what is wrong with an annotation file of dense pose.

    python tools/misc/validate_densepose.py ANN --img-root IMAGES

One line a problem, with the annotation id and the field, then a table. What
is marked (usable) is trained on all the same; for all else the data set
refuses the file or leaves the annotation out. Returns 1 if there is any
problem.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmdense.densepose.functional.annotations import is_dense
from mmdense.densepose.functional.validation import (
    Finding,
    check_annotations,
    check_images,
    read_file,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'annotations', metavar='ANN', help='annotation file (JSON)'
    )
    parser.add_argument(
        '--img-root',
        type=Path,
        help='folder that file_name is relative to; also checks that images '
        'are there and of the annotated size',
    )
    parser.add_argument(
        '--surface',
        help="a mesh with charts, the folder of DensePose's files, or 'body' "
        'for the one that ships; also checks that points lie on its charts',
    )
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    console = Console(stderr=True)
    try:
        surface = load_surface(args.surface)
        if args.img_root is not None and not args.img_root.is_dir():
            raise FileNotFoundError(
                f'{args.img_root} does not exist, expected the folder of the '
                'images'
            )
        content = read_file(args.annotations)
    except (FileNotFoundError, ImportError, ValueError) as error:
        console.print(f'error: {error}', markup=False, highlight=False)
        return 1

    findings = []
    for finding in find(content, args, surface, console):
        print(f'{finding} (usable)' if finding.is_usable else finding)
        findings.append(finding)
    print_summary(content, findings)
    return int(bool(findings))


def load_surface(name: str | None) -> Any:
    if name is None:
        return None
    from mmdense.densepose.surface import build_surface

    return build_surface(None if name == 'body' else name)


def find(
    content: dict, args: argparse.Namespace, surface: Any, console: Console
) -> Iterator[Finding]:
    file = args.annotations
    yield from track(
        check_images(content, file, args.img_root),
        'images',
        total=None,
        console=console,
        transient=True,
    )
    for findings in track(
        check_annotations(content, file, surface),
        'annotations',
        total=len(content['annotations']),
        console=console,
        transient=True,
    ):
        yield from findings


def print_summary(content: dict, findings: Iterable[Finding]) -> None:
    """What was looked at, and problems by field."""
    dense = [item for item in content['annotations'] if is_dense(item)]
    points = sum(len(item.get('dp_x') or ()) for item in dense)
    print(
        f'{len(content["images"])} images, {len(content["annotations"])} '
        f'annotations, {len(dense)} of them dense with {points} points'
    )
    table = Table()
    table.add_column('field')
    for name in ('problems', 'usable', 'annotations'):
        table.add_column(name, justify='right')
    by_field = defaultdict(list)
    for finding in findings:
        field = finding.field.split('.')[-1].split('[')[0]
        by_field[field].append(finding)
    for field, found in sorted(by_field.items()):
        places = {f.annotation_id for f in found} - {None}
        usable = sum(f.is_usable for f in found)
        table.add_row(field, *map(str, (len(found), usable, len(places))))
    if by_field:
        Console().print(table)
    else:
        print('no problem')


if __name__ == '__main__':
    sys.exit(main())
