"""Boxes: what people sit on, and what stands in front of them."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from .patterns import Pattern, random_pattern

Floats = NDArray[np.float32]

# Corners by the bits x, y, z of their numbers; outward, counter-clockwise.
BOX_FACES = np.array(
    [
        (0, 4, 6), (0, 6, 2), (1, 3, 7), (1, 7, 5),
        (0, 1, 5), (0, 5, 4), (2, 6, 7), (2, 7, 3),
        (0, 2, 3), (0, 3, 1), (4, 5, 7), (4, 7, 6),
    ],
    dtype=np.int32,
)  # fmt: skip
_CORNERS = np.array(
    [(x, y, z) for z in (0, 1) for y in (0, 1) for x in (0, 1)]
) - np.array([0.5, 0, 0.5])


@dataclass(frozen=True, eq=False)
class Box:
    """A box on the ground.

    Attributes:
        corners: (8, 3) in the world.
        local: (8, 3) the same in the box's own axes, in metres.
        pattern: Its colors.
    """

    corners: Floats
    local: Floats
    pattern: Pattern

    @classmethod
    def upright(
        cls, rng: np.random.Generator, place: NDArray, size: NDArray
    ) -> 'Box':
        """A box of random colors.

        Args:
            rng: Decides the colors.
            place: (3,) the middle of its underside.
            size: (3,) along x, y and z.
        """
        local = (_CORNERS * size).astype(np.float32)
        corners = (local + place).astype(np.float32)
        return cls(corners, local, random_pattern(rng))

    def moved(self, x: float, z: float, heading: float) -> 'Box':
        """Turned about the vertical by `heading` radians, then moved."""
        turn = Rotation.from_rotvec([0, heading, 0]).as_matrix()
        corners = self.corners @ turn.T + np.array([x, 0, z])
        return replace(self, corners=corners.astype(np.float32))

    def paint(self, local: Floats, face: NDArray[np.integer]) -> Floats:
        """Colors of points.

        Args:
            local: (N, 3) in the box's own axes.
            face: (N,) of `BOX_FACES`.

        Returns:
            (N, 3) RGB in 0..1.
        """
        level = face // 4 == 1  # underside and top
        side = face // 4 == 0
        cloth = np.stack(
            (
                np.where(side, local[:, 2], local[:, 0]),
                np.where(level, local[:, 2], local[:, 1]),
            ),
            axis=1,
        )
        return self.pattern.paint(cloth, local)
