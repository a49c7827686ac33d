"""The 24 parts of DensePose and the coarser partitions made of them.

Numbers and groups are those of the published annotations and evaluator; the
names are descriptive. Index 0 is the background everywhere.
"""

import numpy as np
from numpy.typing import NDArray

NUM_PARTS = 24

PART_NAMES = (
    'background',
    'torso_back',
    'torso_front',
    'right_hand',
    'left_hand',
    'left_foot',
    'right_foot',
    'right_upper_leg_back',
    'left_upper_leg_back',
    'right_upper_leg_front',
    'left_upper_leg_front',
    'right_lower_leg_back',
    'left_lower_leg_back',
    'right_lower_leg_front',
    'left_lower_leg_front',
    'left_upper_arm_front',
    'right_upper_arm_front',
    'left_upper_arm_back',
    'right_upper_arm_back',
    'left_lower_arm_front',
    'right_lower_arm_front',
    'left_lower_arm_back',
    'right_lower_arm_back',
    'head_right',
    'head_left',
)

#: What each label of the 14 part masks (`dp_masks`, in this order) shows.
SEGM_NAMES = (
    'background',
    'torso',
    'right_hand',
    'left_hand',
    'left_foot',
    'right_foot',
    'right_upper_leg',
    'left_upper_leg',
    'right_lower_leg',
    'left_lower_leg',
    'left_upper_arm',
    'right_upper_arm',
    'left_lower_arm',
    'right_lower_arm',
    'head',
)

#: The groups over which the evaluator shares a mean distance.
GROUP_NAMES = (
    'background',
    'torso',
    'hands',
    'feet',
    'upper_legs',
    'lower_legs',
    'upper_arms',
    'lower_arms',
    'head',
)


def _labels(*values: int) -> NDArray[np.uint8]:
    labels = np.array(values, dtype=np.uint8)
    labels.setflags(write=False)
    return labels


# fmt: off
#: uint8 (25,): the part that a part becomes in a mirror image.
MIRROR_PARTS = _labels(
    0, 1, 2, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11,
    14, 13, 16, 15, 18, 17, 20, 19, 22, 21, 24, 23,
)
#: uint8 (15,): the same for the labels of the part masks.
MIRROR_SEGM = _labels(0, 1, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 14)
#: uint8 (25,): the part mask that a part belongs to.
SEGM_OF_PART = _labels(
    0, 1, 1, 2, 3, 4, 5, 6, 7, 6, 7, 8, 9,
    8, 9, 10, 11, 10, 11, 12, 13, 12, 13, 14, 14,
)
#: uint8 (25,): the group of a part, `CoarseParts` of the evaluator.
GROUP_OF_PART = _labels(
    0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 4, 5, 5,
    5, 5, 6, 6, 6, 6, 7, 7, 7, 7, 8, 8,
)
# fmt: on

#: float64 (9,): mean distance of each group in metres, `Mean_Distances` of
#: the evaluator of the COCO DensePose challenges, on its own body.
OFFICIAL_MEAN_DISTANCES = np.array(
    [0, 0.351, 0.107, 0.126, 0.237, 0.173, 0.142, 0.128, 0.150]
)
OFFICIAL_MEAN_DISTANCES.setflags(write=False)


def check_parts(part: NDArray, allow_background: bool = False) -> None:
    """See that part labels are integers in the allowed range.

    Raises:
        TypeError: They are not integers.
        ValueError: One is outside 1..24, or 0..24.
    """
    if part.dtype.kind not in 'ui':
        raise TypeError(
            f'part labels must be integers, got an array of {part.dtype}'
        )
    lowest = 0 if allow_background else 1
    if part.size and (part.min() < lowest or part.max() > NUM_PARTS):
        wrong = part[(part < lowest) | (part > NUM_PARTS)]
        raise ValueError(
            f'part labels must be in {lowest}..{NUM_PARTS}, got '
            f'{wrong.flat[0]}'
        )
