"""The deterministic weights of the golden backbones."""

import math
import zlib

import numpy as np
import torch


def uniforms(name: str, count: int, seed: int) -> np.ndarray:
    """(count,) float64 in [-1, 1), a function of the name."""
    with np.errstate(over='ignore'):
        golden = np.uint64(0x9E3779B97F4A7C15)
        start = np.uint64(zlib.crc32(name.encode()) + seed * 2**32) * golden
        x = np.arange(count, dtype=np.uint64) + start
        for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
            x ^= x >> np.uint64(33)
            x *= np.uint64(factor)
        x ^= x >> np.uint64(33)
    return (x >> np.uint64(40)).astype(np.float64) / 2**23 - 1


def weights(
    layout: list, seed: int, prelus: set[str]
) -> dict[str, torch.Tensor]:
    """A state from [key, shape, dtype] entries.

    Args:
        layout: The entries.
        seed: The set's seed.
        prelus: Keys of PReLU weights.
    """
    state = {}
    for key, shape, dtype in layout:
        if dtype == 'int64':
            state[key] = torch.zeros(shape, dtype=torch.int64)
            continue
        u = uniforms(key, math.prod(shape), seed).reshape(shape)
        leaf = key.rpartition('.')[2]
        if key == 'features.weight':
            u = np.ones(shape)
        elif leaf == 'running_var':
            u = 1 + 0.5 * u
        elif leaf in ('running_mean', 'bias'):
            u = 0.1 * u
        elif leaf in ('pos_embed', 'mask_token'):
            u = 0.2 * u
        elif key in prelus:
            u = 0.25 + 0.1 * u
        elif len(shape) == 1:
            u = 1 + 0.1 * u
        else:
            u = u * math.sqrt(3 / math.prod(shape[1:]))
        state[key] = torch.from_numpy(np.asarray(u, dtype=np.float32))
    return state
