"""The base of all margin losses."""

from torch import Tensor, nn


class MarginLoss(nn.Module):
    r"""Softmax cross-entropy of scaled cosines with a margin on the target.

    A subclass says what stands in the softmax in place of the target's
    cosine; :class:`~mmdense.recognition.heads.PartialFCHead` does the rest,
    sharded over ranks, sampled and in chunks. Write :meth:`target` with
    differentiable tensor operations and register the class; that is all.
    The other methods are for the families that need them.

    .. math::
        L = -\log \frac{e^{s\,t(\cos\theta_y)}}
            {e^{s\,t(\cos\theta_y)} + \sum_{j \ne y} e^{s\,n(\cos\theta_j)}}

    All methods are called once a step, or once a chunk of classes, on every
    rank, with the global batch, and must come to the same values on all
    ranks: they may depend on their arguments and on buffers, not on a rank's
    random state. Entries are independent of each other, but for `update`.

    Args:
        scale: s, the factor of all logits.
        num_subcenters: Centers a class, K; the nearest counts.

    Attributes:
        max_negative: Upper bound on the magnitude of what :meth:`negatives`
            returns. It decides whether the softmax needs a maximum against
            overflow; set it if yours exceeds 1.
        changes_negatives: Whether :meth:`negatives` is called. It costs one
            more all-reduce a step.

    Raises:
        ValueError: `scale` or `num_subcenters` is not positive.
    """

    max_negative = 1.0
    changes_negatives = False

    def __init__(self, scale: float = 64.0, num_subcenters: int = 1) -> None:
        super().__init__()
        if not scale > 0:
            raise ValueError(f'scale must be positive, got {scale}')
        if num_subcenters < 1:
            raise ValueError(
                f'num_subcenters must be positive, got {num_subcenters}'
            )
        self.scale = scale
        self.num_subcenters = num_subcenters

    def target(self, cosine: Tensor, norm: Tensor) -> Tensor:
        """The target's entry in the softmax, before the scale.

        Args:
            cosine: (B,) cosines between embeddings and their own centers.
            norm: (B,) norms of the embeddings. A gradient may flow into it.

        Returns:
            (B,) tensor.
        """
        raise NotImplementedError(
            f'{type(self).__name__} must define target(cosine, norm)'
        )

    def negatives(self, cosine: Tensor, target_cosine: Tensor) -> Tensor:
        """The entries of negatives, before the scale.

        Args:
            cosine: (B, c) cosines to the centers of a chunk of classes; the
                column of a target, if it is among them, is not used.
            target_cosine: (B,) cosines to the own centers; no gradient
                flows into it.

        Returns:
            (B, c) tensor.
        """
        return cosine

    def update(self, cosine: Tensor, norm: Tensor) -> None:
        """Take a batch into running statistics, before they are used.

        Args:
            cosine: (B,) cosines between embeddings and their own centers.
            norm: (B,) norms of the embeddings.
        """

    def regularizer(self, norm: Tensor) -> Tensor | None:
        """What is added to the loss, a scalar from the (B,) norms."""
        return None

    def extra_repr(self) -> str:
        return f'scale={self.scale}'
