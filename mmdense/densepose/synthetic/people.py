"""One person: a shape, a pose and an outfit, somewhere on the ground."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ..surface.poses import pose_rotations, random_angles, random_kind
from .outfits import Outfit, random_outfit
from .props import Box
from .studio import Studio

Floats = NDArray[np.float32]

_SEAT_HEIGHTS = (0.2, 0.9)


@dataclass(frozen=True, eq=False)
class Person:
    """A person in the world.

    Attributes:
        vertices: (V, 3) metres; the lowest is at y = 0.
        outfit: The colors.
        seat: What the person sits on.
    """

    vertices: Floats
    outfit: Outfit
    seat: Box | None = None

    def moved(self, x: float, z: float, heading: float) -> 'Person':
        """Turned about the vertical by `heading` radians, then moved."""
        turn = Rotation.from_rotvec([0, heading, 0]).as_matrix()
        shift = np.array([x, 0, z])
        vertices = self.vertices @ turn.T.astype(np.float32) + shift
        seat = self.seat and self.seat.moved(x, z, heading)
        return Person(vertices.astype(np.float32), self.outfit, seat)


def random_person(studio: Studio, rng: np.random.Generator) -> Person:
    """A person on the origin of the ground, looking along +z."""
    body = studio.body
    shape = np.clip(rng.normal(0, 1, body.num_shapes), -2.2, 2.2)
    is_sitting = False
    if rng.random() < studio.motion_share:
        motion = studio.motions[rng.integers(len(studio.motions))]
        rotations = motion.rotations(int(rng.integers(motion.num_frames)))
    else:
        kind = random_kind(rng)
        is_sitting = kind == 'sitting'
        rotations = pose_rotations(body, random_angles(rng, kind))
    vertices = body.pose(shape, rotations)
    low, high = vertices.min(0), vertices.max(0)
    vertices = vertices - np.array(
        [(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2],
        dtype=np.float32,
    )
    seat = _seat(studio, rng, vertices) if is_sitting else None
    return Person(vertices, random_outfit(rng), seat)


def _seat(
    studio: Studio, rng: np.random.Generator, vertices: Floats
) -> Box | None:
    """A box whose top just touches the person from below."""
    rest = studio.body.vertices
    # Buttocks and the upper halves of the thighs.
    under = vertices[(rest[:, 1] > 0.68) & (rest[:, 1] < 0.95)]
    under = under[np.abs(under[:, 0] - np.median(under[:, 0])) < 0.25]
    height = float(under[:, 1].min())
    if not _SEAT_HEIGHTS[0] < height < _SEAT_HEIGHTS[1]:
        return None
    lowest = under[under[:, 1] < height + 0.06]
    center = np.array([np.median(lowest[:, 0]), 0, np.median(lowest[:, 2])])
    size = np.array([rng.uniform(0.36, 0.6), height, rng.uniform(0.3, 0.42)])
    # It ends behind the lower legs.
    legs = vertices[rest[:, 1] < 0.5]
    beside = np.abs(legs[:, 0] - center[0]) < size[0] / 2 + 0.01
    front = legs[beside & (legs[:, 1] < height), 2].min(initial=1e3)
    center[2] = min(center[2] + 0.05, front - 0.01 - size[2] / 2)
    return Box.upright(rng, center, size)
