"""Weights of the tasks of a model, from how large their losses are."""

import torch
from torch import Tensor


def softmax_weights(losses: Tensor, temperature: float = 1.0) -> Tensor:
    r"""Less weight to larger losses.

    :math:`w_i = K\,e^{-L_i/T} / \sum_j e^{-L_j/T}`

    Args:
        losses: (K,).
        temperature: T.

    Returns:
        (K,), of mean 1.
    """
    return len(losses) * torch.softmax(-losses / temperature, dim=0)


def dwa_weights(
    last: Tensor, before: Tensor, temperature: float = 2.0
) -> Tensor:
    r"""More weight to losses that fall more slowly.

    :math:`w_i = K\,e^{r_i/T} / \sum_j e^{r_j/T}` with
    :math:`r_i = L_i(t-1) / L_i(t-2)`; Liu et al., "End-to-End Multi-Task
    Learning with Attention", CVPR 2019, equation 7.

    Args:
        last: (K,) mean losses of the last window of training.
        before: (K,) of the one before.
        temperature: T.

    Returns:
        (K,), of mean 1. A loss that was 0, as before there are two windows,
        counts as unchanged.
    """
    ratio = torch.where(before > 0, last / before, 1.0)
    return len(last) * torch.softmax(ratio / temperature, dim=0)
