"""What all images share: the body, its charts, and where poses come from."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..surface import BodySurface, build_surface
from ..surface.posing import PosableBody
from .geometry import VertexNormals, interpolate
from .motions import Motion
from .outfits import BodyCoordinates


class Studio:
    """Made once in a process.

    Args:
        motions: Poses to choose from; none: random angles of the joints.
        motion_share: How many people take their pose from `motions`.
        photos: Backgrounds to choose from; none: made-up ones.

    Raises:
        ValueError: `motion_share` is not in [0, 1].
    """

    def __init__(
        self,
        motions: Sequence[Motion] = (),
        motion_share: float = 0.5,
        photos: Sequence[Path] = (),
    ) -> None:
        if not 0 <= motion_share <= 1:
            raise ValueError(
                f'motion_share must be in [0, 1], got {motion_share}'
            )
        self.motions = tuple(motions)
        self.motion_share = motion_share if motions else 0.0
        self.photos = tuple(photos)
        self.body = PosableBody.load()
        self.surface: BodySurface = build_surface(None)
        if not np.array_equal(self.surface.mesh_faces, self.body.faces):
            raise ValueError('The charts that ship are not those of the body')

    @cached_property
    def normals(self) -> VertexNormals:
        return VertexNormals(self.body.faces, len(self.body.vertices))

    @cached_property
    def coordinates(self) -> BodyCoordinates:
        return BodyCoordinates(self.body)

    def chart_points(
        self, face: NDArray[np.integer], weights: NDArray[np.floating]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """Part and (U, V) of points within faces.

        Args:
            face: (N,) faces of the body.
            weights: (N, 3) of their corners.

        Returns:
            (N,) 1..24, and (N, 2) in [0, 1].
        """
        entries = self.surface.chart_faces()[face]
        uv = interpolate(self.surface.uv, entries, weights)
        # Sums of weights may exceed 1 by a rounding error.
        return self.surface.face_part[face], np.clip(uv, 0, 1)
