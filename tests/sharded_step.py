"""One step of the sharded softmax on this rank, in any precision."""

import numpy as np
import torch
import torch.distributed as dist

import mmdense.recognition.models  # noqa: F401
from mmdense.distributed.collectives import gather_batch, gather_sizes
from mmdense.distributed.sharding import shard_range
from mmdense.recognition.functional.sharded_softmax import margin_softmax_loss
from mmdense.registry import MODELS


def place(dtype):
    """My rank, the number of ranks, and the torch type of that name."""
    rank, size = 0, 1
    if dist.is_initialized():
        rank, size = dist.get_rank(), dist.get_world_size()
    return rank, size, getattr(torch, dtype)


def sharded_step(
    embeddings,
    centers,
    labels,
    loss,
    dtype,
    index=None,
    chunk_size=None,
    filter_threshold=None,
) -> dict:
    """Loss and gradients of this rank.

    Args:
        embeddings: For each rank an array (b, d).
        centers: (C, d) of all ranks.
        labels: For each rank an array (b,) of classes.
        loss: Config of the margin loss.
        dtype: Name of a floating point type.
        index: For each rank the local rows in use, or None for all.
        chunk_size: Of the softmax.
        filter_threshold: Of the softmax.
    """
    rank, size, dtype = place(dtype)
    start, stop = shard_range(len(centers), rank, size)
    x = torch.tensor(embeddings[rank]).to(dtype).requires_grad_()
    weight = torch.tensor(centers[start:stop]).to(dtype).requires_grad_()
    norm = x.norm(dim=1, keepdim=True)
    sizes = gather_sizes(len(x), x.device)
    gathered = gather_batch(torch.cat([x / norm, norm], dim=1), sizes)
    everyone = gather_batch(torch.tensor(labels[rank]), sizes)
    local = torch.where(
        (everyone >= start) & (everyone < stop), everyone - start, -1
    )
    rows = None
    if index is not None:
        rows = torch.tensor(index[rank])
        local = torch.where(
            local >= 0, torch.searchsorted(rows, local.clamp_min(0)), -1
        )
    value, cosine = margin_softmax_loss(
        gathered[:, :-1],
        gathered[:, -1],
        weight,
        local,
        MODELS.build(loss),
        rows,
        filter_threshold,
        chunk_size,
    )
    value.backward()
    grad = weight.grad
    assert grad.is_sparse == (rows is not None)
    if grad.is_sparse:
        assert torch.equal(grad.coalesce().indices()[0], rows)
        grad = grad.to_dense()
    return dict(
        loss=value.item(),
        cosine=cosine.numpy(),
        embeddings=x.grad.numpy(),
        centers=grad.numpy(),
    )


def put_together(parts: list[dict]) -> tuple[float, np.ndarray, np.ndarray]:
    """Loss and the gradients of all ranks, without the factor k."""
    losses = {part['loss'] for part in parts}
    assert len(losses) == 1, 'the loss must be the same on all ranks'
    embeddings = np.concatenate([part['embeddings'] for part in parts])
    return (
        losses.pop(),
        embeddings / len(parts),
        np.concatenate([part['centers'] for part in parts]),
    )
