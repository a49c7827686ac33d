"""The part of a page that a report makes."""

import argparse
from collections.abc import Sequence
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


def parse_report_arguments(
    argv: list[str] | None, description: str, results: Path, document: Path
) -> argparse.Namespace:
    """The options of a report.

    Args:
        argv: Of the command line; None: that of the process.
        description: Of the script.
        results: Folder of the results that are committed.
        document: The page that shows those.

    Returns:
        `results`, `doc` (None: print the tables) and `images`.
    """
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    name = document.name
    parser.add_argument('--results', type=Path, default=results)
    parser.add_argument(
        '--doc',
        type=Path,
        help=f'document with the markers; default: docs/{name} for the '
        'results that are committed, else the tables are printed',
    )
    parser.add_argument(
        '--images',
        type=Path,
        help='folder of the plots; default: docs/images for the results that '
        'are committed, else that of the results',
    )
    args = parser.parse_args(argv)
    own = args.results.resolve() == results
    if args.doc is None and own:
        args.doc = document
    if args.images is None:
        args.images = document.parent / 'images' if own else args.results
    return args
