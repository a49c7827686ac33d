"""The part of a page that a report makes."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path


def markers(script: str) -> tuple[str, str]:
    """The lines around what a script makes."""
    return (
        f'<!-- made by {script}: begin -->',
        f'<!-- made by {script}: end -->',
    )


def insert(document: str, text: str, script: str) -> str:
    """Put a text between the markers of a document.

    Args:
        document: The page, with both :func:`markers`.
        text: What goes between.
        script: What makes it.

    Raises:
        ValueError: The document does not have both, once and in order.
    """
    begin, end = markers(script)
    before, found_begin, rest = document.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end or begin in rest or end in after:
        raise ValueError(
            f'the document needs the lines {begin!r} and {end!r}, once each'
        )
    return f'{before}{begin}\n\n{text.strip()}\n\n{end}{after}'


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [heads, ['---'] * len(heads), *rows]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def write_report(
    argv: Sequence[str] | None,
    description: str,
    here: Path,
    read: Callable[[Path], dict],
    draw: Callable[[dict, Path], None],
    describe: Callable[[dict], str],
) -> None:
    """What a `report.py` does when it is run.

    Args:
        argv: Of the command line; None: that of the process.
        description: Of the script.
        here: Folder of the study, in `projects`; its results are in
            `results`, its page is the one of this name in `docs`.
        read: Makes the results of a folder.
        draw: Draws results into a folder.
        describe: Makes the text between the markers.

    Raises:
        SystemExit: There are no results.
    """
    args = _parse_arguments(argv, description, here)
    results = read(args.results)
    if not results:
        sys.exit(f'error: no result in {args.results}; run run.py first')
    args.images.mkdir(parents=True, exist_ok=True)
    draw(results, args.images)
    text = describe(results)
    if args.doc is None:
        print(text)
        return
    old = args.doc.read_text(encoding='utf-8')
    new = insert(old, text, script_of(here))
    args.doc.write_text(new, encoding='utf-8')
    print(f'{args.doc}: {len(results)} results')


def script_of(here: Path) -> str:
    """The `report.py` of a study, as the markers name it."""
    return f'projects/{here.name}/report.py'


def _parse_arguments(
    argv: Sequence[str] | None, description: str, here: Path
) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    own_results = here / 'results'
    page = here.parents[1] / 'docs' / f'{here.name}.md'
    parser.add_argument('--results', type=Path, default=own_results)
    parser.add_argument(
        '--doc',
        type=Path,
        help=f'document with the markers; default: docs/{page.name} for the '
        'results that are committed, else the tables are printed',
    )
    parser.add_argument(
        '--images',
        type=Path,
        help='folder of the plots; default: docs/images for the results that '
        'are committed, else that of the results',
    )
    args = parser.parse_args(argv)
    own = args.results.resolve() == own_results
    if args.doc is None and own:
        args.doc = page
    if args.images is None:
        args.images = page.parent / 'images' if own else args.results
    return args
