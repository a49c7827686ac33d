"""What the arguments of a head must be."""

from numbers import Integral, Real
from typing import Any

_CLASSES = (
    'set model.head.num_classes to the number of classes of the training data'
)


def check_arguments(
    num_classes: Any,
    in_channels: Any,
    sample_rate: Any,
    filter_threshold: Any,
    topk: Any,
    seed: Any,
) -> None:
    """Refuse values that no table or no sample can be made of.

    Args:
        num_classes: As in :class:`~mmdense.recognition.heads.PartialFCHead`,
            like all others.
        in_channels: As there.
        sample_rate: As there.
        filter_threshold: As there.
        topk: As there.
        seed: As there.

    Raises:
        TypeError: One is of another type.
        ValueError: One is out of range.
    """
    _check_integer('num_classes', num_classes, f'; {_CLASSES}')
    if num_classes < 1:
        raise ValueError(
            f'num_classes must be positive, got {num_classes}; {_CLASSES}'
        )
    _check_integer('in_channels', in_channels)
    if in_channels < 1:
        raise ValueError(
            f'in_channels must be positive, got {in_channels}; it is the '
            'length of the embeddings'
        )
    _check_number('sample_rate', sample_rate, 'a number in (0, 1]')
    if not 0 < sample_rate <= 1:
        raise ValueError(
            f'sample_rate must be in (0, 1], got {sample_rate}; it is '
            'the share of classes that take part in a step'
        )
    if filter_threshold is not None:
        expected = 'a cosine in [-1, 1] or None'
        _check_number('filter_threshold', filter_threshold, expected)
        if not -1 <= filter_threshold <= 1:
            raise ValueError(
                f'filter_threshold must be {expected}, got {filter_threshold}'
            )
    _check_integer(
        'topk', topk, '; it is how many of the nearest classes are found'
    )
    if not 0 <= topk <= num_classes:
        raise ValueError(
            f'topk must be in [0, {num_classes}], the number of classes, '
            f'got {topk}'
        )
    _check_integer('seed', seed, '; runs of one seed draw alike')


def _check_integer(name: str, value: Any, advice: str = '') -> None:
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f'{name} must be an integer, got {value!r}{advice}')


def _check_number(name: str, value: Any, expected: str) -> None:
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f'{name} must be {expected}, got {value!r}')
