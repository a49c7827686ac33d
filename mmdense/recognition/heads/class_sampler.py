"""Which classes of a rank are candidates in a step."""

from torch import Tensor

from mmdense.recognition.functional.sampling import (
    cycle_order,
    cycle_slice,
    draw_independent,
)

_KINDS = ('cycle', 'independent')


class ClassSampler:
    """Candidates as a function of (seed, step, rank).

    There is nothing to save: the order of a cycle is only kept so as not to
    be drawn again at each step.

    Args:
        kind: `'cycle'` or `'independent'`.
        seed: Seed of the run.
        rank: This rank.

    Raises:
        ValueError: `kind` is neither.
    """

    def __init__(self, kind: str, seed: int, rank: int) -> None:
        if kind not in _KINDS:
            raise ValueError(f'sampler must be one of {_KINDS}, got {kind!r}')
        self.kind = kind
        self.seed = seed
        self.rank = rank
        self._order: tuple[int, Tensor] | None = None

    def draw(self, num_classes: int, num_sampled: int, step: int) -> Tensor:
        """(num_sampled,) distinct classes in random order, on the CPU."""
        if self.kind == 'independent':
            return draw_independent(
                num_classes, num_sampled, self.seed, step, self.rank
            )
        cycle, start, stop = cycle_slice(num_classes, num_sampled, step)
        if self._order is None or self._order[0] != cycle:
            order = cycle_order(num_classes, self.seed, cycle, self.rank)
            self._order = cycle, order
        return self._order[1][start:stop]
