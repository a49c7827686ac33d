"""Arrays as a surface holds them: checked, of one type, read-only."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

Shape = tuple[int | None, ...]


def read_only(array: NDArray) -> NDArray:
    """The array itself, no longer writeable."""
    array.setflags(write=False)
    return array


def checked(
    what: str, value: ArrayLike, dtype: DTypeLike, shape: Shape
) -> NDArray[Any]:
    """A read-only copy.

    Args:
        what: For messages.
        value: The array.
        dtype: Of the copy; if integral, floats are refused.
        shape: What it must have; None for any length.

    Raises:
        ValueError: It has another shape or kind of numbers.
    """
    array = np.array(value)
    if len(array.shape) != len(shape) or any(
        want not in (None, got)
        for want, got in zip(shape, array.shape, strict=True)
    ):
        expected = ', '.join('any' if n is None else str(n) for n in shape)
        raise ValueError(
            f'{what} has shape {array.shape}, expected ({expected})'
        )
    integral = np.issubdtype(dtype, np.integer)
    if array.dtype.kind not in ('ui' if integral else 'uif'):
        raise ValueError(
            f'{what} is of {array.dtype}, expected '
            f'{"integers" if integral else "numbers"}'
        )
    return read_only(array.astype(dtype))


def checked_index(
    what: str, value: ArrayLike, shape: Shape, limit: int
) -> NDArray[np.int32]:
    """The same of indices below `limit`, int32.

    Raises:
        ValueError: As :func:`checked`, or an index is out of range.
    """
    array = checked(what, value, np.int64, shape)
    if array.size and (array.min() < 0 or array.max() >= limit):
        wrong = array[(array < 0) | (array >= limit)]
        raise ValueError(
            f'{what} refers to {wrong.flat[0]}, expected 0..{limit - 1}'
        )
    return read_only(array.astype(np.int32))
