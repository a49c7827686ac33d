"""Mirror images: of bones, of whole meshes, of halves."""

import numpy as np
from scipy.spatial import cKDTree


def other_side(name: str) -> str:
    swap = {'.L': '.R', '.R': '.L'}
    return name[:-2] + swap[name[-2:]] if name[-2:] in swap else name


def mirror_permutation(vertices: np.ndarray) -> np.ndarray:
    """The vertex at the mirrored place of each one."""
    distance, mirror = cKDTree(vertices).query(vertices * [-1, 1, 1])
    if distance.max() > 5e-4 or not np.array_equal(
        mirror[mirror], np.arange(len(vertices))
    ):
        raise ValueError(
            f'The mesh is not symmetric: off by {distance.max():.1e} m'
        )
    return mirror


def mirror_of_half(
    own_image: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Number the mirror images of a half behind it.

    Args:
        own_image: (N,) elements that are their own mirror image.

    Returns:
        The image of each element of the whole, and the elements copied.
    """
    copied = np.flatnonzero(~own_image)
    count = len(own_image)
    mirror = np.arange(count + len(copied))
    mirror[copied] = count + np.arange(len(copied))
    mirror[count:] = copied
    return mirror, copied
