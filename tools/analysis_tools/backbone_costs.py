"""What the network of a config costs: parameters, FLOPs, memory, time.

    python tools/analysis_tools/backbone_costs.py CONFIG [CONFIG ...]

Backbone and neck alone, for one image. FLOPs are multiply-adds of
convolutions, matrix products and attention, halved from PyTorch's counter
(`torch.utils.flop_counter`), which counts both.

With --train-step, a forward and backward pass with gradient checkpointing
(`with_cp`) is measured against one without, each in a process of its own, in
turn (A B A B). Memory is the peak above weights and gradients; ratios are
checkpointed / plain, so memory below 1 is saved.
"""

import argparse
import ctypes
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch
from mmengine.config import Config, DictAction
from process_memory import held_mib, peak_mib
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import mmdense  # noqa: F401  (configs named mmdense::, compiled ops)
from mmdense.registry import MODELS


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('configs', nargs='+')
    parser.add_argument('--img-size', type=int, default=112, help='pixels')
    parser.add_argument(
        '--train-step', action='store_true', help='measure a training step'
    )
    parser.add_argument('--batch-size', type=int, default=16)
    parser.add_argument('--turns', type=int, default=3, help='A B, A B ...')
    parser.add_argument(
        '--device', default='cuda' if torch.cuda.is_available() else 'cpu'
    )
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    return parser.parse_args()


def build(model: dict, with_cp: bool | None = None) -> nn.Module:
    """Backbone and neck as one module.

    Args:
        model: The config of a classifier.
        with_cp: Of the backbone; None for what the config says.
    """
    backbone = dict(model['backbone'])
    if with_cp is not None:
        backbone['with_cp'] = with_cp
    return nn.Sequential(MODELS.build(backbone), MODELS.build(model['neck']))


def multiply_adds(network: nn.Module, img_size: int) -> float:
    """Of one image, in units of 1e9."""
    counter = FlopCounterMode(display=False)
    images = torch.zeros(1, 3, img_size, img_size)
    # Attention as plain products, which the counter knows on any device.
    with torch.no_grad(), counter, sdpa_kernel(SDPBackend.MATH):
        network.eval()(images)
    return counter.get_total_flops() / 2e9


def train_step(
    model: dict, with_cp: bool, img_size: int, batch_size: int, device: str
) -> tuple[float, float]:
    """Peak memory above weights and gradients (MiB) and seconds.

    On a CPU the seconds are of the processor, so that other programs on the
    machine do not count.
    """
    if device == 'cpu':
        # M_MMAP_THRESHOLD of glibc: tensors that are freed go back to the
        # system at once, so the process is as large as what is alive.
        ctypes.CDLL(None).mallopt(-3, 2**16)
    torch.manual_seed(0)
    network = build(model, with_cp).to(device).train()
    for param in network.parameters():
        param.grad = torch.zeros_like(param)
    images = torch.randn(batch_size, 3, img_size, img_size, device=device)
    cuda = images.is_cuda
    # Libraries are loaded and their workspaces made.
    network(images[:2])[0].sum().backward()
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated() / 2**20 if cuda else held_mib()
    clock = time.perf_counter if cuda else time.process_time
    start = clock()
    network(images)[0].sum().backward()
    if cuda:
        torch.cuda.synchronize()
    seconds = clock() - start
    peak = torch.cuda.max_memory_allocated() / 2**20 if cuda else peak_mib()
    return peak - before, seconds


def compare(model: dict, args: argparse.Namespace) -> tuple[float, float]:
    """Ratios of memory and time, checkpointed / plain."""
    found: dict[bool, list] = {False: [], True: []}
    for _ in range(args.turns):
        for with_cp, results in found.items():
            with ProcessPoolExecutor(1, get_context('spawn')) as pool:
                results.append(
                    pool.submit(
                        train_step,
                        model,
                        with_cp,
                        args.img_size,
                        args.batch_size,
                        args.device,
                    ).result()
                )
    plain, checkpointed = (
        [statistics.median(column) for column in zip(*results, strict=True)]
        for results in found.values()
    )
    memory, seconds = (
        after / before
        for before, after in zip(plain, checkpointed, strict=True)
    )
    return memory, seconds


def main() -> None:
    """Print the table, row by row as it is measured."""
    args = parse_args()
    header = '| config | parameters (M) | FLOPs (G) |'
    if args.train_step:
        header += ' memory with / without | time with / without |'
    print(header + '\n' + '|---' * (header.count('|') - 1) + '|')
    for path in args.configs:
        config = Config.fromfile(path)
        if args.cfg_options:
            config.merge_from_dict(args.cfg_options)
        model = config.model.to_dict()
        network = build(model)
        count = sum(p.numel() for p in network.parameters()) / 1e6
        flops = multiply_adds(network, args.img_size)
        row = f'| {path} | {count:.1f} | {flops:.2f} |'
        if args.train_step:
            memory, seconds = compare(model, args)
            row += f' {memory:.2f} | {seconds:.2f} |'
        print(row, flush=True)


if __name__ == '__main__':
    main()
