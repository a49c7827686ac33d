"""What people wear, their skin and hair: a color for each point of a body.

Where a garment ends is said in the rest pose of the mean body, so that it
stays where it is on a body of any shape in any pose.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..surface.posing import PosableBody
from .geometry import interpolate
from .patterns import Pattern, cloth_color, random_pattern

Floats = NDArray[np.float32]

# sRGB from the fairest to the darkest skin, chosen by us.
_SKIN_TONES = np.array(
    [
        (0.96, 0.84, 0.76),
        (0.89, 0.72, 0.60),
        (0.78, 0.59, 0.45),
        (0.62, 0.43, 0.31),
        (0.44, 0.29, 0.20),
        (0.26, 0.17, 0.12),
    ]
)
_HAIR = np.array(
    [
        (0.06, 0.05, 0.05),
        (0.18, 0.11, 0.07),
        (0.36, 0.22, 0.12),
        (0.72, 0.56, 0.34),
        (0.50, 0.22, 0.10),
        (0.68, 0.67, 0.66),
    ]
)
_TORSO, _FEET = (1, 2), (5, 6)
_LEGS, _ARMS = tuple(range(7, 15)), tuple(range(15, 23))
_HEAD = (23, 24)
_IRIS = np.array([(0.2, 0.12, 0.07), (0.25, 0.4, 0.55), (0.3, 0.38, 0.2)])
# Of the mean body in the rest pose, in metres; x is 0 in the middle.
_EYE, _BROW_Y, _MOUTH_Y = np.array([0.0307, 1.5855]), 1.598, 1.5135
_HAIRLINE_Z = (0.03, 0.07, 0.10, 0.135)
_HAIRLINE_Y = (1.51, 1.575, 1.61, 1.645)


class BodyPoints(NamedTuple):
    """Points on a body, as clothes need them.

    Attributes:
        part: (N,) 1..24.
        rest: (N, 3) where they are in the rest pose of the mean body.
        arm: (N,) how far down the arm: 0 shoulder, 1 elbow, 2 wrist.
        leg: (N,) how far down the leg: 0 hip, 1 knee, 2 ankle.
    """

    part: NDArray[np.uint8]
    rest: Floats
    arm: Floats
    leg: Floats


class BodyCoordinates:
    """Finds the :class:`BodyPoints` of points on a posable body."""

    def __init__(self, body: PosableBody) -> None:
        rest = body.vertices
        self._values = np.column_stack(
            (
                rest,
                _along(body, ('upperarm01', 'lowerarm01', 'wrist')),
                _along(body, ('upperleg01', 'lowerleg01', 'foot')),
            )
        ).astype(np.float32)

    def at(
        self, part: NDArray[np.uint8], corners: NDArray, weights: NDArray
    ) -> BodyPoints:
        """Points within triangles.

        Args:
            part: (N,) 1..24.
            corners: (N, 3) vertices of the triangles.
            weights: (N, 3) of the corners.
        """
        values = interpolate(self._values, corners, weights)
        return BodyPoints(part, values[:, :3], values[:, 3], values[:, 4])


def _along(body: PosableBody, joints: tuple[str, ...]) -> NDArray[np.float64]:
    """(V,) how many bones of a chain each vertex is down its side's limb."""
    result = np.zeros(len(body.vertices))
    for side, outward in (('L', 1), ('R', -1)):
        heads = [
            body.bone_heads[body.bone_index(f'{name}.{side}')]
            for name in joints
        ]
        mine = body.vertices[:, 0] * outward > 0
        for start, end in pairwise(heads):
            way = end - start
            share = (body.vertices[mine] - start) @ way / (way @ way)
            result[mine] += np.clip(share, 0, 1)
    return result


@dataclass(frozen=True, eq=False)
class Outfit:
    """Colors of one person.

    Attributes:
        skin, hair, iris, lips, shoes, inner: RGB in 0..1; `inner` is the
            shirt in an open jacket.
        hair_length: 0 none, 1 short, 2 down to the shoulders.
        has_beard: Whether the lower face is of the color of the hair.
        top, bottom: Patterns of shirt and trousers.
        sleeve, trouser: Where sleeves and trousers end, as
            :class:`BodyPoints` counts.
        hem: Height of the end of the shirt.
        neckline: Radius of the opening for the neck.
        opening: Half the width of an open jacket; 0: closed.
        collar: Height up to which the neck is covered.
        shaft: Height of the shoes; 0: barefoot.
    """

    skin: Floats
    hair: Floats
    iris: Floats
    lips: Floats
    shoes: Floats
    inner: Floats
    hair_length: int
    has_beard: bool
    top: Pattern
    bottom: Pattern
    sleeve: float
    trouser: float
    hem: float
    neckline: float
    opening: float
    collar: float
    shaft: float

    def paint(self, points: BodyPoints) -> tuple[Floats, NDArray[np.bool_]]:
        """Colors of points on the body.

        Returns:
            (N, 3) RGB in 0..1, and (N,) where there is cloth.
        """
        part, rest, arm, leg = points
        y = rest[:, 1]
        torso, arms = np.isin(part, _TORSO), np.isin(part, _ARMS)
        legs, head = np.isin(part, _LEGS), np.isin(part, _HEAD)
        below = torso & (y < self.hem)
        bottom = below | (legs & (leg < self.trouser))
        from_neck = np.hypot(rest[:, 0], y - 1.45)
        top = (torso & ~below & (from_neck > self.neckline)) | (
            arms & (arm < self.sleeve)
        )
        top |= (head & (y < self.collar)) | (legs & (y > self.hem))
        bottom &= ~top

        color = np.broadcast_to(self.skin, rest.shape).astype(np.float32)
        on_face = np.flatnonzero(head & ~top)
        color[on_face] = self._paint_head(rest[on_face])
        across = np.arctan2(rest[:, 0], rest[:, 2] - 0.02) * 0.14
        cloth = np.stack((across, np.where(arms, 0.27 * arm, y)), axis=1)
        for pattern, where in ((self.top, top), (self.bottom, bottom)):
            at = np.flatnonzero(where)
            color[at] = pattern.paint(cloth[at], rest[at])
        if self.opening:
            open_ = top & (part == 2) & (np.abs(rest[:, 0]) < self.opening)
            color[open_] = self.inner
        if self.shaft:
            shoes = (np.isin(part, _FEET) | legs) & (y < self.shaft) & ~bottom
            color[shoes] = self.shoes
            color[shoes & (y < 0.018)] = 0.8 * self.shoes + 0.1
        return color, top | bottom

    def _paint_head(self, rest: Floats) -> Floats:
        x, y, z = np.abs(rest[:, 0]), rest[:, 1], rest[:, 2]
        color = np.broadcast_to(self.skin, rest.shape).astype(np.float32)
        front = z > 0.08
        if self.has_beard:
            beard = front & (y > 1.46) & (y < 1.535) & (z < 0.165)
            beard &= ~((y > 1.50) & (y < 1.532) & (x < 0.03)) | (y > 1.526)
            color[beard] = 0.75 * self.hair + 0.25 * self.skin
        mouth = np.hypot(x / 0.023, (y - _MOUTH_Y) / 0.009) < 1
        color[mouth & (z > 0.12)] = self.lips
        eye = np.hypot((x - _EYE[0]) / 0.0145, (y - _EYE[1]) / 0.0055)
        iris = np.hypot(x - _EYE[0], y - _EYE[1]) / 0.0055
        for where, what in (
            (eye < 1.25, 0.45 * self.skin),
            (eye < 1, np.full(3, 0.9)),
            ((iris < 1) & (eye < 1), self.iris),
            ((iris < 0.45) & (eye < 1), np.full(3, 0.03)),
        ):
            color[front & where] = what
        arch = _BROW_Y + 0.004 - 12 * (x - 0.033) ** 2
        brow = (np.abs(y - arch) < 0.0028) & (x > 0.013) & (x < 0.05)
        color[front & brow] = 0.7 * self.hair + 0.3 * self.skin
        if self.hair_length:
            hair = y > np.interp(z, _HAIRLINE_Z, _HAIRLINE_Y)
            ear = (x > 0.068) & (z > 0.03) & (z < 0.078) & (y < 1.6)
            if self.hair_length == 2:
                hair |= (z < 0.075 - 0.35 * np.maximum(1.56 - y, 0)) & (
                    y > 1.44
                )
            else:
                hair &= ~ear
            color[hair] = self.hair
        return color


def random_outfit(rng: np.random.Generator) -> Outfit:
    """What one person wears."""
    tone = rng.uniform(0, len(_SKIN_TONES) - 1)
    skin = np.array(
        [
            np.interp(tone, np.arange(len(_SKIN_TONES)), channel)
            for channel in _SKIN_TONES.T
        ]
    )
    skin = np.clip(skin * rng.normal(1, 0.02, 3), 0, 1)
    # Fair hair on fair people, mostly; it greys and is dyed.
    shades = len(_HAIR) if tone < 2 else 3
    hair = _HAIR[rng.integers(shades)] if rng.random() < 0.9 else _HAIR[5]
    hair = np.clip(hair * rng.uniform(0.8, 1.2), 0, 1)
    top, bottom = random_pattern(rng), random_pattern(rng)
    if rng.random() < 0.5:
        bottom = random_pattern(rng, 'plain')
    if rng.random() < 0.12:  # A dress, an overall.
        bottom = top
    collar = rng.uniform(1.46, 1.49) if rng.random() < 0.25 else 0.0
    shoes = cloth_color(rng) * rng.choice([0.25, 0.6, 1.0])
    return Outfit(
        skin=skin.astype(np.float32),
        hair=hair.astype(np.float32),
        iris=_IRIS[rng.integers(3) if tone < 2.5 else 0],
        lips=(skin * (0.88, 0.66, 0.66)).astype(np.float32),
        shoes=shoes,
        inner=cloth_color(rng),
        hair_length=int(rng.choice([0, 1, 2], p=[0.1, 0.55, 0.35])),
        has_beard=bool(rng.random() < 0.15),
        top=top,
        bottom=bottom,
        sleeve=float(
            rng.choice([0.12, 0.6, 1.05, 1.97], p=[0.1, 0.4, 0.1, 0.4])
        ),
        trouser=float(rng.choice([0.45, 0.9, 1.95], p=[0.15, 0.15, 0.7])),
        hem=rng.uniform(0.86, 1.02),
        neckline=0.0 if collar else rng.uniform(0.06, 0.13),
        opening=rng.uniform(0.02, 0.08) if rng.random() < 0.2 else 0.0,
        collar=collar,
        shaft=float(rng.choice([0, 0.1, 0.13, 0.35], p=[0.1, 0.5, 0.3, 0.1])),
    )
