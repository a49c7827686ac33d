"""The classes nearest to an embedding, over all ranks."""

import torch
from torch import Tensor

from mmdense.distributed.collectives import gather_batch, gather_sizes, rank

from .softmax_chunks import normalized_rows


@torch.no_grad()
def nearest_classes(
    unit: Tensor, weight: Tensor, first: int, k: int, chunk_size: int = 8192
) -> tuple[Tensor, Tensor]:
    """The k classes with the greatest cosines, exactly.

    The embeddings of all ranks visit the classes of all ranks; every rank
    must call it. Memory is bounded by the chunk, not by the classes.

    Args:
        unit: (b, d) embeddings of this rank, of length 1.
        weight: (n, K * d) centers of this rank, K a class.
        first: Number of the first class of this rank.
        k: How many classes, at most those of all ranks.
        chunk_size: Classes per chunk.

    Returns:
        (b, k) cosines, descending, and (b, k) classes.
    """
    sizes = gather_sizes(len(unit), unit.device)
    everyone = gather_batch(unit, sizes)
    # Slots a small shard cannot fill: class -1, below any cosine.
    scores = everyone.new_full((len(everyone), k), -2.0)
    labels = torch.full_like(scores, -1, dtype=torch.int64)
    for start in range(0, len(weight), chunk_size):
        part = weight[start : start + chunk_size]
        rows, _ = normalized_rows(part, None, unit.shape[1])
        cosine = (everyone @ rows.T).unflatten(1, (len(part), -1)).amax(dim=2)
        numbers = torch.arange(len(part), device=unit.device) + first + start
        scores, labels = _best(
            torch.cat([scores, cosine], dim=1),
            torch.cat([labels, numbers.expand(len(everyone), -1)], dim=1),
            k,
        )
    # The ranks hold equal shapes here, so the rows of all come in rank order.
    same = [len(everyone)] * len(sizes)
    if len(sizes) > 1:
        scores = torch.cat(gather_batch(scores, same).chunk(len(sizes)), dim=1)
        labels = torch.cat(gather_batch(labels, same).chunk(len(sizes)), dim=1)
        scores, labels = _best(scores, labels, k)
    mine = slice(sum(sizes[: rank()]), sum(sizes[: rank() + 1]))
    return scores[mine], labels[mine]


def _best(scores: Tensor, labels: Tensor, k: int) -> tuple[Tensor, Tensor]:
    scores, places = scores.topk(k, dim=1)
    return scores, labels.gather(1, places)
