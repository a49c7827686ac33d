"""Losses that raise the logits of hard negatives.

A negative is hard where its cosine is above what the target has after its
margin. The threshold takes no gradient.
"""

import torch
from torch import Tensor


def curricular_negatives(
    cosine: Tensor, threshold: Tensor, t: float | Tensor
) -> Tensor:
    r"""Hard negatives become :math:`\cos\theta_j (t + \cos\theta_j)`.

    Huang et al., "CurricularFace: Adaptive Curriculum Learning Loss for
    Deep Face Recognition", CVPR 2020, equations 7 and 9.

    Args:
        cosine: (B, c) cosines of negatives.
        threshold: (B,) :math:`\cos(\theta_y + m)`.
        t: The stage of the curriculum, near 0 at the start.

    Returns:
        (B, c) tensor.
    """
    return torch.where(
        cosine > threshold[:, None], cosine * (t + cosine), cosine
    )


def mv_softmax_negatives(
    cosine: Tensor, threshold: Tensor, weight: float = 1.12
) -> Tensor:
    r"""Hard negatives become :math:`w \cos\theta_j + w - 1`.

    Wang et al., "Mis-Classified Vector Guided Softmax Loss for Face
    Recognition", AAAI 2020, equation 8.

    Args:
        cosine: (B, c) cosines of negatives.
        threshold: (B,) what the target has after its margin.
        weight: w, above 1.

    Returns:
        (B, c) tensor.
    """
    return torch.where(
        cosine > threshold[:, None], weight * cosine + (weight - 1), cosine
    )
