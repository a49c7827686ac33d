"""Where and how much predicted points are off, over a data set.

Not part of the published protocol. GPS says how good a person is; this says
which parts are bad, by how many centimetres, and what they are mistaken for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..surface.parts import NUM_PARTS

#: Within how many centimetres points are counted.
WITHIN_CM = (5, 10, 20)
#: Sizes of people by annotated area in px, and upper bounds of them.
SIZE_NAMES = ('small', 'medium', 'large')
_SIZE_BOUNDS = (32.0**2, 96.0**2)
#: How much of a person's box is covered by the box of another person.
OCCLUSION_NAMES = ('free', 'partly covered', 'mostly covered')
_OCCLUSION_BOUNDS = (0.1, 0.5)


@dataclass(frozen=True)
class PointErrors:
    """Annotated points of the people that were found, and their predictions.

    Attributes:
        part: (P,) uint8, annotated, 1..24.
        predicted_part: (P,) uint8; 0: not on the person, or outside the box.
        distance: (P,) float32, metres along the surface; inf where nothing
            is predicted, NaN without a surface.
        uv_error: (P,) float32, distance in (U, V) where the part is right,
            else NaN.
        vertex: (P,) int32, annotated; -1 without a surface.
        area: (P,) float32, annotated area of the person, px.
        occlusion: (P,) float32, in [0, 1], largest share of the person's box
            that the box of another covers.
    """

    part: NDArray[np.uint8]
    predicted_part: NDArray[np.uint8]
    distance: NDArray[np.float32]
    uv_error: NDArray[np.float32]
    vertex: NDArray[np.int32]
    area: NDArray[np.float32]
    occlusion: NDArray[np.float32]

    @classmethod
    def empty(cls) -> 'PointErrors':
        """No points."""
        part, value = np.zeros(0, np.uint8), np.zeros(0, np.float32)
        vertex = np.zeros(0, np.int32)
        return cls(part, part, value, value, vertex, value, value)

    @classmethod
    def cat(cls, errors: Sequence['PointErrors']) -> 'PointErrors':
        """The points of all, in order."""
        if not errors:
            return cls.empty()
        joined = {
            item.name: np.concatenate([getattr(e, item.name) for e in errors])
            for item in fields(cls)
        }
        return cls(**joined)

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, index: NDArray) -> 'PointErrors':
        """Some of the points."""
        taken = {f.name: getattr(self, f.name)[index] for f in fields(self)}
        return PointErrors(**taken)


@dataclass(frozen=True)
class ErrorSummary:
    """The errors of some points; shares in percent, NaN if undefined.

    Attributes:
        points: How many.
        covered: Share that is predicted to be on the person.
        part_accuracy: Share whose part is right.
        uv_error: Mean distance in (U, V) of those.
        mean_cm: Mean geodesic error of covered points.
        median_cm: Their median.
        within: Share of all points with an error below each of
            `WITHIN_CM`; those not covered are not.
    """

    points: int
    covered: float
    part_accuracy: float
    uv_error: float
    mean_cm: float
    median_cm: float
    within: tuple[float, ...]


def summarize_errors(errors: PointErrors) -> ErrorSummary:
    """Means and shares of points."""
    covered = errors.predicted_part > 0
    right = errors.predicted_part == errors.part
    reached = errors.distance[covered & np.isfinite(errors.distance)]
    in_cm = 100 * reached.astype(np.float64)
    has_surface = not np.isnan(errors.distance).any()
    within = [
        _share(100 * errors.distance < limit) if has_surface else np.nan
        for limit in WITHIN_CM
    ]
    return ErrorSummary(
        points=len(errors),
        covered=_share(covered),
        part_accuracy=_share(right),
        uv_error=_or_nan(np.mean, errors.uv_error[right]),
        mean_cm=_or_nan(np.mean, in_cm),
        median_cm=_or_nan(np.median, in_cm),
        within=tuple(within),
    )


def by_part(errors: PointErrors) -> dict[int, ErrorSummary]:
    """Summaries by annotated part, of parts that have points."""
    return {
        int(part): summarize_errors(errors[errors.part == part])
        for part in np.unique(errors.part)
    }


def by_size(errors: PointErrors) -> dict[str, ErrorSummary]:
    """Summaries by size of the person, for all of `SIZE_NAMES`."""
    return _grouped(errors, errors.area, _SIZE_BOUNDS, SIZE_NAMES)


def by_occlusion(errors: PointErrors) -> dict[str, ErrorSummary]:
    """Summaries by `occlusion`, for all of `OCCLUSION_NAMES`."""
    return _grouped(
        errors, errors.occlusion, _OCCLUSION_BOUNDS, OCCLUSION_NAMES
    )


def confusion(errors: PointErrors) -> NDArray[np.int64]:
    """How often each annotated part (row) is predicted as each (column).

    Returns:
        (25, 25) counts; row 0 is empty, column 0 is what is not covered.
    """
    size = NUM_PARTS + 1
    index = errors.part.astype(np.int64) * size + errors.predicted_part
    return np.bincount(index, minlength=size * size).reshape(size, size)


def mean_by_vertex(
    errors: PointErrors, num_vertices: int, limit: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mean error at each vertex of the surface, and the number of points.

    Args:
        errors: With distances.
        num_vertices: V.
        limit: Metres; larger errors, and points not covered, count as this.

    Returns:
        (V,) metres, 0 where there are no points, and (V,).
    """
    capped = np.minimum(errors.distance, limit)
    sums = np.bincount(
        errors.vertex, weights=capped, minlength=num_vertices
    ).astype(np.float64)
    count = np.bincount(errors.vertex, minlength=num_vertices)
    return sums / np.maximum(count, 1), count


def _grouped(
    errors: PointErrors,
    values: NDArray,
    bounds: tuple[float, ...],
    names: tuple[str, ...],
) -> dict[str, ErrorSummary]:
    group = np.digitize(values, bounds)
    return {
        name: summarize_errors(errors[group == number])
        for number, name in enumerate(names)
    }


def _share(flags: NDArray) -> float:
    return 100 * float(np.mean(flags)) if flags.size else float('nan')


def _or_nan(reduce: Callable[[NDArray], Any], values: NDArray) -> float:
    return float(reduce(values)) if values.size else float('nan')
