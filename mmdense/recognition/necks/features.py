"""What necks accept of a backbone."""

from torch import Tensor


def last_map(
    feats: Tensor | tuple[Tensor, ...] | list[Tensor],
    in_channels: int,
    spatial_size: tuple[int, int],
    neck: str,
) -> Tensor:
    """The last of a backbone's outputs, as a map of the expected shape.

    Args:
        feats: (b, in_channels, *spatial_size) maps or, for 1 x 1 maps,
            (b, in_channels) vectors; of a tuple, the last.
        in_channels: Channels expected.
        spatial_size: Height and width expected, in cells.
        neck: Name of the neck, for errors.

    Returns:
        (b, in_channels, *spatial_size).

    Raises:
        TypeError: The last output is no tensor.
        ValueError: It has another shape; the error says which arguments of
            the neck, or which output of the backbone, would fit.
    """
    x = feats[-1] if isinstance(feats, tuple | list) else feats
    if not isinstance(x, Tensor):
        raise TypeError(
            f'the last output of the backbone is a {type(x).__name__}, '
            f'{neck} expected one tensor; for a backbone that gives several '
            'tensors per stage, choose one of them by its out_type'
        )
    shape = tuple(x.shape)
    if x.ndim == 2:
        x = x[:, :, None, None]
    expected = (in_channels, *spatial_size)
    if tuple(x.shape[1:]) == expected:
        return x
    message = (
        f'got features of shape {shape}, expected '
        f'(batch, {", ".join(map(str, expected))})'
    )
    if x.ndim == 3:
        raise ValueError(
            f'{message}: these are tokens; give maps or vectors (in '
            "mmpretrain's transformers out_type='featmap', 'avg_featmap' or "
            "'cls_token')"
        )
    if x.ndim != 4:
        raise ValueError(f'{message}: neither maps nor vectors')
    channels, height, width = x.shape[1:]
    size = height if height == width else (height, width)
    raise ValueError(
        f'{message}: for this backbone and image size set '
        f'{neck}(in_channels={channels}, spatial_size={size})'
    )
