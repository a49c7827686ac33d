"""The cells of the study and the order in which they are run."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from itertools import product


def _points(weight: float = 10.0, **options) -> dict:
    loss = dict(type='mmdense.DensePointsLoss', **options)
    return dict(loss_points=loss, weight=weight)


# `weight` is that of U and V beside 5 for `coarse` and 1 for `part`. That of
# `sum` is detectron2's; it equals `point` with 10 at 1,000 points a rank.
LOSSES: dict[str, dict] = {
    'sum': _points(0.01, reduction='sum'),
    'sum-w0.001': _points(0.001, reduction='sum'),
    'point': _points(),
    'instance': _points(reduction='instance'),
    'l1': _points(shape='l1'),
    'l2': _points(shape='l2'),
    'power': _points(shape='power'),
    'joint': _points(joint=True),
    'beta0.1': _points(beta=0.1),
    # What is steep near 0 needs a smaller weight.
    'l1-w1': _points(1.0, shape='l1'),
    'beta0.1-w1': _points(1.0, beta=0.1),
    'point-w1': _points(1.0),
    'point-w3': _points(3.0),
    'point-w30': _points(30.0),
    'point-w100': _points(100.0),
}
SHAPES = (
    *('instance', 'joint', 'l2', 'power'),
    *('l1', 'l1-w1', 'beta0.1', 'beta0.1-w1'),
)
#: Weights that are tried in all conditions.
EVERYWHERE = ('sum-w0.001', 'point-w1', 'point-w3')
WEIGHTS = ('point-w1', 'point-w3', 'point-w30', 'point-w100')
BALANCERS: dict[str, dict] = {
    'static': dict(type='mmdense.StaticBalancer'),
    'softmax': dict(type='mmdense.SoftmaxBalancer'),
    'uncertainty': dict(type='mmdense.UncertaintyBalancer'),
    'dwa': dict(type='mmdense.DWABalancer', window=20),
    'ramp': dict(type='mmdense.RampBalancer', steps=60),
}
BALANCED = ('point', 'point-w1')
RATES = (0.01, 0.03, 0.1)
IMAGES = (2, 8)
POINTS = (0.2, 1.0, 5.0)
STEPS = 120
#: Of what is compared at one rate alone: the best of `point` in the main grid.
RATE = 0.03


@dataclass(frozen=True)
class Cell:
    """One training.

    Attributes:
        loss: Key of `LOSSES`.
        rate: Learning rate.
        images: Per step, of the one rank.
        points: How many times the annotated points.
        balancer: Key of `BALANCERS`.
        seed: Of the weights and of the order of the data. Cells of one seed
            differ in nothing but what their other fields say.
    """

    loss: str = 'point'
    rate: float = RATE
    images: int = 8
    points: float = 1.0
    balancer: str = 'static'
    seed: int = 0

    @property
    def name(self) -> str:
        """Name of the result file."""
        return (
            f'{self.loss}-lr{self.rate:g}-{self.images}images-'
            f'{self.points:g}points-{self.balancer}-seed{self.seed}'
        )

    @property
    def setting(self) -> 'Cell':
        """The cell without its seed, for grouping."""
        return replace(self, seed=-1)

    def to_dict(self) -> dict:
        """The fields, for a result file."""
        return asdict(self)


def main_cells(seed: int) -> list[Cell]:
    """Where do the sum and the mean fail, and where do they end?"""
    return [
        Cell(loss, rate, images, points, seed=seed)
        for images, points, rate, loss in product(
            reversed(IMAGES), POINTS, RATES, ('sum', 'point')
        )
    ]


def shape_cells(seed: int) -> list[Cell]:
    """Other forms and weights of the mean, at one rate."""
    return [Cell(loss, seed=seed) for loss in (*SHAPES, *WEIGHTS)]


def weight_cells(seed: int) -> list[Cell]:
    """Does a smaller weight do what the mean does?"""
    cells = [
        Cell(loss, images=images, points=points, seed=seed)
        for images, points, loss in product(
            reversed(IMAGES), POINTS, EVERYWHERE
        )
    ]
    return [cell for cell in cells if cell not in shape_cells(seed)]


def balancer_cells(seed: int) -> list[Cell]:
    """Balancers, on top of two sets of fixed weights."""
    return [
        Cell(loss, balancer=balancer, seed=seed)
        for loss, balancer in product(BALANCED, BALANCERS)
        if balancer != 'static'
    ]


def all_cells(seeds: Iterable[int]) -> list[Cell]:
    """All cells, seed by seed, so that a part is of use."""
    return [
        cell
        for seed in seeds
        for cells in (main_cells, shape_cells, balancer_cells, weight_cells)
        for cell in cells(seed)
    ]
