"""One chunk of classes of the streamed softmax."""

import copy
import math
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

_TINY_NORM = 1e-12

M = TypeVar('M')


class Margin(Protocol):
    """What the softmax asks of a margin loss.

    Attributes:
        scale: s, the factor of all logits.
        max_negative: Upper bound on the magnitude of what `negatives`
            returns.
        changes_negatives: Whether `negatives` is to be called.
    """

    scale: float
    max_negative: float
    changes_negatives: bool

    def target(self, cosine: Tensor, norm: Tensor) -> Tensor:
        """The target's entry, (B,), from its cosine and the norm, (B,)."""

    def negatives(self, cosine: Tensor, target_cosine: Tensor) -> Tensor:
        """The negatives' entries, (B, c), from their cosines."""

    def update(self, cosine: Tensor, norm: Tensor) -> None:
        """Take the (B,) cosines and norms into running statistics."""


def normalized_rows(
    weight: Tensor, index: Tensor | None, dim: int
) -> tuple[Tensor, Tensor]:
    """Centers of length 1 and the reciprocals of their lengths.

    Args:
        weight: (n, K * d), K centers a class.
        index: (c,) classes to take, or None for all.
        dim: d.

    Returns:
        (c * K, d) and (c * K, 1).
    """
    rows = weight if index is None else weight.index_select(0, index)
    rows = rows.reshape(-1, dim)
    scale = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    scale = scale.clamp_min_(_TINY_NORM).reciprocal_()
    return rows * scale, scale


@dataclass
class Chunk:
    """The logits of some classes and what the backward pass needs of them.

    Attributes:
        logits: (B, c), -inf in the columns of the targets.
        slope: (B, c) derivative of the entries by the cosines, None for 1.
        winner: (B, c) which of the K centers of a class is nearest, None
            for K = 1.
    """

    logits: Tensor
    slope: Tensor | None
    winner: Tensor | None

    def spread(self, values: Tensor, num_subcenters: int) -> Tensor:
        """From (B, c) over classes to (B, c * K) over centers."""
        if self.winner is None:
            return values
        spread = values.new_zeros(*values.shape, num_subcenters)
        spread.scatter_(2, self.winner[..., None], values[..., None])
        return spread.flatten(1)


class Rows(NamedTuple):
    """Centers of a chunk.

    Attributes:
        unit: (c * K, d) of length 1.
        scale: (c * K, 1) reciprocals of their lengths.
        raw: (c * K, d) as they are.
    """

    unit: Tensor
    scale: Tensor
    raw: Tensor


@dataclass
class ClassChunks:
    """The sampled classes of a rank, a chunk at a time.

    Attributes:
        unit: (B, d) embeddings of length 1.
        weight: (n, K * d) centers.
        index: (m,) sampled classes or None for all.
        labels: (B,) places of the targets among the sampled, -1 elsewhere.
        margin: The margin.
        target_cosine: (B,) for margins that change negatives, else None.
        filter_threshold: Negatives with a greater cosine count as 0.
        size: Classes per chunk.
        buffers: Memory in use; see :meth:`buffer`.
    """

    unit: Tensor
    weight: Tensor
    index: Tensor | None
    labels: Tensor
    margin: Margin
    target_cosine: Tensor | None
    filter_threshold: float | None
    size: int
    buffers: dict[str, Tensor] = field(default_factory=dict)

    @property
    def num_classes(self) -> int:
        """How many classes take part, m."""
        return len(self.weight if self.index is None else self.index)

    @property
    def num_subcenters(self) -> int:
        """Centers a class, K."""
        return self.weight.shape[1] // self.unit.shape[1]

    def starts(self) -> range:
        """The first class of each chunk."""
        return range(0, self.num_classes, self.size)

    def classes(self, start: int) -> Tensor | slice:
        """Where the classes of a chunk are in `weight`."""
        if self.index is None:
            return slice(start, start + self.size)
        return self.index[start : start + self.size]

    def rows(self, start: int) -> Rows:
        """The centers of the chunk that begins at class `start`.

        They are in buffers that the next call overwrites: fresh memory for
        each chunk would cost a CPU more, in page faults, than the
        arithmetic.
        """
        classes, dim = self.classes(start), self.unit.shape[1]
        if isinstance(classes, slice):
            raw = self.weight[classes]
        else:
            shape = (len(classes), self.weight.shape[1])
            raw = self.buffer('raw', *shape)
            torch.index_select(self.weight, 0, classes, out=raw)
        raw = raw.view(-1, dim)
        scale = torch.linalg.vector_norm(raw, dim=1, keepdim=True)
        scale = scale.clamp_min_(_TINY_NORM).reciprocal_()
        unit = torch.mul(raw, scale, out=self.buffer('unit', *raw.shape))
        return Rows(unit, scale, raw)

    def buffer(self, name: str, rows: int, columns: int) -> Tensor:
        """A (rows, columns) tensor of any content, reused by name."""
        found = self.buffers.get(name)
        if found is None or found.numel() < rows * columns:
            found = self.unit.new_empty(rows * columns)
            self.buffers[name] = found
        return found[: rows * columns].view(rows, columns)

    def chunk(self, start: int, rows: Tensor, reuse: bool = False) -> Chunk:
        """The logits of the chunk that begins at class `start`.

        Args:
            start: The first class.
            rows: (c * K, d) its centers of length 1.
            reuse: Whether the logits may be in a buffer that the next call
                overwrites.
        """
        if reuse:
            entries = self.buffer('logits', len(self.unit), len(rows))
            torch.mm(self.unit, rows.T, out=entries)
        else:
            entries = self.unit @ rows.T
        slope = winner = None
        if self.num_subcenters > 1:
            by_class = entries.unflatten(1, (-1, self.num_subcenters))
            entries, winner = by_class.max(dim=2)
        if self.filter_threshold is not None:
            kept = entries <= self.filter_threshold
            entries = entries * kept
            slope = kept.to(entries.dtype)
        if self.target_cosine is not None:
            entries, inner = self._negatives(entries, self.target_cosine)
            slope = inner if slope is None else slope * inner
        logits = entries.mul_(self.margin.scale)
        put_targets(logits, self.labels, start, -math.inf)
        return Chunk(logits, slope, winner)

    def _negatives(
        self, cosine: Tensor, target_cosine: Tensor
    ) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            cosine = cosine.detach().requires_grad_()
            entries = self.margin.negatives(cosine, target_cosine)
            (slope,) = torch.autograd.grad(entries.sum(), cosine)
        return entries.detach(), slope


def with_own_buffers(margin: M) -> M:
    """`margin` as it is now, whatever batches it takes from here on.

    Args:
        margin: The margin, whose running statistics are buffers, its own or
            those of modules in it.

    Returns:
        A copy with buffers of its own, all else shared; `margin` itself if
        it is no module.
    """
    if not isinstance(margin, nn.Module):
        return margin
    kept = copy.copy(margin)
    kept._buffers = {
        name: value if value is None else value.clone()
        for name, value in margin._buffers.items()
    }
    kept._modules = {
        name: with_own_buffers(module)
        for name, module in margin._modules.items()
    }
    return kept


def put_targets(
    chunk: Tensor, labels: Tensor, start: int, values: Tensor | float
) -> Tensor:
    """Overwrite the target entries of a (B, c) chunk, in place.

    A gather and a scatter over one column a row: unlike indexing by the rows
    whose target is in the chunk, that needs no synchronisation on a GPU.
    """
    columns = labels - start
    inside = (columns >= 0) & (columns < chunk.shape[1])
    columns = columns.clamp(0, chunk.shape[1] - 1)[:, None]
    kept = chunk.gather(1, columns).squeeze(1)
    if not isinstance(values, Tensor):
        values = torch.full_like(kept, values)
    return chunk.scatter_(
        1, columns, torch.where(inside, values, kept)[:, None]
    )
