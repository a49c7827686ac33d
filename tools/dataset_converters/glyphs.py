"""Render the ideographs of the machine's fonts into an identity data set.

    python tools/dataset_converters/glyphs.py --list
    python tools/dataset_converters/glyphs.py --output data/glyphs.npz

The first shows which faces there are. The file of the second is the
`data_file` of `mmdense.GlyphIdentities`. More in docs/glyphs.md.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, features
from PIL import __version__ as pillow_version
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from mmdense.recognition.datasets.glyph_file import (
    SPLITS,
    GlyphSet,
    unpack_image,
    write_glyph_file,
)
from mmdense.recognition.datasets.glyph_fonts import (
    LICENCES,
    Face,
    find_faces,
)
from mmdense.recognition.datasets.glyph_render import (
    RenderedFace,
    render_face,
)
from mmdense.recognition.datasets.glyph_select import (
    merge_families,
    select_identities,
)

# Raise it when equal fonts and options no longer give equal bytes. The version
# of the package would change the bytes with each release.
TOOL_VERSION = 1
SHEET_ROWS = 24
WHERE_FONTS_COME_FROM = (
    'Install fonts with ideographs, on Debian and Ubuntu for instance: '
    'apt install fonts-noto-cjk fonts-wqy-microhei fonts-lxgw-wenkai '
    'fonts-klee fonts-seto fonts-kouzan-mouhitsu fonts-morisawa-bizud-mincho; '
    'or name files and folders with --fonts'
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool; errors of the user end in one line."""
    args = _parse(argv)
    # The tables go to stdout, the rest does not get into their way.
    console = Console(stderr=True)
    warnings.showwarning = lambda message, *_: console.print(
        f'warning: {message}', markup=False
    )
    try:
        _run(args, console)
    except (FileNotFoundError, ImportError, ValueError) as error:
        sys.exit(f'error: {error}')


def _run(args: argparse.Namespace, console: Console) -> None:
    faces = _choose_faces(args)
    rendered = _render(faces, args.size, args.workers, console)
    with console.status('comparing designs'):
        families = merge_families(faces, rendered)
    if args.list:
        _print_faces(faces, rendered, families)
    if args.output is None:
        return
    glyphs, report = select_identities(
        faces,
        rendered,
        families,
        size=args.size,
        min_faces=args.min_faces,
        min_families=args.min_families,
        identities=args.identities,
        unseen=args.unseen,
        seed=args.seed,
    )
    # No paths, dates or counts of processes: equal fonts and options give
    # equal bytes.
    glyphs = replace(
        glyphs,
        header={
            'tool_version': TOOL_VERSION,
            'pillow': pillow_version,
            'freetype': features.version('freetype2'),
            'seed': args.seed,
            'min_faces': args.min_faces,
            'min_families': args.min_families,
        },
    )
    with console.status('compressing'):
        write_glyph_file(args.output, glyphs)
    if args.sheet:
        args.sheet.parent.mkdir(parents=True, exist_ok=True)
        draw_sheet(glyphs).save(args.sheet)
    unseen = int((glyphs.split == SPLITS.index('unseen')).sum())
    console.print(
        f'{args.output}: {len(glyphs.images)} images of '
        f'{len(glyphs.codepoint)} identities ({unseen} unseen) in '
        f'{len(glyphs.faces)} faces of '
        f'{len({face["family"] for face in glyphs.faces})} families, '
        f'{args.output.stat().st_size / 1e6:.2f} MB. Dropped '
        f'{report["lookalikes"]} look-alike code points and '
        f'{report["copies"]} copies of images.',
        highlight=False,
        soft_wrap=True,
    )


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('--output', type=Path, metavar='NPZ', help='the file to write')
    add(
        '--list',
        action='store_true',
        help='print the faces: family, licence, usable ideographs',
    )
    add('--sheet', type=Path, metavar='PNG', help='also draw a contact sheet')
    add(
        '--fonts',
        nargs='+',
        metavar='PLACE',
        help='font files and folders (default: the usual font folders)',
    )
    add(
        '--faces',
        nargs='+',
        metavar='NAME',
        help='only faces with these names; * is a wildcard',
    )
    add(
        '--exclude',
        nargs='+',
        default=[],
        metavar='NAME',
        help='leave out faces with these names; * is a wildcard',
    )
    add(
        '--licences',
        nargs='+',
        choices=LICENCES,
        help='only faces under these licences, by their name table',
    )
    add('--size', type=_positive, default=48, help='px, default %(default)s')
    add(
        '--identities',
        type=_positive,
        metavar='N',
        help='choose so many at random (default: all)',
    )
    add(
        '--min-faces',
        type=_positive,
        default=2,
        metavar='N',
        help='images an identity needs, default %(default)s',
    )
    add(
        '--min-families',
        type=_positive,
        default=2,
        metavar='N',
        help='families it needs them from, default %(default)s: a genuine '
        'pair takes two',
    )
    add(
        '--unseen',
        type=_share_or_count,
        default=0.2,
        metavar='X',
        help='identities of the split unseen: a share below 1, or a count; '
        'default %(default)s',
    )
    add('--seed', type=int, default=0, help='default %(default)s')
    add(
        '--workers',
        type=_positive,
        default=os.cpu_count() or 1,
        metavar='N',
        help='processes, default %(default)s',
    )
    args = parser.parse_args(argv)
    if args.output is None and not args.list:
        parser.error('nothing to do: give --output NPZ, --list or both')
    if args.output is None and args.sheet is not None:
        parser.error('--sheet shows what is written: give --output NPZ too')
    return args


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'must be at least 1, got {value}')
    return value


def _share_or_count(text: str) -> int | float:
    value = float(text)
    if 0 <= value < 1:
        return value
    if value >= 1 and value == int(value):
        return int(value)
    raise argparse.ArgumentTypeError(
        f'must be a share in [0, 1) or a whole number, got {text}'
    )


def _choose_faces(args: argparse.Namespace) -> list[Face]:
    found = find_faces(args.fonts)
    if not found:
        raise ValueError(
            f'no font with ideographs found. {WHERE_FONTS_COME_FROM}'
        )
    faces = [
        face
        for face in found
        if (args.faces is None or _matches(face.name, args.faces))
        and not _matches(face.name, args.exclude)
        and (args.licences is None or face.licence in args.licences)
    ]
    for pattern in args.faces or ():
        if not any(fnmatchcase(face.name, pattern) for face in found):
            raise ValueError(
                f'no face is named {pattern!r}; --list shows which there are'
            )
    if not faces:
        raise ValueError(
            f'none of {len(found)} faces is left by --faces, --exclude and '
            '--licences; --list shows name and licence of each'
        )
    return faces


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _render(
    faces: list[Face], size: int, workers: int, console: Console
) -> list[RenderedFace]:
    """Each face in a process of its own; the order is that of `faces`."""
    with ProcessPoolExecutor(min(workers, len(faces))) as pool:
        # Processes first: forking beside the thread of the bar may hang.
        futures = {
            pool.submit(render_face, face, size): number
            for number, face in enumerate(faces)
        }
        rendered: list = [None] * len(faces)
        with Progress(console=console) as progress:
            task = progress.add_task(
                'rendering', total=sum(len(face.codepoints) for face in faces)
            )
            for future in as_completed(futures):
                number = futures[future]
                rendered[number] = future.result()
                progress.advance(task, len(faces[number].codepoints))
    return rendered


def _print_faces(
    faces: list[Face], rendered: list[RenderedFace], families: list[str]
) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ('face', 'family', 'licence', 'style'):
        table.add_column(title, no_wrap=True, overflow='ignore')
    for title in ('usable', 'blank', 'missing'):
        table.add_column(title, justify='right')
    for face, drawn, family in zip(faces, rendered, families, strict=True):
        table.add_row(
            face.name,
            family,
            face.licence,
            face.style,
            str(len(drawn.codepoints)),
            str(drawn.blank),
            str(drawn.missing),
        )
    # Wide enough for a pipe, which rich takes for a terminal of 80 columns.
    Console(width=160, highlight=False).print(table)


def draw_sheet(glyphs: GlyphSet) -> Image.Image:
    """Some identities (rows) in all faces (columns, names below)."""
    count = len(glyphs.codepoint)
    rows = np.unique(np.linspace(0, count - 1, SHEET_ROWS).astype(int))
    font = ImageFont.load_default(size=12)
    cell, left, line = glyphs.size + 2, 80, 16
    sheet = Image.new(
        'L',
        (
            max(left + cell * len(glyphs.faces), 500),
            line + cell * len(rows) + line * len(glyphs.faces),
        ),
        96,  # a hole shows grey
    )
    draw = ImageDraw.Draw(sheet)
    for y, identity in enumerate(rows):
        top = line + cell * y
        draw.text(
            (2, top + cell // 3),
            f'U+{glyphs.codepoint[identity]:04X}',
            fill=255,
            font=font,
        )
        for row in np.flatnonzero(glyphs.identity == identity):
            image = unpack_image(glyphs.images[row], glyphs.size)
            sheet.paste(
                Image.fromarray(image), (left + cell * glyphs.face[row], top)
            )
    for x, face in enumerate(glyphs.faces):
        draw.text((left + cell * x + 2, 1), str(x), fill=255, font=font)
        draw.text(
            (2, line + cell * len(rows) + line * x),
            f'{x}  {face["name"]} ({face["family"]}, {face["licence"]})',
            fill=255,
            font=font,
        )
    return sheet


if __name__ == '__main__':
    main()
