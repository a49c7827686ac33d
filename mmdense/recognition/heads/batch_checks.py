"""Batches that no loss can be made of."""

from torch import Tensor


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
