"""Sun or lamp, and the light of sky and ground all around."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Floats = NDArray[np.float32]

_GAMMA = 2.2


@dataclass(frozen=True, eq=False)
class Light:
    """One directional light and an ambient one of two colors.

    Attributes:
        direction: (3,) unit vector towards the light, in the world.
        color: (3,) of the directional light, linear RGB.
        sky, ground: (3,) ambient light from above and from below.
    """

    direction: Floats
    color: Floats
    sky: Floats
    ground: Floats

    def gain(self, normals: Floats) -> Floats:
        """What to multiply sRGB colors by (Lambert's cosine law).

        Args:
            normals: (N, 3) unit normals of matt surfaces.

        Returns:
            (N, 3).
        """
        up = 0.5 + 0.5 * normals[:, 1:2]
        direct = np.maximum(normals @ self.direction, 0)[:, None]
        light = self.ground + up * (self.sky - self.ground)
        light += direct * self.color
        # Colors are sRGB and light is linear: (c^g L)^(1/g) = c L^(1/g).
        return light ** np.float32(1 / _GAMMA)


def random_light(rng: np.random.Generator) -> Light:
    """From above, from any side, warm or cold, hard or soft."""
    azimuth, elevation = rng.uniform(-np.pi, np.pi), rng.uniform(0.35, 1.35)
    # Photographers avoid the sun behind their subject, mostly.
    if rng.random() < 0.7:
        azimuth *= 0.45
    direction = Rotation.from_euler('xy', [-elevation, azimuth]).apply(
        [0, 0, 1]
    )
    share = rng.uniform(0.35, 0.75)  # of the directional light
    brightness = rng.uniform(0.75, 1.15)
    warmth = rng.normal(0, 0.06)
    white = np.array([1 + warmth, 1.0, 1 - warmth])
    ambient = brightness * (1 - share) * white[::-1] * 1.3
    return Light(
        direction.astype(np.float32),
        (brightness * share * 1.2 * white).astype(np.float32),
        ambient.astype(np.float32),
        (ambient * rng.uniform(0.35, 0.7)).astype(np.float32),
    )
