"""Pictures that are laid on the charts of a body."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..surface.parts import NUM_PARTS
from .drawing import PART_COLORS, Image

_COLUMNS, _ROWS = 4, 6


def checkers(size: int = 64, squares: int = 8) -> Image:
    """Squares in the color of each part, dark and light.

    They show at a glance whether U and V run smoothly and in which
    direction: U = 0 and V = 0 have a line of their own.

    Args:
        size: Of the texture of a part, in texels.
        squares: Along each side.

    Returns:
        (24, size, size, 3) uint8 RGB; see :func:`look_up`.
    """
    place = (np.arange(size) + 0.5) / size * squares
    cell = place.astype(int)
    is_light = (cell[:, None] + cell[None]) % 2 == 0
    shade = np.where(is_light, 1.0, 0.55)[..., None]
    texture = PART_COLORS[1:, None, None] * shade
    texture[:, :, place < 0.25] = 255
    texture[:, size - 1 - np.flatnonzero(place < 0.25)] = 0
    return texture.astype(np.uint8)


def read_atlas(path: str | Path) -> Image:
    """An atlas image in DensePose's layout.

    4 columns of 6 squares, numbered downwards and then to the right.

    Args:
        path: Of an image whose height to width is 6 to 4.

    Returns:
        (24, size, size, 3) uint8 RGB; see :func:`look_up`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no image, or of another shape.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'the texture {path} does not exist')
    image = cv2.imread(str(path))
    if image is None:
        raise ValueError(f'the texture {path} is not an image')
    height, width = image.shape[:2]
    size = width // _COLUMNS
    if (height, width) != (_ROWS * size, _COLUMNS * size) or not size:
        raise ValueError(
            f'the texture {path} is {width} x {height} px, expected 4 columns '
            'of 6 squares, such as 800 x 1200'
        )
    squares = image[..., ::-1].reshape(_ROWS, size, _COLUMNS, size, 3)
    squares = squares.transpose(2, 0, 1, 3, 4)
    return np.ascontiguousarray(squares.reshape(NUM_PARTS, size, size, 3))


def look_up(texture: Image, iuv: NDArray[np.uint8]) -> Image:
    """The colors of an IUV.

    Args:
        texture: (24, size, size, 3), of each part an image whose columns run
            from U = 0 to 1 and whose rows run from V = 1 to 0, as in
            DensePose's atlases.
        iuv: (3, ...) part, 255 U, 255 V.

    Returns:
        (..., 3) uint8 RGB, black where the part is 0.
    """
    size = texture.shape[1]
    part, u, v = iuv.astype(int)
    column = u * (size - 1) // 255
    row = (255 - v) * (size - 1) // 255
    colors = texture[part - 1, row, column]
    return np.where(part[..., None] > 0, colors, 0).astype(np.uint8)
