"""Images as floats, and random ones that vary smoothly."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]


def to_image(colors: NDArray[np.floating]) -> Image.Image:
    """(H, W) or (H, W, 3) in 0..1 as an image of 8 bits."""
    bytes_ = np.clip(colors, 0, 1) * 255 + 0.5
    return Image.fromarray(bytes_.astype(np.uint8))


def to_floats(image: Image.Image) -> Floats:
    """The same the other way round."""
    values: Floats = np.asarray(image, dtype=np.float32)
    return values * np.float32(1 / 255)


def smooth_noise(
    rng: np.random.Generator,
    height: int,
    width: int,
    cells: int,
    octaves: int = 1,
) -> Floats:
    """Noise in three channels: sums of random grids made larger.

    Args:
        rng: Decides all.
        height: Of the result.
        width: Of the result.
        cells: Grid cells along the longer side, doubled in each octave.
        octaves: How many grids; each has half the amplitude of the one
            before.

    Returns:
        (height, width, 3) within 0..1.
    """
    total = np.zeros((height, width, 3), dtype=np.float32)
    amplitude, scale = 1.0, 0.0
    for _ in range(octaves):
        shape = [
            max(2, round(cells * side / max(height, width)))
            for side in (height, width)
        ]
        grid = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        large = Image.fromarray(grid).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        total += amplitude * to_floats(large)
        scale += amplitude
        amplitude, cells = amplitude / 2, cells * 2
    return total / scale
