"""Collectives over batches whose size may differ from rank to rank.

Without a process group, or in one of a single rank, each is the identity.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar('T')


def world_size() -> int:
    """Ranks of the default process group, 1 without one."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """My rank in the default process group, 0 without one."""
    return dist.get_rank() if dist.is_initialized() else 0


def all_reduce_sum(x: Tensor) -> Tensor:
    """The sum of `x` over ranks, in place, without gradient."""
    if world_size() > 1:
        dist.all_reduce(x)
    return x


def all_reduce_max(x: Tensor) -> Tensor:
    """The maximum of `x` over ranks, in place, without gradient."""
    if world_size() > 1:
        dist.all_reduce(x, op=dist.ReduceOp.MAX)
    return x


def gather_sizes(size: int, device: torch.device) -> list[int]:
    """The value of `size` on every rank, in rank order."""
    if world_size() == 1:
        return [size]
    sizes = torch.zeros(world_size(), dtype=torch.int64, device=device)
    sizes[dist.get_rank()] = size
    dist.all_reduce(sizes)
    return sizes.tolist()


def gather_batch(x: Tensor, sizes: list[int]) -> Tensor:
    """The rows of all ranks, in rank order.

    Differentiable. The gradient that arrives on each rank is taken for that
    rank's share, as it is when every rank owns other classes: the shares
    are summed, and multiplied by the number of ranks, because DDP will
    divide by it when it averages gradients over ranks.

    Args:
        x: (b, ...) rows of this rank.
        sizes: The b of every rank; see :func:`gather_sizes`.

    Returns:
        (sum of `sizes`, ...).
    """
    if world_size() == 1:
        return x
    return _GatherBatch.apply(x, sizes)


class _GatherBatch(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, sizes: list[int]) -> Tensor:
        ctx.sizes = sizes
        longest = max(sizes)
        padded = x.new_zeros(longest, *x.shape[1:])
        padded[: len(x)] = x
        everyone = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(everyone, padded)
        return torch.cat(
            [part[:size] for part, size in zip(everyone, sizes, strict=True)]
        )

    @staticmethod
    def backward(ctx, grad: Tensor):
        sizes, rank = ctx.sizes, dist.get_rank()
        if dist.get_backend() == 'nccl' and len(set(sizes)) == 1:
            mine = grad.new_empty(sizes[rank], *grad.shape[1:])
            dist.reduce_scatter_tensor(mine, grad.contiguous())
        else:
            # gloo has no reduce-scatter, and the tensor form needs equal
            # parts; the sum of all parts costs one factor of traffic more.
            grad = grad.contiguous().clone()
            dist.all_reduce(grad)
            start = sum(sizes[:rank])
            mine = grad[start : start + sizes[rank]]
        return mine * len(sizes), None


def gather_objects(x: Any) -> list[Any]:
    """The picklable `x` of every rank, in rank order."""
    if world_size() == 1:
        return [x]
    everyone = [None] * world_size()
    dist.all_gather_object(everyone, x)
    return everyone


def object_of_rank_0(x: Any) -> Any:
    """The picklable `x` of rank 0, on every rank."""
    if world_size() == 1:
        return x
    box = [x]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def on_rank_0(compute: Callable[[], T]) -> T | None:
    """Run something there alone; what it raises is raised on every rank.

    Returns:
        What it returns, on rank 0; None on others.
    """
    result, error = None, None
    if rank() == 0:
        try:
            result = compute()
        except Exception as problem:
            error = problem
    raise_on_all_ranks(error)
    return result


def collective_device(device: torch.device) -> torch.device:
    """Where the process group takes tensors: the CPU, but for NCCL.

    Args:
        device: What to return with NCCL or without a process group.
    """
    if world_size() > 1 and dist.get_backend() != 'nccl':
        return torch.device('cpu')
    return device


def raise_on_all_ranks(error: Exception | None) -> None:
    """Raise on every rank if any rank has an error; else do nothing.

    A rank that raised alone would leave the others waiting in their next
    collective. Every rank must call this.

    Args:
        error: What went wrong on this rank, or None.

    Raises:
        Exception: `error` itself on the ranks that have one.
        RuntimeError: On the others, naming the first rank that failed.
    """
    if world_size() > 1:
        mine = None if error is None else f'{type(error).__name__}: {error}'
        messages = gather_objects(mine)
        failed = [i for i, message in enumerate(messages) if message]
        if failed and error is None:
            raise RuntimeError(
                f'rank {failed[0]} failed: {messages[failed[0]]}'
            )
    if error is not None:
        raise error
