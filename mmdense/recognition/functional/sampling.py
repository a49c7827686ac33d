"""Which classes of a shard take part in a step."""

import torch
from torch import Tensor

from mmdense.distributed.sharding import seeded_generator


def cycle_order(num_classes: int, seed: int, cycle: int, rank: int) -> Tensor:
    """The order in which `rank` visits its classes in a cycle.

    Args:
        num_classes: Classes of the shard, n.
        seed: Seed of the run.
        cycle: Number of the cycle.
        rank: The rank; other ranks walk other orders.

    Returns:
        int64 permutation of shape (n,), on the CPU.
    """
    generator = seeded_generator(seed, cycle, rank)
    return torch.randperm(num_classes, generator=generator)


def cycle_slice(
    num_classes: int, num_sampled: int, step: int
) -> tuple[int, int, int]:
    """Where step number `step` stands in the walk over all classes.

    A cycle has as many steps as whole slices of `num_sampled` fit into
    `num_classes`; the remainder, less than a slice, waits for the order of
    the next cycle.

    Returns:
        The number of the cycle, and start and stop of the slice in its order.
    """
    steps = max(num_classes // max(num_sampled, 1), 1)
    cycle, position = divmod(step, steps)
    start = position * num_sampled
    return cycle, start, min(start + num_sampled, num_classes)


def draw_independent(
    num_classes: int, num_sampled: int, seed: int, step: int, rank: int
) -> Tensor:
    """A fresh uniform draw without replacement, in O(num_sampled).

    Draws with replacement until enough are distinct, and drops the surplus
    at random: all sets of that size are equally likely.

    Args:
        num_classes: Classes of the shard, n.
        num_sampled: How many to draw, at most n.
        seed: Seed of the run.
        step: Number of the step.
        rank: The rank; other ranks draw others.

    Returns:
        int64 tensor of shape (num_sampled,) in random order, on the CPU.
    """
    generator = seeded_generator(seed, step, rank)
    if 2 * num_sampled >= num_classes:
        # Collisions would be frequent, and O(n) is O(num_sampled) here.
        order = torch.randperm(num_classes, generator=generator)
        return order[:num_sampled]
    drawn = torch.empty(0, dtype=torch.int64)
    while len(drawn) < num_sampled:
        more = torch.randint(
            num_classes, (num_sampled + 16,), generator=generator
        )
        drawn = torch.cat([drawn, more]).unique()
    order = torch.randperm(len(drawn), generator=generator)
    return drawn[order[:num_sampled]]


def sample_classes(
    positives: Tensor, candidates: Tensor, num_sampled: int
) -> Tensor:
    """All positives, filled up with candidates to `num_sampled` classes.

    An et al., "Partial FC", 2020, section 3.2. With candidates in random
    order the negatives are uniform over the classes that are not positive.

    Args:
        positives: (p,) int64, sorted, distinct: classes in this batch.
        candidates: (num_sampled,) int64, distinct: this step's negatives, of
            which positives are dropped, and then the last ones that exceed
            the number.
        num_sampled: Size of the result, unless there are more positives:
            then all of them and nothing else.

    Returns:
        Sorted int64 tensor of shape (max(p, num_sampled),), or less where
        there are fewer candidates.
    """
    if len(positives) == 0:
        return candidates[:num_sampled].sort().values
    place = torch.searchsorted(positives, candidates)
    place.clamp_(max=len(positives) - 1)
    negatives = candidates[positives[place] != candidates]
    num_negatives = max(num_sampled - len(positives), 0)
    return torch.cat([positives, negatives[:num_negatives]]).sort().values
