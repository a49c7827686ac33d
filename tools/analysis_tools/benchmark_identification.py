"""Time and memory of the search of a gallery, as its size grows.

Each size is searched in a process of its own, so that its peak is its own.
"""

import argparse
import json
import subprocess
import sys
import time

import torch
from process_memory import peak_mib
from rich.console import Console
from rich.table import Table

from mmdense.recognition.functional import search_gallery


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Time and memory of identification on the CPU.'
    )
    parser.add_argument(
        '--gallery',
        type=int,
        nargs='+',
        default=[100_000, 300_000, 1_000_000],
        help='numbers of gallery samples (default: 100000 300000 1000000)',
    )
    parser.add_argument('--queries', type=int, default=1000)
    parser.add_argument('--dims', type=int, default=128)
    parser.add_argument('--query-block', type=int, default=512)
    parser.add_argument('--gallery-chunk', type=int, default=8192)
    parser.add_argument('--child', action='store_true', help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(args: argparse.Namespace, size: int) -> dict[str, float]:
    """Search once; memory is what came on top of the arguments, in MiB."""
    generator = torch.Generator().manual_seed(0)
    # Ten images an identity, about as far apart as a good network has them.
    labels = torch.arange(size) // 10
    centers = torch.randn(size // 10 + 1, args.dims, generator=generator)
    gallery = torch.randn(size, args.dims, generator=generator)
    for part, label in zip(
        gallery.split(65536), labels.split(65536), strict=True
    ):
        part.add_(centers[label])
    places = torch.randint(size, (args.queries,), generator=generator)
    queries = centers[labels[places]] + torch.randn(
        args.queries, args.dims, generator=generator
    )
    del centers
    # What one search loads once, whatever its size.
    search_gallery(queries[:1], labels[:1], gallery[:10], labels[:10])
    before = peak_mib()
    start = time.perf_counter()
    found = search_gallery(
        queries,
        labels[places],
        gallery,
        labels,
        query_block=args.query_block,
        gallery_chunk=args.gallery_chunk,
    )
    seconds = time.perf_counter() - start
    peak = peak_mib()
    return dict(
        gallery_mib=gallery.nbytes / 2**20,
        extra_mib=peak - before,
        seconds=seconds,
        rank_1=float(found.cmc(1)[0]),
    )


def main() -> None:
    args = parse_args()
    if args.child:
        print(json.dumps(measure(args, args.gallery[0])))
        return
    table = Table()
    for heading in (
        'gallery',
        'its embeddings',
        'search on top',
        'score matrix',
        'seconds',
        'rank-1',
    ):
        table.add_column(heading, justify='right')
    options = sys.argv[1:]
    for size in args.gallery:
        done = subprocess.run(
            [sys.executable, __file__, *options, '--child', '--gallery',
             str(size)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        row = json.loads(done.stdout.splitlines()[-1])
        matrix = 4 * size * args.queries / 2**20
        table.add_row(
            f'{size:,}',
            f'{row["gallery_mib"]:,.0f} MiB',
            f'{row["extra_mib"]:,.0f} MiB',
            f'{matrix:,.0f} MiB',
            f'{row["seconds"]:.1f}',
            f'{100 * row["rank_1"]:.1f} %',
        )
    Console().print(table)


if __name__ == '__main__':
    main()
