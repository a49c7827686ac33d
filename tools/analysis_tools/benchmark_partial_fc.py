"""Time and memory of a Partial FC step, ours against a plain one.

The plain step is what the textbook says: draw classes with `rand` and
`topk`, index the table (so that its gradient is dense), hold all logits, and
update all rows by torch's SGD. Both run in turn (A B A B), each in a process
of its own, so that peaks of memory do not mix; medians over steps, then over
turns. Ratios are plain / ours: above 1, ours is better.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from process_memory import held_mib, peak_mib
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

PHASES = ('forward', 'backward', 'update')
GRID = (
    (100_000, 1.0),
    (100_000, 0.3),
    (100_000, 0.1),
    (1_000_000, 1.0),
    (1_000_000, 0.3),
    (1_000_000, 0.1),
    (1_000_000, 0.02),
)


class PlainPartialFC(nn.Module):
    """Sampled CosFace softmax with dense gradients, on one process."""

    def __init__(self, args: argparse.Namespace) -> None:
        super().__init__()
        table = torch.randn(args.num_classes, args.dim, device=args.device)
        self.weight = nn.Parameter(table.mul_(0.01))
        self.sample_rate = args.sample_rate

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        weight = self.weight
        if self.sample_rate < 1:
            chance = torch.rand(len(weight), device=weight.device)
            positives = labels.unique()
            chance[positives] = 2.0
            number = max(int(self.sample_rate * len(weight)), len(positives))
            index = chance.topk(number).indices.sort().values
            labels = torch.searchsorted(index, labels)
            weight = weight[index]
        normalize = torch.nn.functional.normalize
        cosine = normalize(embeddings) @ normalize(weight).T
        rows = torch.arange(len(labels), device=labels.device)
        margin = torch.zeros_like(cosine)
        margin[rows, labels] = 0.4
        return torch.nn.functional.cross_entropy(
            64 * (cosine - margin), labels
        )


def build(args: argparse.Namespace) -> tuple[Callable, torch.optim.Optimizer]:
    """The loss, from embeddings and labels, and its optimizer."""
    options = dict(lr=0.1, momentum=0.9, weight_decay=5e-4)
    if args.worker == 'plain':
        model = PlainPartialFC(args)
        return model, torch.optim.SGD(model.parameters(), **options)

    from mmpretrain.registry import MODELS

    from mmdense.distributed.optim import RowSparseSGD

    head = MODELS.build(
        dict(
            type='mmdense.PartialFCHead',
            num_classes=args.num_classes,
            in_channels=args.dim,
            sample_rate=args.sample_rate,
            loss=dict(type='mmdense.CosFaceLoss', scale=64.0, margin=0.4),
        )
    ).to(args.device)
    optimizer = RowSparseSGD(
        head.parameters(),
        update=args.update,
        fused=args.fused and args.update == 'rows',
        **options,
    )
    if args.fused and args.sample_rate == 1:
        # All rows take part, so their gradient is dense by default; the
        # fused update takes it chunk by chunk all the same.
        head.centers.weight.sparse_table = True
        optimizer._enable_fused()
    return (lambda x, y: head.loss_by_feat(x, y)['loss']), optimizer


def measure(args: argparse.Namespace) -> dict[str, float]:
    """Median seconds of each phase and peak MiB of this process."""
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    cuda = args.device == 'cuda'
    # What is imported lazily must not count as memory of the step.
    from mmpretrain.registry import MODELS

    import mmdense.distributed.optim  # noqa: F401

    MODELS.get('mmdense.PartialFCHead')
    baseline = 0.0 if cuda else held_mib()
    loss_of, optimizer = build(args)

    def now() -> float:
        if cuda:
            torch.cuda.synchronize()
            return time.perf_counter()
        if args.clock == 'cpu':
            return time.process_time()
        return time.perf_counter()

    times: dict[str, list[float]] = {phase: [] for phase in PHASES}
    for step in range(args.steps + 2):
        x = torch.randn(args.batch_size, args.dim, device=args.device)
        x.requires_grad_()
        y = torch.randint(
            args.num_classes, (args.batch_size,), device=args.device
        )
        marks = [now()]
        loss = loss_of(x, y)
        marks.append(now())
        loss.backward()
        marks.append(now())
        optimizer.step()
        optimizer.zero_grad()
        marks.append(now())
        if step >= 2:  # the first steps allocate
            for phase, a, b in zip(PHASES, marks, marks[1:], strict=False):
                times[phase].append(b - a)
    result = {phase: statistics.median(v) for phase, v in times.items()}
    result['total'] = statistics.median(
        map(sum, zip(*times.values(), strict=True))
    )
    if cuda:
        result['peak_mib'] = torch.cuda.max_memory_allocated() / 2**20
    else:
        result['peak_mib'] = peak_mib() - baseline
    return result


def run_worker(args: argparse.Namespace, worker: str) -> dict[str, float]:
    """Measure one implementation in a process of its own."""
    environment = dict(os.environ)
    if args.allocator == 'keep':
        # glibc gives big blocks back to the system and page-faults them in
        # again at every step; a caching allocator, as on GPUs, does not.
        environment['MALLOC_MMAP_MAX_'] = '0'
        environment['MALLOC_TRIM_THRESHOLD_'] = str(2**40)
    command = [sys.executable, __file__, '--worker', worker]
    for name, value in vars(args).items():
        if name in ('worker', 'turns', 'grid', 'growth') or value is False:
            continue
        command.append('--' + name.replace('_', '-'))
        if value is not True:
            command.append(str(value))
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True
    )
    # Killed by the system, or refused by a limit such as `ulimit -v`.
    refused = "can't allocate memory" in done.stderr
    if done.returncode == -signal.SIGKILL or (done.returncode and refused):
        raise MemoryError(f'{worker} needs more memory than there is')
    if done.returncode:
        raise RuntimeError(f'{worker} failed:\n{done.stderr[-2000:]}')
    return json.loads(done.stdout.splitlines()[-1])


def compare(args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Both implementations in turn; medians over turns."""
    found: dict[str, list[dict]] = {'plain': [], 'ours': []}
    for _ in range(args.turns):
        for worker, results in found.items():
            results.append(run_worker(args, worker))
    return {
        worker: {
            key: statistics.median(r[key] for r in results)
            for key in results[0]
        }
        for worker, results in found.items()
    }


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--num-classes', type=int, default=100_000)
    parser.add_argument('--sample-rate', type=float, default=0.1)
    parser.add_argument('--batch-size', type=int, default=128)
    parser.add_argument('--dim', type=int, default=512)
    parser.add_argument('--steps', type=int, default=5)
    parser.add_argument('--turns', type=int, default=2)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--device', default='cpu', choices=['cpu', 'cuda'])
    parser.add_argument(
        '--clock',
        default='cpu',
        choices=['cpu', 'wall'],
        help='CPU time of the process, or time on the wall',
    )
    parser.add_argument(
        '--allocator',
        default='keep',
        choices=['keep', 'default'],
        help='whether the C allocator keeps the memory it has',
    )
    parser.add_argument('--update', default='rows', choices=['rows', 'all'])
    parser.add_argument(
        '--fused', action='store_true', help='update in the backward pass'
    )
    parser.add_argument(
        '--grid',
        action='store_true',
        help='the table of the documentation, in Markdown: 100,000 and a '
        'million classes, sample rates from 1 to 0.02',
    )
    parser.add_argument(
        '--growth',
        action='store_true',
        help='how a step of ours grows with the number of classes while '
        '20,000 are sampled, in Markdown',
    )
    parser.add_argument('--worker', help=argparse.SUPPRESS)
    return parser.parse_args()


def print_table(args: argparse.Namespace, result: dict) -> None:
    """One comparison, phases apart."""
    plain, ours = result['plain'], result['ours']
    table = Table(
        title=f'{args.num_classes} classes, r = {args.sample_rate:g}, '
        f'B = {args.batch_size}, d = {args.dim}'
    )
    for column in ('', 'plain', 'ours', 'plain / ours'):
        table.add_column(column, justify='right')
    for phase in (*PHASES, 'total'):
        table.add_row(
            f'{phase} (ms)',
            f'{1e3 * plain[phase]:.1f}',
            f'{1e3 * ours[phase]:.1f}',
            f'{plain[phase] / max(ours[phase], 1e-9):.2f}',
        )
    table.add_row(
        'peak (MiB)',
        f'{plain["peak_mib"]:.0f}',
        f'{ours["peak_mib"]:.0f}',
        f'{plain["peak_mib"] / ours["peak_mib"]:.2f}',
    )
    Console().print(table)
    print(
        f'ours peaks at {ours["peak_mib"] / state_mib(args):.3f} of centers '
        'and momentum'
    )


def state_mib(args: argparse.Namespace) -> float:
    """What centers and momentum take."""
    return 2 * args.num_classes * args.dim * 4 / 2**20


def print_markdown(args: argparse.Namespace) -> None:
    """The grid of the documentation, row by row as it is measured."""
    print(
        '| classes | r | time, plain / ours | peak, plain / ours '
        '| our peak / (centers + momentum) |\n|---|---|---|---|---|'
    )
    for args.num_classes, args.sample_rate in GRID:
        try:
            result = compare(args)
        except MemoryError:
            ours = run_worker(args, 'ours')
            ratios = 'plain does not fit | plain does not fit'
        else:
            plain, ours = result['plain'], result['ours']
            ratios = (
                f'{plain["total"] / ours["total"]:.2f} '
                f'| {plain["peak_mib"] / ours["peak_mib"]:.2f}'
            )
        print(
            f'| {args.num_classes:,} | {args.sample_rate:g} | {ratios} '
            f'| {ours["peak_mib"] / state_mib(args):.3f} |',
            flush=True,
        )


def print_growth(args: argparse.Namespace) -> None:
    """Time of a step at a fixed number of sampled classes."""
    sizes, sampled = (250_000, 1_000_000, 2_000_000), 20_000
    times: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(args.turns):
        for args.num_classes in sizes:
            args.sample_rate = sampled / args.num_classes
            times[args.num_classes].append(run_worker(args, 'ours')['total'])
    print('| classes | time / time at the fewest |\n|---|---|')
    medians = {size: statistics.median(found) for size, found in times.items()}
    for size, median in medians.items():
        print(f'| {size:,} | {median / medians[sizes[0]]:.2f} |')


def main() -> None:
    """Compare, or measure as a worker."""
    args = parse_args()
    if args.worker:
        print(json.dumps(measure(args)))
    elif args.grid:
        print_markdown(args)
    elif args.growth:
        print_growth(args)
    else:
        print_table(args, compare(args))


if __name__ == '__main__':
    main()
