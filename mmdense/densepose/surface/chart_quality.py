"""How good a chart is: stretch, folds, places covered twice."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
#: d/dx and d/dy, each (F, N) sparse.
Gradient = tuple[sp.csr_array, sp.csr_array]


@dataclass(frozen=True)
class Distortion:
    """How far a map from a surface to the plane is from an isometry.

    `stretch` is the larger of sigma_1 and 1 / sigma_2 of each triangle, with
    the singular values of its Jacobian: 1 where lengths are kept.
    """

    stretch: Floats
    area: Floats
    flipped_area: float

    @property
    def mean_stretch(self) -> float:
        """Mean over the surface, weighted by area."""
        return float(np.average(self.stretch, weights=self.area))

    @property
    def max_stretch(self) -> float:
        return float(self.stretch.max())

    @property
    def flipped_share(self) -> float:
        """Share of the area (0 to 1) whose triangles are turned over."""
        return self.flipped_area / float(self.area.sum())


def distortion(vertices: Floats, faces: Ints, uv: Floats) -> Distortion:
    """Measure a map to the plane.

    Args:
        vertices: (N, 3) positions.
        faces: (F, 3) indices.
        uv: (N, 2) coordinates, in the same unit for an absolute stretch.
    """
    x1, x2, area = flat_triangles(vertices, faces)
    jacobian = jacobians(gradient_operators(faces, x1, x2, len(vertices)), uv)
    sigma = np.linalg.svd(jacobian, compute_uv=False)
    flipped = np.linalg.det(jacobian) <= 0
    return Distortion(
        stretch=np.maximum(sigma[:, 0], 1 / np.maximum(sigma[:, 1], 1e-12)),
        area=area,
        flipped_area=float(area[flipped].sum()),
    )


def coverage(uv: Floats, faces: Ints, size: int = 512) -> NDArray[np.int32]:
    """How many triangles cover each cell centre of a grid over [0, 1]^2.

    Args:
        uv: (N, 2) coordinates in [0, 1].
        faces: (F, 3) indices.
        size: Cells along one side.

    Returns:
        (size, size) counts, [row of v, column of u]; above 1 where the map is
        not one-to-one. Centres within rounding of an edge are not counted.
    """
    count = np.zeros((size, size), np.int32)
    for corners in uv[faces] * size - 0.5:
        low = np.ceil(corners.min(0)).astype(int).clip(0)
        high = np.floor(corners.max(0)).astype(int).clip(max=size - 1)
        x, y = np.meshgrid(
            np.arange(low[0], high[0] + 1), np.arange(low[1], high[1] + 1)
        )
        if not x.size:
            continue
        after = np.roll(corners, -1, axis=0)
        side = [
            (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])
            for a, b in zip(corners, after, strict=True)
        ]
        inside = np.all([s > 1e-9 for s in side], 0) | np.all(
            [s < -1e-9 for s in side], 0
        )
        count[y[inside], x[inside]] += 1
    return count


def flat_triangles(
    vertices: Floats, faces: Ints
) -> tuple[Floats, Floats, Floats]:
    """Each triangle laid flat: its second corner (x, 0), its third, area."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    base = np.linalg.norm(b - a, axis=1)
    along = (b - a) / base[:, None]
    x = ((c - a) * along).sum(1)
    y = np.linalg.norm((c - a) - x[:, None] * along, axis=1)
    second = np.stack([base, np.zeros_like(base)], 1)
    return second, np.stack([x, y], 1), base * y / 2


def gradient_operators(
    faces: Ints, second: Floats, third: Floats, n: int
) -> Gradient:
    """The operators d/dx and d/dy of a function linear on each triangle."""
    base, (x, y) = second[:, 0], third.T
    rows = np.repeat(np.arange(len(faces)), 3)
    dx = np.stack([-1 / base, 1 / base, 0 * base], 1)
    dy = np.stack([(x / base - 1) / y, -x / base / y, 1 / y], 1)
    shape = (len(faces), n)
    return (
        sp.csr_array((dx.ravel(), (rows, faces.ravel())), shape=shape),
        sp.csr_array((dy.ravel(), (rows, faces.ravel())), shape=shape),
    )


def jacobians(gradient: Gradient, uv: Floats) -> Floats:
    return np.stack([gradient[0] @ uv, gradient[1] @ uv], 2)
