"""Search of a gallery that is sharded over ranks, in bounded memory."""

from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import normalize

from mmdense.distributed.collectives import (
    all_reduce_max,
    all_reduce_sum,
    collective_device,
    gather_batch,
    gather_sizes,
    raise_on_all_ranks,
    world_size,
)

from .identification import Identification

# Rows of the products of single pairs that are computed at once.
_PAIRS = 16384


@torch.no_grad()
def search_gallery(
    queries: Tensor,
    query_labels: Tensor,
    gallery: Tensor,
    gallery_labels: Tensor,
    query_ids: Tensor | None = None,
    gallery_ids: Tensor | None = None,
    device: torch.device | str | None = None,
    query_block: int = 512,
    gallery_chunk: int = 8192,
) -> Identification:
    """Rank the mates of each query by cosine, exactly.

    Each rank holds a part of the queries and a part of the gallery; every
    rank must call this. Neither the scores of a query with the whole gallery
    nor a sorted gallery is ever held: the scores of the mates are computed
    first, and then it is counted, chunk by chunk, how many other identities
    score as high as each. Memory beside the arguments is a few times
    `query_block` x (`gallery_chunk` + the most mates of a query) numbers.

    Args:
        queries: (q, d) embeddings of this rank, of any length.
        query_labels: (q,) int64 identities.
        gallery: (n, d) embeddings of this rank, of any length.
        gallery_labels: (n,) int64 identities.
        query_ids: (q,) int64 numbers of the samples. A gallery sample of the
            query's own number is left out of the search, as when every
            sample is searched for among all others. None for no such.
        gallery_ids: (n,), with `query_ids`.
        device: Where to compute; None: where the queries are.
        query_block: Queries at a time, over all ranks.
        gallery_chunk: Gallery rows at a time.

    Returns:
        The outcome of the queries of all ranks, in rank order, on all ranks.

    Raises:
        ValueError: Shapes do not fit, an embedding is not finite, or there
            is no query or no gallery on any rank; on all ranks.
    """
    raise_on_all_ranks(
        _problem(queries, query_labels, gallery, gallery_labels)
    )
    device = torch.device(device or queries.device)
    comm = collective_device(device)
    sizes = gather_sizes(len(queries), comm)
    for what, count in (
        ('query', sum(sizes)),
        ('gallery sample', sum(gather_sizes(len(gallery), comm))),
    ):
        if not count:
            raise ValueError(f'there is no {what} on any rank')
    shard = _Shard(gallery, gallery_labels, gallery_ids, device)
    ids = query_labels if query_ids is None else query_ids
    share = max(query_block // world_size(), 1)
    parts = []
    for start in range(0, max(sizes), share):
        mine = slice(start, start + share)
        counts = [min(max(size - start, 0), share) for size in sizes]
        block = _Block(
            normalize(_gather(queries[mine], counts, comm).to(device)),
            _gather(query_labels[mine], counts, comm).to(device),
            _gather(ids[mine], counts, comm).to(device),
        )
        found = _search_block(block, shard, gallery_chunk, comm)
        begin = sum(counts[: dist.get_rank()]) if len(sizes) > 1 else 0
        parts.append(
            [x[begin : begin + len(queries[mine])].to(comm) for x in found]
        )
    columns = [
        gather_batch(torch.cat(column), sizes).cpu().numpy()
        for column in zip(*parts, strict=True)
    ]
    return Identification(*columns)


class _Block(NamedTuple):
    """Queries that are searched together: those of all ranks."""

    unit: Tensor
    labels: Tensor
    ids: Tensor


class _Shard:
    """The gallery of this rank, with its rows findable by label and id."""

    def __init__(
        self,
        rows: Tensor,
        labels: Tensor,
        ids: Tensor | None,
        device: torch.device,
    ) -> None:
        self.rows, self.device = rows, device
        self.by_label = labels.to(device).sort(stable=True)
        self.by_id = None if ids is None else ids.to(device).sort()

    def unit(self, index: Tensor | slice) -> Tensor:
        """Some rows, of length 1, on the device."""
        if isinstance(index, Tensor):
            index = index.to(self.rows.device)
        return normalize(self.rows[index].to(self.device))


def _search_block(
    block: _Block, shard: _Shard, gallery_chunk: int, comm: torch.device
) -> tuple[Tensor, ...]:
    """The fields of Identification for the queries of a block."""
    pairs = _pairs(block.labels, *shard.by_label)
    hidden = pairs  # from the search for other identities
    if shard.by_id is not None:
        own = _pairs(block.ids, *shard.by_id)
        hidden = torch.cat([pairs, own], dim=1)
        size = len(shard.rows)
        same = torch.isin(pairs[0] * size + pairs[1], own[0] * size + own[1])
        pairs = pairs[:, ~same]
    mates = _mate_scores(block, shard, pairs, comm)  # (B, M), ascending
    num_mates = mates.isfinite().sum(dim=1)

    # What differs from a mate by rounding alone counts as equal to it.
    floor = mates - 8 * torch.finfo(mates.dtype).eps
    # (B, M + 1): how many others have how many mates at or below them.
    counts = torch.zeros(
        len(mates), mates.shape[1] + 1, dtype=torch.int64, device=mates.device
    )
    other = mates.new_full((len(mates),), -torch.inf)
    hidden = hidden[:, hidden[1].argsort()]
    for start in range(0, len(shard.rows), gallery_chunk):
        part = shard.unit(slice(start, start + gallery_chunk))
        scores = block.unit @ part.T
        ends = torch.tensor([start, start + len(part)], device=mates.device)
        begin, end = torch.searchsorted(hidden[1].contiguous(), ends).tolist()
        row, column = hidden[:, begin:end]
        scores[row, column - start] = -torch.inf
        other = torch.maximum(other, scores.amax(dim=1))
        # Few reach even the worst mate, and the search is the costly part.
        row, column = (scores >= floor[:, :1]).nonzero().T
        high = _padded(row, scores[row, column], len(mates), -torch.inf)
        above = torch.searchsorted(floor, high, right=True)
        counts.scatter_add_(1, above, torch.ones_like(above))
    counts = all_reduce_sum(counts.to(comm)).to(mates.device)
    other = all_reduce_max(other.to(comm)).to(mates.device)

    # Others at or above each mate: those with more mates below them.
    ahead = counts.flip(1).cumsum(dim=1).flip(1)[:, 1:]
    # Of m mates in ascending order, number j is the (m - j)-th best.
    places = num_mates[:, None] - torch.arange(
        mates.shape[1], device=mates.device
    )
    is_mate = places > 0
    precision = places.double() / (places + ahead).clamp_min(1)
    total = torch.where(is_mate, precision, 0).sum(dim=1)
    best = (num_mates - 1).clamp_min(0)[:, None]
    found = num_mates > 0
    first = (places + ahead).gather(1, best).squeeze(1)
    score = mates.gather(1, best).squeeze(1)
    return (
        num_mates,
        torch.where(found, first, 0),
        total / num_mates.clamp_min(1),
        torch.where(found, score, -torch.inf).double(),
        other.double(),
    )


def _pairs(wanted: Tensor, keys: Tensor, order: Tensor) -> Tensor:
    """All (place in `wanted`, gallery row) of equal keys, (2, P)."""
    begin = torch.searchsorted(keys, wanted)
    counts = torch.searchsorted(keys, wanted, right=True) - begin
    query = torch.arange(len(wanted), device=wanted.device)
    query = query.repeat_interleave(counts)
    starts = (counts.cumsum(0) - counts)[query]
    within = torch.arange(len(query), device=wanted.device) - starts
    return torch.stack([query, order[begin[query] + within]])


def _mate_scores(
    block: _Block, shard: _Shard, pairs: Tensor, comm: torch.device
) -> Tensor:
    """(B, M) scores of the mates on all ranks, ascending, then +inf; M > 0."""
    scores = torch.cat(
        [block.unit.new_empty(0)]
        + [
            (block.unit[query] * shard.unit(row)).sum(dim=1)
            for query, row in pairs.split(_PAIRS, dim=1)
        ]
    )
    sizes = gather_sizes(len(scores), comm)
    scores = gather_batch(scores.to(comm), sizes).to(block.unit.device)
    query = gather_batch(pairs[0].to(comm), sizes).to(block.unit.device)
    # By query, and by score within a query.
    order = scores.argsort()
    order = order[query[order].argsort(stable=True)]
    query, scores = query[order], scores[order]
    return _padded(query, scores, len(block.unit), torch.inf)


def _padded(rows: Tensor, values: Tensor, size: int, fill: float) -> Tensor:
    """Values of ascending rows as a matrix (size, most in a row), filled up.

    It has at least one column.
    """
    counts = torch.bincount(rows, minlength=size)
    starts = counts.cumsum(0) - counts
    within = torch.arange(len(rows), device=rows.device) - starts[rows]
    matrix = values.new_full((size, max(int(counts.max()), 1)), fill)
    matrix[rows, within] = values
    return matrix


def _problem(
    queries: Tensor,
    query_labels: Tensor,
    gallery: Tensor,
    gallery_labels: Tensor,
) -> ValueError | None:
    """What is wrong with the arguments of this rank."""
    for name, rows, labels in (
        ('queries', queries, query_labels),
        ('gallery', gallery, gallery_labels),
    ):
        if rows.ndim != 2 or labels.shape != rows.shape[:1]:
            return ValueError(
                f'{name} and their labels must have shapes (n, d) and (n,), '
                f'got {tuple(rows.shape)} and {tuple(labels.shape)}'
            )
        # By parts: a mask of a whole gallery would be large.
        if not all(part.isfinite().all() for part in rows.split(_PAIRS)):
            return ValueError(
                f'an embedding of the {name} is NaN or infinite; look for '
                'broken images'
            )
    if queries.shape[1] != gallery.shape[1]:
        return ValueError(
            f'queries have {queries.shape[1]} dimensions, the gallery '
            f'{gallery.shape[1]}'
        )
    return None


def _gather(x: Tensor, counts: list[int], comm: torch.device) -> Tensor:
    return gather_batch(x.to(comm), counts)
