"""The mean distance within a part, which scales the evaluator's tolerance.

The page of the COCO DensePose challenges defines it as "the mean geodesic
distance between points on the part". Its numbers are shared by the groups of
:data:`GROUP_OF_PART`; hands, feet, legs and arms come in a left and a right
one, between which no distances are taken. (On a body of another scale and
pose the numbers are others, so scores on it cannot be compared.)
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .parts import (
    GROUP_OF_PART,
    NUM_PARTS,
    OFFICIAL_MEAN_DISTANCES,
    SEGM_OF_PART,
)

if TYPE_CHECKING:
    from .body_surface import BodySurface

# Points a part mask is represented by.
_SAMPLE = 1500


def compute_mean_distances(surface: 'BodySurface') -> NDArray[np.float64]:
    """The mean distance of each part's group.

    Vertices count with the area of the part's faces around them (all alike
    where the surface has no mesh). Of larger parts a fixed random sample of
    1,500 vertices is taken.

    Returns:
        float64 (25,), metres; 0 for the background, NaN for parts without
        entries.

    Raises:
        ValueError, FileNotFoundError: There are no distances to be had.
    """
    area = _areas(surface)
    rng = np.random.default_rng(0)
    sums, counts = np.zeros(9), np.zeros(9)
    for segm in range(1, int(SEGM_OF_PART.max()) + 1):
        mine = SEGM_OF_PART[surface.part] == segm
        if not mine.any():
            continue
        vertex, number = np.unique(surface.vertex[mine], return_inverse=True)
        weight = np.bincount(number.reshape(-1), weights=area[mine])
        if len(vertex) > _SAMPLE:
            keep = rng.choice(len(vertex), _SAMPLE, replace=False)
            vertex, weight = vertex[keep], weight[keep]
        weight = weight / weight.sum()
        mean = sum(
            weight[row] * (weight @ surface.geodesic(vertex[row], vertex))
            for row in range(len(vertex))
        )
        group = GROUP_OF_PART[np.flatnonzero(SEGM_OF_PART == segm)[0]]
        sums[group] += mean
        counts[group] += 1
    means = np.full(9, np.nan)
    means[0] = 0
    np.divide(sums, counts, out=means, where=counts > 0)
    result = means[GROUP_OF_PART]
    absent = np.setdiff1d(np.arange(1, NUM_PARTS + 1), surface.parts)
    result[absent] = np.nan
    return result


@dataclass(frozen=True)
class GivenMeanDistances:
    """Mean distances that do not depend on the surface.

    Attributes:
        values: What :func:`as_mean_distances` takes.
    """

    values: str | tuple[float, ...]

    def __post_init__(self) -> None:
        """See that they are usable."""
        as_mean_distances(self.values)

    def __call__(self, surface: 'BodySurface') -> NDArray[np.float64]:
        """float64 (25,), metres."""
        return as_mean_distances(self.values)


def as_mean_distances(value: ArrayLike) -> NDArray[np.float64]:
    """Mean distances by part, from what a user wrote.

    Args:
        value: 'official', the published numbers; 9 numbers, by group; or 25,
            by part. The first is that of the background and not used.

    Returns:
        float64 (25,), metres.

    Raises:
        ValueError: It is something else, or a number is not positive.
    """
    if isinstance(value, str):
        if value != 'official':
            raise ValueError(
                "mean_distances must be 'official' or 9 or 25 numbers, got "
                f'{value!r}'
            )
        value = OFFICIAL_MEAN_DISTANCES
    numbers = np.array(value, dtype=np.float64)
    if numbers.shape == (9,):
        numbers = numbers[GROUP_OF_PART]
    if numbers.shape != (NUM_PARTS + 1,):
        raise ValueError(
            'mean_distances must have 9 numbers, one a group, or 25, one a '
            f'part, got shape {numbers.shape}'
        )
    if (numbers[1:] <= 0).any():
        raise ValueError(
            f'mean_distances must be positive, got {numbers[1:].min()}'
        )
    numbers[0] = 0
    return numbers


def _areas(surface: 'BodySurface') -> NDArray[np.float64]:
    """A third of the area of the faces around each entry."""
    if surface.faces is None or surface.vertices is None:
        return np.ones(surface.num_entries)
    corners = surface.vertices[surface.mesh_faces].astype(np.float64)
    sides = corners[:, 1:] - corners[:, :1]
    area = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1) / 6
    areas: NDArray[np.float64] = np.bincount(
        surface.faces.reshape(-1),
        weights=np.repeat(area, 3),
        minlength=surface.num_entries,
    ).astype(np.float64)
    return areas
