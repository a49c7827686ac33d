"""Gradient checkpointing that leaves BatchNorm's statistics right."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def run_blocks(
    blocks: Iterable[nn.Module], x: Tensor, with_cp: bool
) -> Tensor:
    """Apply blocks in turn, with or without gradient checkpointing.

    With it a block keeps its input alone, and the backward pass computes the
    rest again (Chen et al., "Training deep nets with sublinear memory cost",
    2016). Outputs and gradients are the same: random numbers and autocast are
    restored, and running statistics see each batch once.

    Args:
        blocks: Modules from one tensor to one tensor.
        x: The input of the first. Blocks before the first trainable one have
            no gradients to save memory for, and are run plainly.
        with_cp: Whether to checkpoint.

    Returns:
        The output of the last.
    """
    for block in blocks:
        if with_cp and x.requires_grad:
            x = _checkpointed(block, x)
        else:
            x = block(x)
    return x


def _checkpointed(block: nn.Module, x: Tensor) -> Tensor:
    if torch.compiler.is_compiling():
        # The compiler takes no contexts.
        return checkpoint(block, x, use_reentrant=False)
    return checkpoint(
        block, x, use_reentrant=False, context_fn=partial(_contexts, block)
    )


def _contexts(
    block: nn.Module,
) -> tuple[AbstractContextManager, AbstractContextManager]:
    return nullcontext(), _buffers_kept(block)


@contextmanager
def _buffers_kept(block: nn.Module) -> Iterator[None]:
    """Let the block write to copies of its buffers.

    Else the second forward pass would count the batch twice. Switching
    `track_running_stats` off instead would save other tensors than the first
    pass did, which checkpointing refuses.
    """
    kept = [
        (module, name, buffer)
        for module in block.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    for module, name, buffer in kept:
        setattr(module, name, buffer.clone())
    try:
        yield
    finally:
        for module, name, buffer in kept:
            setattr(module, name, buffer)
