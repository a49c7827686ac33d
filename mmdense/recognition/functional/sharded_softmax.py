"""Softmax cross-entropy over classes that are split over ranks.

The logits of a step are B x m floats, B the global batch and m the classes
sampled on a rank; they are never held together. Classes are visited in
chunks, twice: once for the sums of exponentials and the gradient of the
embeddings, and once, in the backward pass, for the gradient of the centers.
"""

import math
from typing import Protocol

import torch
from torch import Tensor

from mmdense.distributed.collectives import all_reduce_max, all_reduce_sum

# exp(+-64) and sums of 1e10 such terms are inside float32's range, so up to
# this bound on the logits the softmax needs no maximum.
_MAX_SAFE_LOGIT = 64.0
_TINY_NORM = 1e-12


class Margin(Protocol):
    """What the softmax asks of a margin loss.

    Attributes:
        scale: s, the factor of all logits.
    """

    scale: float

    def target(self, cosine: Tensor, norm: Tensor) -> Tensor:
        """The target's entry, (B,), from its cosine and the norm, (B,)."""


def margin_softmax_loss(
    unit: Tensor,
    norm: Tensor,
    weight: Tensor,
    labels: Tensor,
    margin: Margin,
    index: Tensor | None = None,
    chunk_size: int | None = None,
) -> tuple[Tensor, Tensor]:
    r"""Margin softmax cross-entropy of a global batch, on a shard of classes.

    .. math::
        L = -\frac{1}{B} \sum_i \log \frac{e^{s\,t_i}}
            {e^{s\,t_i} + \sum_{j \ne y_i} e^{s \cos\theta_{ij}}}

    where :math:`t_i` is the margin's target entry and the sum runs over the
    sampled classes of all ranks. One all-reduce of 2 B floats is all the
    communication (two where s > 64).

    The gradients are those of L itself. That of `unit` and `norm` is this
    rank's share, to be summed over ranks, which
    :func:`~mmdense.distributed.collectives.gather_batch` does.

    Args:
        unit: (B, d) embeddings of the global batch, of length 1.
        norm: (B,) their norms before, as some margins depend on them.
        weight: (n, d) centers of this rank, of any length.
        labels: (B,) int64, the row of the target among the sampled rows of
            this rank, -1 where another rank owns the class.
        margin: The margin.
        index: (m,) int64, sorted and distinct: the sampled rows of `weight`.
            The gradient of `weight` is then a sparse COO tensor of these
            rows. None takes all rows, with a dense gradient.
        chunk_size: Classes per chunk. None chooses by device.

    Returns:
        L, a scalar, the same on all ranks, and the (B,) cosines of the
        targets, without gradient.
    """
    if chunk_size is None:
        # Measured on CPUs: the chunk stays in the cache. On GPUs fewer
        # kernel launches matter more.
        chunk_size = 1024 if unit.device.type == 'cpu' else 32768
    return _MarginSoftmax.apply(
        unit, norm, weight, labels, margin, index, chunk_size
    )


def _normalized_rows(
    weight: Tensor, index: Tensor | None, start: int, stop: int
) -> tuple[Tensor, Tensor]:
    """Unit rows (c, d) and reciprocal norms (c, 1) of a chunk."""
    rows = weight[start:stop]
    if index is not None:
        rows = weight[index[start:stop]]
    scale = rows.norm(dim=1, keepdim=True).clamp_min(_TINY_NORM).reciprocal()
    return rows * scale, scale


def _logits_without_targets(
    unit: Tensor, rows: Tensor, scale: float, labels: Tensor, start: int
) -> Tensor:
    """(B, c) logits of a chunk, -inf in the columns of the targets."""
    logits = unit @ rows.T
    logits *= scale
    return _put_targets(logits, labels, start, -math.inf)


def _put_targets(
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


def _target_and_slopes(
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


class _MarginSoftmax(torch.autograd.Function):
    """See :func:`margin_softmax_loss`.

    With z the logits, M the shift (0, or the maximum of the negatives where
    s > 64), S = sum of exp(z_j - M) over negatives and Z = S + exp(z_y - M):
    loss = log(Z) - (z_y - M) = softplus(log S - (z_y - M)),
    dloss/dz_j = exp(z_j - M) / Z and dloss/dz_y = -S / Z. None of these
    subtracts numbers that are nearly equal.
    """

    @staticmethod
    def forward(ctx, unit, norm, weight, labels, margin, index, chunk_size):
        scale = float(margin.scale)
        num_classes = len(weight) if index is None else len(index)
        owned = labels >= 0

        targets = torch.zeros_like(unit)  # the targets' rows, where owned
        if num_classes > 0:
            target_rows = labels.clamp_min(0)
            if index is not None:
                target_rows = index[target_rows]
            targets, _ = _normalized_rows(weight, target_rows, 0, len(unit))
            targets *= owned[:, None]
        cosine = (unit * targets).sum(dim=1)

        shift = unit.new_zeros(len(unit))
        online = scale > _MAX_SAFE_LOGIT
        if online:
            shift.fill_(-math.inf)
        sums = torch.zeros_like(shift)
        pull = torch.zeros_like(unit)  # sum of exp(z_j - M) times row j
        for start in range(0, num_classes, chunk_size):
            rows, _ = _normalized_rows(
                weight, index, start, min(start + chunk_size, num_classes)
            )
            logits = _logits_without_targets(unit, rows, scale, labels, start)
            if online:
                higher = torch.maximum(shift, logits.amax(dim=1))
                # -inf - -inf is NaN: rows that saw targets only so far.
                fade = (shift - higher).exp().nan_to_num_(nan=1.0)
                sums *= fade
                pull *= fade[:, None]
                shift = higher
                logits -= shift.nan_to_num(neginf=0.0)[:, None]
            exps = logits.exp_()
            sums += exps.sum(dim=1)
            pull.addmm_(exps, rows)

        if online:
            common = all_reduce_max(shift.clone())
            common.nan_to_num_(neginf=0.0)
            fade = (shift - common).exp()
            sums *= fade
            pull *= fade[:, None]
            shift = common
        sums, cosine = all_reduce_sum(torch.stack([sums, cosine]))

        target, by_cosine, by_norm = _target_and_slopes(margin, cosine, norm)
        target = scale * target - shift
        # The default threshold of 20 would cost 2e-9.
        per_sample = torch.nn.functional.softplus(
            sums.log() - target, threshold=40
        )
        normalizer = (sums + target.exp()).reciprocal()

        slope = -sums * normalizer * owned
        grad_unit = pull * normalizer[:, None]
        grad_unit += (slope * by_cosine)[:, None] * targets
        factor = scale / len(unit)
        ctx.save_for_backward(
            unit,
            weight,
            labels,
            index,
            shift,
            normalizer * factor,
            slope * by_cosine * factor,
            grad_unit * factor,
            slope * by_norm * factor,
        )
        ctx.scale, ctx.chunk_size = scale, chunk_size
        ctx.mark_non_differentiable(cosine)
        return per_sample.mean(), cosine

    @staticmethod
    def backward(ctx, grad_loss, _):
        (
            unit,
            weight,
            labels,
            index,
            shift,
            normalizer,
            target_slope,
            grad_unit,
            grad_norm,
        ) = ctx.saved_tensors
        num_classes = len(weight) if index is None else len(index)
        values = weight.new_empty(num_classes, weight.shape[1])
        for start in range(0, num_classes, ctx.chunk_size):
            stop = min(start + ctx.chunk_size, num_classes)
            rows, scale = _normalized_rows(weight, index, start, stop)
            logits = _logits_without_targets(
                unit, rows, ctx.scale, labels, start
            )
            weights = (logits - shift[:, None]).exp_()
            weights *= normalizer[:, None]
            _put_targets(weights, labels, start, target_slope)
            grad = weights.T @ unit
            # Through the normalisation: what is left is at right angles to
            # the row.
            grad -= rows * (grad * rows).sum(dim=1, keepdim=True)
            torch.mul(grad, scale * grad_loss, out=values[start:stop])
        grad_weight = values
        if index is not None:
            # The check would read back all indices; the switch for the
            # block, unlike the argument, does not warn once a process.
            with torch.sparse.check_sparse_tensor_invariants(enable=False):
                grad_weight = torch.sparse_coo_tensor(
                    index[None], values, weight.shape, is_coalesced=True
                )
        return (
            grad_unit * grad_loss,
            grad_norm * grad_loss,
            grad_weight,
            None,
            None,
            None,
            None,
        )
