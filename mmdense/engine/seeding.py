"""Random numbers as a function of where in the training they are drawn."""

import random

import numpy as np
import torch

from mmdense.distributed.sharding import seeded_generator


def seed_generators(*key: int) -> None:
    """Seed Python's, numpy's and torch's generators from some integers.

    Args:
        *key: The place, such as (seed, iteration, rank). Neighbouring keys
            give unrelated streams.
    """
    drawn = torch.randint(
        2**63 - 1, (3,), generator=seeded_generator(*key)
    ).tolist()
    random.seed(drawn[0])
    np.random.seed(drawn[1] % 2**32)
    torch.manual_seed(drawn[2])
