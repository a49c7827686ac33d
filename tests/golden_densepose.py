"""Inputs of the golden data of dense pose that are made, not stored."""

import numpy as np
import torch


def hash01(count: int, seed: int) -> np.ndarray:
    """Uniform numbers in [0, 1) by the rule in the README of the data."""
    mask = np.uint64(0xFFFFFFFF)
    start = np.uint64((seed * 2654435769) & 0xFFFFFFFF)
    x = (np.arange(count, dtype=np.uint64) + start) & mask
    for factor, shift in ((0x85EBCA6B, 16), (0xC2B2AE35, 13)):
        x ^= x >> np.uint64(shift)
        x = x * np.uint64(factor) & mask
    return (x ^ (x >> np.uint64(16))) / 2.0**32


def filled(shape, seed: int, lo: float, hi: float, **_) -> torch.Tensor:
    """A float32 tensor; `**_` so that an entry of the files can be given."""
    values = lo + (hi - lo) * hash01(int(np.prod(shape)), seed)
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def slice_of(stats: dict) -> tuple[slice, ...]:
    """The recorded slice of a tensor, from its text in the files."""
    return tuple(
        slice(*[None if a == 'None' else int(a) for a in part.split(', ')])
        for part in stats['slice'][len('(slice(') : -len('))')].split(
            '), slice('
        )
    )
