"""Unfold the parts of the left half."""

from dataclasses import dataclass

import numpy as np

from mmdense.densepose.surface.cutting import open_seams
from mmdense.densepose.surface.parts import MIRROR_PARTS
from mmdense.densepose.surface.unfolding import unfold_disk

from .half_body import HalfBody
from .numbering import (
    FOOT,
    HAND,
    LOWER_ARM_BACK,
    LOWER_ARM_FRONT,
    TORSO_BACK,
    TORSO_FRONT,
    UPPER_ARM_BACK,
    UPPER_ARM_FRONT,
)

# Which way V grows, where it is not straight up: away from the tips.
UP = {
    HAND: [-0.5, 0.6, -0.6],
    FOOT: [0, 0.3, -1],
    UPPER_ARM_FRONT: [-0.7, 0.7, 0],
    UPPER_ARM_BACK: [-0.7, 0.7, 0],
    LOWER_ARM_FRONT: [-0.6, 0.6, -0.5],
    LOWER_ARM_BACK: [-0.6, 0.6, -0.5],
}
# (U, V) are kept to 16 bits: exact in float32, and so is 1 - U.
CHART_STEP = 2**-16


@dataclass(frozen=True)
class HalfCharts:
    """Chart entries of the left half; `on_axis` are their own mirror image."""

    faces: np.ndarray
    vertices: np.ndarray
    parts: np.ndarray
    uv: np.ndarray
    on_axis: np.ndarray
    size: np.ndarray


def unfold(half: HalfBody) -> HalfCharts:
    """Charts of all parts of the left half."""
    faces, vertices = open_seams(half.faces, half.parts, half.seams)
    parts = np.zeros(len(vertices), np.int64)
    parts[faces] = half.parts[:, None]
    on_axis = half.middle[vertices] & np.isin(parts, (TORSO_BACK, TORSO_FRONT))
    uv = np.zeros((len(vertices), 2))
    size = np.zeros((len(MIRROR_PARTS) - 1, 2))
    for part in np.unique(parts):
        entries = np.flatnonzero(parts == part)
        local_faces = faces[half.parts == part] - entries[0]
        points = half.positions[vertices[entries]]
        axis = np.flatnonzero(on_axis[entries])
        flat = unfold_disk(points, local_faces, axis if len(axis) else None)
        height = points @ UP.get(int(part), [0, 1, 0])
        if not len(axis):
            flat = _turned_up(flat, height)
        elif np.corrcoef(flat[:, 1], height)[0, 1] < 0:
            flat = -flat
        low, high = flat.min(0), flat.max(0)
        if len(axis):
            # The other half of the torso takes the other half of U.
            high[0] = np.abs(flat[:, 0]).max()
            low[0] = -high[0]
        uv[entries] = (flat - low) / (high - low)
        size[[part - 1, MIRROR_PARTS[part] - 1]] = high - low
    return HalfCharts(
        faces=faces,
        vertices=vertices,
        parts=parts,
        uv=np.round(uv / CHART_STEP) * CHART_STEP,
        on_axis=on_axis,
        size=size,
    )


def _turned_up(flat: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Turn a chart so that V follows the height, without reflecting it."""
    centered = flat - flat.mean(0)
    slope, *_ = np.linalg.lstsq(centered, height - height.mean(), rcond=None)
    up = slope / np.linalg.norm(slope)
    return np.stack([centered @ [up[1], -up[0]], centered @ up], 1)
