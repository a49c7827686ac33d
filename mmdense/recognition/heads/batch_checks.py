"""Batches that no loss can be made of."""

from collections.abc import Sequence

import torch
from mmpretrain.structures import DataSample
from torch import Tensor

_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def labels_of(
    data_samples: Sequence[DataSample], device: torch.device
) -> Tensor:
    """(b,) labels of the samples.

    Raises:
        ValueError: A sample has mixed labels, or none.
    """
    for sample in data_samples:
        if 'gt_score' in sample:
            raise ValueError(
                'got samples with gt_score, as Mixup and CutMix leave them, '
                'expected one class an image: PartialFCHead does not take '
                'mixed labels; remove batch_augments and to_onehot from '
                'model.data_preprocessor'
            )
        if 'gt_label' not in sample:
            raise ValueError(
                'got a sample without gt_label; training needs a data set '
                'that gives the class of each image, and '
                'mmpretrain.PackInputs in its pipeline'
            )
    # A rank without images must still join the collectives.
    none = torch.zeros(0, dtype=torch.int64)
    labels = [none, *(sample.gt_label for sample in data_samples)]
    return torch.cat([label.to(device) for label in labels])


def label_problem(labels: Tensor, num_embeddings: int) -> str:
    """What is wrong with the labels of a rank; empty if nothing is.

    Args:
        labels: What should be (b,) integers.
        num_embeddings: b.
    """
    if labels.ndim != 1:
        return (
            f'got labels of shape {tuple(labels.shape)}, expected '
            f'({num_embeddings},), the class of each image'
        )
    if labels.dtype not in _INTEGERS:
        return (
            f'got labels of type {labels.dtype}, expected integers, the class '
            'of each image'
        )
    if len(labels) != num_embeddings:
        return (
            f'got {len(labels)} labels for {num_embeddings} embeddings on '
            'this rank, expected one label per image'
        )
    return ''


def check_batch(norm: Tensor, labels: Tensor, num_classes: int) -> None:
    """Refuse wrong labels and broken embeddings.

    Of what has been gathered, so that all ranks raise or none does.

    Args:
        norm: (B,) norms of the embeddings of all ranks.
        labels: (B,) their labels.
        num_classes: C.

    Raises:
        ValueError: There is no image, a label is outside [0, C), or an
            embedding is not finite.
    """
    if len(labels) == 0:
        raise ValueError('got a batch without images on all ranks')
    bad = (labels < 0) | (labels >= num_classes)
    broken = ~norm.isfinite()
    if not (bad | broken).any():
        return
    if bad.any():
        raise ValueError(
            f'got label {labels[bad][0].item()}, expected labels in '
            f'[0, {num_classes}), by num_classes of PartialFCHead; '
            f'{int(bad.sum())} of {len(labels)} labels of this batch are '
            'outside'
        )
    raise ValueError(
        f'{int(broken.sum())} of {len(norm)} embeddings of this batch '
        'are NaN or infinite; lower the learning rate, clip gradients or '
        'look for broken images'
    )
