"""Softmax cross-entropy over classes that are split over ranks.

The logits of a step are B x m floats, B the global batch and m the classes
sampled on a rank; they are never held together. Classes are visited in
chunks, twice: once for the sums of exponentials and the gradient of the
embeddings, and once, in the backward pass, for the gradient of the centers.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmdense.distributed.collectives import all_reduce_max, all_reduce_sum
from mmdense.distributed.sparse import sparse_rows

from .softmax_chunks import (
    Chunk,
    ClassChunks,
    Margin,
    normalized_rows,
    put_targets,
    with_own_buffers,
)

# exp(+-64) and sums of 1e10 such terms are inside float32's range, so up to
# this bound on the logits the softmax needs no maximum.
_MAX_SAFE_LOGIT = 64.0


def margin_softmax_loss(
    unit: Tensor,
    norm: Tensor,
    weight: Tensor,
    labels: Tensor,
    margin: Margin,
    index: Tensor | None = None,
    filter_threshold: float | None = None,
    chunk_size: int | None = None,
    cache_bytes: int = 64 * 2**20,
) -> tuple[Tensor, Tensor]:
    r"""Margin softmax cross-entropy of a global batch, on a shard of classes.

    .. math::
        L = -\frac{1}{B} \sum_i \log \frac{e^{s\,t_i}}
            {e^{s\,t_i} + \sum_{j \ne y_i} e^{s\,n_{ij}}}

    where :math:`t_i` is the margin's target entry, :math:`n_{ij}` the entry
    of a negative, most often :math:`\cos\theta_{ij}`, and the sum runs over
    the sampled classes of all ranks. One all-reduce of 2 B floats is all the
    communication; one more of B floats where the margin changes negatives,
    and where logits may exceed 64.

    The gradients are those of L itself. That of `unit` and `norm` is this
    rank's share, to be summed over ranks, which
    :func:`~mmdense.distributed.collectives.gather_batch` does.

    Args:
        unit: (B, d) embeddings of the global batch, of length 1.
        norm: (B,) their norms before, as some margins depend on them.
        weight: (n, K * d) centers of this rank, of any length, K a class;
            a class is as near as the nearest of its centers. If it has an
            attribute `update_rows`, that is called with the classes of each
            chunk, their gradient and their rows, both of which it may
            overwrite, and no gradient is returned.
        labels: (B,) int64, the place of the target among the sampled
            classes of this rank, -1 where another rank owns the class.
        margin: The margin.
        index: (m,) int64, sorted and distinct: the sampled classes. The
            gradient of `weight` is then a sparse COO tensor of these rows.
            None takes all classes, with a dense gradient.
        filter_threshold: Negatives with a cosine above this count as
            cosine 0 and take no gradient (the inter-class filter of An et
            al., CVPR 2022, against classes that are one identity).
        chunk_size: Classes per chunk; None: :func:`default_chunk_size`.
        cache_bytes: Exponentials of the first pass that are kept for the
            second; those beyond are computed again.

    Returns:
        L, a scalar, the same on all ranks, and the (B,) cosines of the
        targets, without gradient.
    """
    if chunk_size is None:
        chunk_size = default_chunk_size(unit.device.type, len(unit))
    options = (margin, index, filter_threshold, chunk_size, cache_bytes)
    with torch.autocast(unit.device.type, enabled=False):
        return _MarginSoftmax.apply(unit, norm, weight, labels, options)


def default_chunk_size(device_type: str, batch_size: int) -> int:
    """Classes of a chunk.

    Args:
        device_type: Of the device.
        batch_size: Of the global batch.
    """
    if device_type == 'cpu':  # measured: the chunk stays in the cache
        return 1024
    # Fewer kernel launches matter more, but logits stay below 128 MiB as
    # long as there are 1,024 classes to a launch.
    return min(max(2**25 // max(batch_size, 1), 1024), 32768)


def _target_cosines(chunks: ClassChunks) -> tuple[Tensor, Tensor]:
    """Cosines (B,) and nearest centers (B, d) of the targets.

    Both are 0 where another rank owns the class.
    """
    unit, labels = chunks.unit, chunks.labels
    owned = labels >= 0
    if chunks.num_classes == 0:
        return unit.new_zeros(len(unit)), torch.zeros_like(unit)
    classes = labels.clamp_min(0)
    if chunks.index is not None:
        classes = chunks.index[classes]
    rows, _ = normalized_rows(chunks.weight, classes, unit.shape[1])
    rows = rows.unflatten(0, (len(unit), -1))
    cosine, winner = (unit[:, None] * rows).sum(dim=2).max(dim=1)
    rows = rows[torch.arange(len(unit), device=unit.device), winner]
    return cosine * owned, rows * owned[:, None]


def _target_entries(
    margin: Margin, cosine: Tensor, norm: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The margin's targets (B,) and their slopes by cosine and norm."""
    with torch.enable_grad():
        cosine = cosine.detach().requires_grad_()
        norm = norm.detach().requires_grad_()
        target = margin.target(cosine, norm)
        by_cosine, by_norm = torch.autograd.grad(
            target.sum(), (cosine, norm), allow_unused=True
        )
    zero = torch.zeros_like(cosine)
    return (
        target.detach(),
        zero if by_cosine is None else by_cosine,
        zero if by_norm is None else by_norm,
    )


class _NegativeSums:
    """Sums over negatives, S = sum exp(z_j - M) and of exp(z_j - M) w_j.

    M is 0 where logits cannot overflow, and their maximum otherwise.
    """

    def __init__(self, chunks: ClassChunks, cache_bytes: int) -> None:
        unit, margin = chunks.unit, chunks.margin
        online = margin.scale * margin.max_negative > _MAX_SAFE_LOGIT
        self.shift = unit.new_full((len(unit),), -math.inf if online else 0)
        self.sums = torch.zeros_like(self.shift)
        self.pull = torch.zeros_like(unit)
        self.cache: dict[int, tuple[Chunk, Tensor]] = {}
        # What is relative to a maximum that still rises cannot be kept.
        budget = 0 if online else cache_bytes
        for start in chunks.starts():
            rows = chunks.rows(start).unit
            stop = min(start + chunks.size, chunks.num_classes)
            size = len(unit) * (stop - start) * unit.element_size()
            chunk = chunks.chunk(start, rows, reuse=size > budget)
            if online:
                self._raise_shift(chunk.logits)
            weights = chunk.logits.exp_()
            self.sums += weights.sum(dim=1)
            if chunk.slope is not None:
                weights *= chunk.slope
            spread = chunk.spread(weights, chunks.num_subcenters)
            self.pull.addmm_(spread, rows)
            if size <= budget:
                budget -= size
                chunk.slope = None
                self.cache[start] = chunk, weights
        if online:
            self._agree_on_shift()

    def _raise_shift(self, logits: Tensor) -> None:
        higher = torch.maximum(self.shift, logits.amax(dim=1))
        # -inf - -inf is NaN: rows that saw nothing but their target so far.
        self._scale((self.shift - higher).exp().nan_to_num_(nan=1.0))
        self.shift = higher
        logits -= higher.nan_to_num(neginf=0.0)[:, None]

    def _agree_on_shift(self) -> None:
        common = all_reduce_max(self.shift.clone())
        common.nan_to_num_(neginf=0.0)
        self._scale((self.shift - common).exp())
        self.shift = common

    def _scale(self, factor: Tensor) -> None:
        self.sums *= factor
        self.pull *= factor[:, None]


class _MarginSoftmax(torch.autograd.Function):
    """See :func:`margin_softmax_loss`.

    With z the logits, M the shift, S the sum over negatives and
    Z = S + exp(z_y - M): loss = log(Z) - (z_y - M) =
    softplus(log S - (z_y - M)), dloss/dz_j = exp(z_j - M) / Z and
    dloss/dz_y = -S / Z. None of these subtracts numbers that are nearly
    equal.
    """

    @staticmethod
    def forward(
        ctx: Any,
        unit: Tensor,
        norm: Tensor,
        weight: Tensor,
        labels: Tensor,
        options: tuple,
    ) -> tuple[Tensor, Tensor]:
        margin, index, filter_threshold, chunk_size, cache_bytes = options
        scale = float(margin.scale)
        chunks = ClassChunks(
            unit, weight, index, labels, margin, None, filter_threshold,
            chunk_size,
        )  # fmt: skip
        cosine, targets = _target_cosines(chunks)
        if margin.changes_negatives:
            cosine = all_reduce_sum(cosine)
            margin.update(cosine, norm)
            # Chunks may be computed again after another batch's update.
            chunks.margin = with_own_buffers(margin)
            chunks.target_cosine = cosine
            negatives = _NegativeSums(chunks, cache_bytes)
            sums = all_reduce_sum(negatives.sums)
        else:
            negatives = _NegativeSums(chunks, cache_bytes)
            both = torch.stack([negatives.sums, cosine])
            sums, cosine = all_reduce_sum(both)
            margin.update(cosine, norm)

        target, by_cosine, by_norm = _target_entries(margin, cosine, norm)
        target = scale * target - negatives.shift
        # The default threshold of 20 would cost 2e-9.
        per_sample = torch.nn.functional.softplus(
            sums.log() - target, threshold=40
        )
        # Without negatives Z may underflow, and 0 / 0 would be NaN.
        tiny = torch.finfo(unit.dtype).tiny
        normalizer = (sums + target.exp()).clamp_min_(tiny).reciprocal_()

        slope = -sums * normalizer * (labels >= 0)
        grad_unit = negatives.pull * normalizer[:, None]
        grad_unit += (slope * by_cosine)[:, None] * targets
        factor = scale / len(unit)
        ctx.save_for_backward(
            grad_unit * factor,
            slope * by_norm * factor,
            slope * by_cosine * factor,
            normalizer * factor,
            negatives.shift,
        )
        ctx.chunks, ctx.cache = chunks, negatives.cache
        ctx.mark_non_differentiable(cosine)
        return per_sample.mean(), cosine

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor, _: Tensor) -> tuple:
        # Called inside autocast, it would compute in half precision.
        with torch.autocast(grad_loss.device.type, enabled=False):
            return _gradients(ctx, grad_loss)


def _gradients(ctx: Any, grad_loss: Tensor) -> tuple:
    """The backward pass of :class:`_MarginSoftmax`."""
    grad_unit, grad_norm, target_slope, normalizer, shift = ctx.saved_tensors
    chunks: ClassChunks = ctx.chunks
    weight = chunks.weight
    update_rows = getattr(weight, 'update_rows', None)
    values = weight.new_empty(
        0 if update_rows else chunks.num_classes, weight.shape[1]
    )
    for start in chunks.starts():
        rows = chunks.rows(start)
        # Let go of at once: a loss kept for logging keeps its graph. A second
        # backward pass computes it again.
        found = ctx.cache.pop(start, None)
        if found is not None:
            chunk, kept = found
            weights = chunks.buffer('logits', *kept.shape)
            torch.mul(kept, normalizer[:, None], out=weights)
        else:
            chunk = chunks.chunk(start, rows.unit, reuse=True)
            weights = chunk.logits.sub_(shift[:, None]).exp_()
            weights *= normalizer[:, None]
            if chunk.slope is not None:
                weights *= chunk.slope
        put_targets(weights, chunks.labels, start, target_slope)
        weights = chunk.spread(weights, chunks.num_subcenters)
        if update_rows:
            grad = chunks.buffer('grad', *rows.raw.shape)
        else:
            grad = values[start : start + chunks.size].view_as(rows.raw)
        torch.mm(weights.T, chunks.unit, out=grad)
        # Through the normalisation: what is left is at right angles to the
        # center.
        product = chunks.buffer('product', *grad.shape)
        along = torch.mul(grad, rows.unit, out=product).sum(1, keepdim=True)
        grad.addcmul_(rows.unit, along, value=-1)
        grad *= rows.scale * grad_loss
        if update_rows:
            shape = (-1, weight.shape[1])
            update_rows(
                chunks.classes(start), grad.view(shape), rows.raw.view(shape)
            )
    chunks.buffers.clear()
    grad_weight = None if update_rows else values
    if chunks.index is not None and not update_rows:
        grad_weight = sparse_rows(chunks.index, values, weight.shape)
    return (
        grad_unit * grad_loss,
        grad_norm * grad_loss,
        grad_weight,
        None,
        None,
    )
