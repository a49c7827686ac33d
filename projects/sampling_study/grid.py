"""The cells of the study and the order in which they are run."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from itertools import product

# The noise of the paper's sets, as far as it is published: a third of the
# identities of WebFace12M-Conflict is split into three, 40 % of the images
# of WebFace12M-Flip have another label. The tail is our choice.
NOISES: dict[str, dict | None] = {
    'clean': None,
    'conflict': dict(kind='conflict', identities=0.324, parts=3),
    'flip': dict(kind='flip', share=0.4),
    'long_tail': dict(kind='long_tail', head=0.2, tail_samples=3),
}
RATES = (1.0, 0.1, 0.3, 0.01)
# Milder than published (scale 64; 0.4 and 0.5): with CosFace's values a
# network this small learns little in the steps it has.
MARGINS = {
    'cosface': dict(type='mmdense.CosFaceLoss', scale=32.0, margin=0.2),
    'arcface': dict(type='mmdense.ArcFaceLoss', scale=32.0, margin=0.3),
}
SAMPLERS = ('cycle', 'independent')
UPDATES = ('rows', 'all')
LONG_NOISES = ('clean', 'conflict', 'flip')
STEPS, LONG_STEPS = 1200, 3600


@dataclass(frozen=True)
class Cell:
    """One training.

    Attributes:
        noise: Key of `NOISES`.
        rate: Sample rate.
        margin: Key of `MARGINS`.
        sampler: Of `PartialFCHead`.
        update: Of `RowSparseSGD`.
        filter_threshold: Of `PartialFCHead`.
        steps: How long to train.
        seed: Of the weights, the order of the data, the classes drawn and
            the noise. Cells of one seed differ in nothing but what their
            other fields say.
    """

    noise: str = 'clean'
    rate: float = 1.0
    margin: str = 'cosface'
    sampler: str = 'cycle'
    update: str = 'rows'
    filter_threshold: float | None = None
    steps: int = STEPS
    seed: int = 0

    @property
    def name(self) -> str:
        """Name of the result file."""
        words = [self.noise, f'r{self.rate:g}', self.margin]
        words += [self.sampler, self.update]
        if self.filter_threshold is not None:
            words.append(f'filter{self.filter_threshold:g}')
        if self.steps != STEPS:
            words.append(f'steps{self.steps}')
        return '-'.join([*words, f'seed{self.seed}'])

    @property
    def setting(self) -> 'Cell':
        """The cell without its seed, for grouping."""
        return replace(self, seed=-1)

    def to_dict(self) -> dict:
        """The fields, for a result file."""
        return asdict(self)


def main_cells(
    seed: int,
    margins: Iterable[str] = tuple(MARGINS),
    rates: Iterable[float] = RATES,
) -> list[Cell]:
    """Sample rate x labels x margin."""
    # Rates vary fastest: a worker keeps the images of the last few sets.
    return [
        Cell(noise=noise, rate=rate, margin=margin, seed=seed)
        for margin, noise, rate in product(margins, NOISES, rates)
    ]


def sampler_cells(seed: int) -> list[Cell]:
    """Sampler x update rule at a tenth; one of the four is a main cell."""
    return [
        Cell(noise, 0.1, sampler=sampler, update=update, seed=seed)
        for noise, sampler, update in product(
            ('clean', 'conflict'), SAMPLERS, UPDATES
        )
    ]


def filter_cells(seed: int) -> list[Cell]:
    """The inter-class filter against conflicts."""
    return [
        Cell('conflict', rate, filter_threshold=0.4, seed=seed)
        for rate in (1.0, 0.1)
    ]


def long_cells(seed: int) -> list[Cell]:
    """Is what sampling costs, or brings, a matter of time?"""
    return [
        Cell(noise, rate, steps=LONG_STEPS, seed=seed)
        for noise, rate in product(LONG_NOISES, (1.0, 0.1))
    ]


def all_cells(seeds: Iterable[int]) -> list[Cell]:
    """All cells, the most telling first, so that a part is of use.

    The first seed of nearly everything, then more seeds of what the papers
    claim, with CosFace; then the rest.
    """
    first, *others = seeds
    claim = (1.0, 0.3, 0.1)
    cells = main_cells(first, ['cosface'])
    cells += sampler_cells(first)
    cells += main_cells(first, ['arcface'], (1.0, 0.1))
    cells += filter_cells(first)
    cells += long_cells(first)
    for seed in others:
        cells += main_cells(seed, ['cosface'], claim)
    for seed in others[:1]:
        cells += sampler_cells(seed)
        cells += long_cells(seed)
    cells += main_cells(first)
    for seed in others:
        cells += sampler_cells(seed)
        cells += filter_cells(seed)
        cells += long_cells(seed)
    for seed in others:
        cells += main_cells(seed)
    return list(dict.fromkeys(cells))
