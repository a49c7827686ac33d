"""From the heat maps of a RoI to the dense pose of the pixels of its box."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .point_losses import variance

#: Values of enlarged maps that are held at a time: 64 MiB.
_MAX_VALUES = 2**24


def resize_map(values: Tensor, height: int, width: int) -> Tensor:
    """Bilinear, (C, S, S) to (C, height, width)."""
    return F.interpolate(
        values[None].float(),
        (height, width),
        mode='bilinear',
        align_corners=False,
    )[0]


def label_pixels(
    coarse: Tensor, part: Tensor, height: int, width: int
) -> Tensor:
    """The part each pixel of a box shows.

    Args:
        coarse: (2 or 15, S, S) logits; 0 is background.
        part: (25, S, S) logits.
        height: Of the box, px.
        width: Of the box, px.

    Returns:
        (height, width) int64: 0 where `coarse` says background, else the
        likeliest part (which may be 0).
    """
    is_person = _likeliest(coarse, height, width) > 0
    return _likeliest(part, height, width) * is_person


def _likeliest(maps: Tensor, height: int, width: int) -> Tensor:
    """(height, width) int64, the channel that is largest at each pixel."""
    # All at once for most boxes; for one that fills a photo a few at a time.
    count = max(_MAX_VALUES // (height * width), 1)
    first, *others = maps.split(count)
    best, label = resize_map(first, height, width).max(0)
    for number, group in enumerate(others, 1):
        values, channel = resize_map(group, height, width).max(0)
        is_larger = values > best
        best = torch.where(is_larger, values, best)
        label = torch.where(is_larger, channel + number * count, label)
    return label


def read_parts(values: Tensor, labels: Tensor) -> Tensor:
    """At each pixel the value that is predicted for its part.

    Args:
        values: (25, S, S), a map for each part.
        labels: (h, w) int64, 0..24.

    Returns:
        (h, w) float32; 0 where the label is.
    """
    result = torch.zeros(labels.shape, device=labels.device)
    # Part by part: all maps at the size of a large box are a lot of memory.
    for label in labels.unique().tolist():
        if label:
            resized = resize_map(values[label : label + 1], *labels.shape)[0]
            result = torch.where(labels == label, resized, result)
    return result


def read_sigma(raw: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    """How far off U and V may be at each pixel.

    Args:
        raw: (25, S, S), `sigma_2` as predicted.
        labels: (h, w) int64, 0..24.
        epsilon: The least variance.

    Returns:
        (h, w) float32, the standard deviation; 0 where the label is.
    """
    sigma = variance(read_parts(raw, labels), epsilon).sqrt()
    return sigma * (labels > 0)


def make_iuv(
    coarse: Tensor,
    part: Tensor,
    u: Tensor,
    v: Tensor,
    height: int,
    width: int,
) -> Tensor:
    """The dense pose of a box.

    Args:
        coarse: (2 or 15, S, S) logits.
        part: (25, S, S) logits.
        u: (25, S, S).
        v: (25, S, S).
        height: Of the box, px.
        width: Of the box, px.

    Returns:
        (3, height, width) uint8: part, 255 U and 255 V, rounded down.
    """
    labels = label_pixels(coarse, part, height, width)
    quantized = [
        (read_parts(values, labels) * 255).clamp(0, 255).to(torch.uint8)
        for values in (u, v)
    ]
    return torch.stack((labels.to(torch.uint8), *quantized))
