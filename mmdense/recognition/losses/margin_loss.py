"""The base of all margin losses."""

from torch import Tensor, nn


class MarginLoss(nn.Module):
    r"""Softmax cross-entropy of scaled cosines with a margin on the target.

    A subclass says what stands in the softmax in place of the target's
    cosine; :class:`~mmdense.recognition.heads.PartialFCHead` does the rest,
    sharded over ranks, sampled and in chunks. Write :meth:`target` with
    differentiable tensor operations and register the class; that is all.

    .. math::
        L = -\log \frac{e^{s\,t(\cos\theta_y)}}
            {e^{s\,t(\cos\theta_y)} + \sum_{j \ne y} e^{s\cos\theta_j}}

    Args:
        scale: s, the factor of all logits.

    Raises:
        ValueError: `scale` is not positive.
    """

    def __init__(self, scale: float = 64.0) -> None:
        super().__init__()
        if not scale > 0:
            raise ValueError(f'scale must be positive, got {scale}')
        self.scale = scale

    def target(self, cosine: Tensor, norm: Tensor) -> Tensor:
        """The target's entry in the softmax, before the scale.

        It is called once a step, on every rank, with the whole global
        batch. It must treat its entries independently.

        Args:
            cosine: (B,) cosines between embeddings and their own centers.
            norm: (B,) norms of the embeddings.

        Returns:
            (B,) tensor.
        """
        raise NotImplementedError(
            f'{type(self).__name__} must define target(cosine, norm)'
        )

    def extra_repr(self) -> str:
        return f'scale={self.scale}'
