"""Colors and patterns of cloth."""

import colorsys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

KINDS = ('plain', 'stripes', 'checks', 'gradient', 'blotches', 'dots')
_SHARES = (0.45, 0.2, 0.12, 0.07, 0.1, 0.06)


@dataclass(frozen=True, eq=False)
class Pattern:
    """A pattern of up to three colors.

    Attributes:
        kind: One of `KINDS`.
        colors: (3, 3) RGB in 0..1.
        period: Of the pattern, in metres.
        direction: (2,) of stripes and gradients, across and along the limb.
        waves: (4, 3) wave vectors of the blotches, in radians a metre.
        phases: (4,) of the same.
    """

    kind: str
    colors: Floats
    period: float
    direction: Floats
    waves: Floats
    phases: Floats

    def paint(self, cloth: Floats, rest: Floats) -> Floats:
        """Colors of points.

        Args:
            cloth: (N, 2) metres across and along the limb.
            rest: (N, 3) metres, where the points are in the rest pose.

        Returns:
            (N, 3) RGB in 0..1.
        """
        first, second, third = self.colors
        at = (cloth @ self.direction) / self.period
        if self.kind == 'stripes':
            return np.where(((at % 1) < 0.5)[:, None], first, second)
        if self.kind == 'checks':
            crossed = (cloth / self.period) % 1 < (0.5, 0.35)
            return np.where(
                crossed[:, :1],
                np.where(crossed[:, 1:], third, second),
                np.where(crossed[:, 1:], second, first),
            )
        if self.kind == 'gradient':
            share = (0.5 + 0.5 * np.sin(2 * np.pi * at / 6))[:, None]
            return first * share + second * (1 - share)
        if self.kind == 'blotches':
            level = np.sin(rest @ self.waves.T + self.phases).sum(1)
            return self.colors[np.digitize(level, (-0.4, 0.6))]
        if self.kind == 'dots':
            offset = (cloth / self.period) % 1 - 0.5
            return np.where(
                ((offset**2).sum(1) < 0.05)[:, None], second, first
            )
        return np.broadcast_to(first, (len(cloth), 3))


def random_pattern(
    rng: np.random.Generator, kind: str | None = None
) -> Pattern:
    """A pattern for a garment.

    Args:
        rng: Decides all.
        kind: One of `KINDS`; None: any, plain ones most often.

    Raises:
        ValueError: No such kind.
    """
    if kind is None:
        kind = str(rng.choice(KINDS, p=_SHARES))
    if kind not in KINDS:
        raise ValueError(f'kind must be one of {KINDS}, got {kind!r}')
    turn = rng.choice([0, np.pi / 2, np.pi / 2, rng.uniform(0, np.pi)])
    waves = rng.normal(0, 1, (4, 3)) * rng.uniform(15, 60)
    return Pattern(
        kind,
        np.stack([cloth_color(rng) for _ in range(3)]),
        float(np.exp(rng.uniform(np.log(0.02), np.log(0.14)))),
        np.array([np.cos(turn), np.sin(turn)], dtype=np.float32),
        waves.astype(np.float32),
        rng.uniform(0, 2 * np.pi, 4).astype(np.float32),
    )


def cloth_color(rng: np.random.Generator) -> Floats:
    """(3,) RGB in 0..1: greys, denim blues, muted and bright colors."""
    family = rng.random()
    if family < 0.3:
        level = rng.uniform(0.05, 0.95)
        return np.clip(level + rng.normal(0, 0.02, 3), 0, 1).astype(np.float32)
    if family < 0.45:
        hue, saturation = rng.uniform(0.56, 0.66), rng.uniform(0.25, 0.8)
        value = rng.uniform(0.15, 0.7)
    else:
        hue, saturation = rng.random(), rng.beta(2, 2)
        value = rng.uniform(0.15, 0.95)
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value), np.float32)
