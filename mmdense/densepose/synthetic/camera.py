"""A perspective camera above a ground plane.

The world: metres, y up, the ground at y = 0; cameras stand above its origin
and look along -z, so that a body in its own frame faces them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Floats = NDArray[np.float64]

#: From the world's axes to those of a level camera: x right, y down, z ahead.
_LEVEL = np.diag([1.0, -1.0, -1.0])
_PERSON_HEIGHT = 1.7


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera; pixels are square and the axis meets the center.

    Attributes:
        width, height: Of the image, in pixels.
        focal: Focal length in pixels.
        position: (3,) in the world.
        rotation: (3, 3) from the world to the camera's axes: x to the right,
            y down, z ahead.
    """

    width: int
    height: int
    focal: float
    position: Floats
    rotation: Floats

    def project(self, points: NDArray[np.floating]) -> Floats:
        """Where points of the world are seen.

        Args:
            points: (..., 3) in the world.

        Returns:
            (..., 3): x and y in pixels from the upper left corner of the
            image, and the depth in metres. x and y mean nothing where the
            depth is not positive.
        """
        seen = (points - self.position) @ self.rotation.T
        depth = seen[..., 2:]
        safe = np.where(depth == 0, 1e-12, depth)
        center = np.array([self.width / 2, self.height / 2])
        return np.concatenate(
            (self.focal * seen[..., :2] / safe + center, depth), axis=-1
        )

    def rays(self, x: NDArray[np.floating], y: NDArray[np.floating]) -> Floats:
        """Directions in the world in which image points are seen.

        Args:
            x: (...) in pixels.
            y: (...) the same.

        Returns:
            (..., 3), of depth 1, so not of length 1.
        """
        ahead = np.stack(
            (
                (x - self.width / 2) / self.focal,
                (y - self.height / 2) / self.focal,
                np.ones_like(x, dtype=np.float64),
            ),
            axis=-1,
        )
        return ahead @ self.rotation

    def scaled(self, factor: float) -> 'Camera':
        """The camera of an image `factor` times as large."""
        return Camera(
            round(self.width * factor),
            round(self.height * factor),
            self.focal * factor,
            self.position,
            self.rotation,
        )


def look(
    width: int,
    height: int,
    focal: float,
    altitude: float,
    pitch: float = 0.0,
    roll: float = 0.0,
) -> Camera:
    """A camera above the origin, turned down by `pitch` and about its axis.

    Args:
        width: Of the image, in pixels.
        height: Of the image, in pixels.
        focal: In pixels.
        altitude: Above the ground, in metres.
        pitch: In radians; positive looks down.
        roll: In radians; positive leans the image to its right.
    """
    turn = Rotation.from_euler('xz', [pitch, roll]).as_matrix()
    return Camera(
        width, height, focal, np.array([0.0, altitude, 0.0]), turn @ _LEVEL
    )


def random_camera(
    rng: np.random.Generator, width: int, height: int
) -> tuple[Camera, float]:
    """A camera as photographers of people hold them.

    A person at the returned distance is 0.45 to 1.8 times as high as the
    image, and the middle of that person is near the middle of the image.

    Args:
        rng: Decides all.
        width: Of the image, in pixels.
        height: Of the image, in pixels.

    Returns:
        The camera, and the distance of its subject in metres.
    """
    focal = max(width, height) * np.exp(rng.uniform(np.log(0.8), np.log(2.2)))
    fill = np.exp(rng.uniform(np.log(0.45), np.log(1.8)))
    distance = max(_PERSON_HEIGHT * focal / (fill * height), 1.5)
    altitude = rng.uniform(0.6, 2.0) if rng.random() < 0.8 else 3.0
    # Higher up only with room to look down gently.
    altitude = min(altitude, 0.7 + 0.5 * distance)
    middle = np.arctan2(altitude - _PERSON_HEIGHT / 2, distance)
    pitch = middle + rng.normal(0, 0.08 * height / focal)
    roll = np.deg2rad(rng.normal(0, 2.5))
    return look(width, height, focal, altitude, pitch, roll), distance
