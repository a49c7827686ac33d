"""Faces brought to a common place by five landmarks."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Eyes, nose and corners of the mouth (x, y) in an aligned image of 112 x 112
#: pixels, the template of ArcFace (Deng et al., CVPR 2019; the numbers as in
#: insightface's `eval_ijbc.py`).
ARCFACE_LANDMARKS = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)


def similarity_transform(
    source: ArrayLike, target: ArrayLike
) -> NDArray[np.float64]:
    """The similarity (scale, rotation, shift) nearest to a map of points.

    Least squares, without reflection: Umeyama, "Least-squares estimation of
    transformation parameters between two point patterns", TPAMI 1991. In the
    plane a point is a complex number and the solution a regression.

    Args:
        source: (n, 2) points x, y.
        target: (n, 2) where they should go.

    Returns:
        (2, 3), the matrix that `cv2.warpAffine` takes.

    Raises:
        ValueError: Shapes differ or all source points are one.
    """
    source, target = np.asarray(source, 'f8'), np.asarray(target, 'f8')
    if (
        source.ndim != 2
        or source.shape[1] != 2
        or source.shape != target.shape
    ):
        raise ValueError(
            'source and target must both have shape (n, 2), got '
            f'{source.shape} and {target.shape}'
        )
    a, b = source @ [1, 1j], target @ [1, 1j]
    centered = a - a.mean()
    spread = np.vdot(centered, centered).real
    if not spread > 0:
        raise ValueError(
            f'all {len(source)} landmarks are at one point, {source[0]}'
        )
    turn = np.vdot(centered, b - b.mean()) / spread
    shift = b.mean() - turn * a.mean()
    return np.array(
        [
            [turn.real, -turn.imag, shift.real],
            [turn.imag, turn.real, shift.imag],
        ]
    )
