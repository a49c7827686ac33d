"""The dense part of an annotation in DensePose-COCO's format: read, checked.

An annotation may hold, beside COCO's own fields,

* `dp_x`, `dp_y`: points in the frame of its box, which is 256 wide and high;
* `dp_I`: the part of the surface each lies on, 1..24;
* `dp_U`, `dp_V`: where on that part, in [0, 1];
* `dp_masks`: the 14 coarse parts as 256 x 256 masks in the same frame, `[]`
  for a part that is not seen; or one mask of the whole person.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..surface.parts import NUM_PARTS, SEGM_NAMES
from .rle import decode_rle, read_runs

# Width and height of a box in the frame of its points and masks. The
# evaluation of the reference divides by 255 instead, see docs.
FRAME_SIZE = 256
NUM_PART_MASKS = len(SEGM_NAMES) - 1

POINT_FIELDS = ('dp_x', 'dp_y', 'dp_I', 'dp_U', 'dp_V')
# What says that an annotation is meant to be dense.
DENSE_FIELDS = (*POINT_FIELDS, 'dp_masks')


@dataclass(frozen=True)
class Problem:
    """Something wrong in a field.

    Attributes:
        field: Name of the field, with an index where one element is meant.
        message: What is wrong with it; reads on after the field.
        is_usable: The annotation can be trained on all the same.
    """

    field: str
    message: str
    is_usable: bool = False


@dataclass(frozen=True)
class FramePoints:
    """Annotated points of one person in the frame of the box.

    Attributes:
        xy: (P, 2) float32, in 0..256 of the box.
        part: (P,) uint8, 1..24.
        uv: (P, 2) float32, in [0, 1].
    """

    xy: NDArray[np.float32]
    part: NDArray[np.uint8]
    uv: NDArray[np.float32]


def is_dense(annotation: Mapping[str, Any]) -> bool:
    """Whether an annotation has dense fields, right or wrong."""
    return any(annotation.get(field) for field in DENSE_FIELDS)


def check_dense(annotation: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the dense fields of an annotation.

    Args:
        annotation: One of the `annotations`; without `dp_*` nothing is wrong.

    Returns:
        Problems in the order of the fields.
    """
    return check_points(annotation) + check_part_masks(annotation)


def check_points(annotation: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the points of an annotation.

    Args:
        annotation: One of the `annotations`; without `dp_*` nothing is wrong.

    Returns:
        Problems in the order of the fields.
    """
    present = [field for field in POINT_FIELDS if annotation.get(field)]
    if not present:
        return []
    problems = [
        Problem(field, f'is missing or empty, but there is {present[0]}')
        for field in POINT_FIELDS
        if field not in present
    ]
    values = {}
    for field in present:
        try:
            array = np.asarray(annotation[field], dtype=np.float64)
        except (TypeError, ValueError):
            array = np.empty((0, 0))
        if array.ndim != 1:
            problems.append(Problem(field, 'must be a flat list of numbers'))
            continue
        values[field] = array
        problem = _check_values(field, array)
        if problem is not None:
            problems.append(problem)
    lengths = {field: len(array) for field, array in values.items()}
    if len(set(lengths.values())) > 1:
        every = ', '.join(f'{field} {n}' for field, n in lengths.items())
        problems.append(
            Problem('dp_*', f'must be of one length, got lengths {every}')
        )
    return problems


def _check_values(field: str, values: NDArray[np.float64]) -> Problem | None:
    is_good = np.isfinite(values)
    wanted = 'must be finite'
    if is_good.all():
        if field == 'dp_I':
            is_good = np.isin(values, np.arange(1, NUM_PARTS + 1))
            wanted = f'must be a part, 1..{NUM_PARTS}'
        elif field in ('dp_U', 'dp_V'):
            is_good = (values >= 0) & (values <= 1)
            wanted = 'must be in [0, 1]'
        else:
            is_good = (values >= 0) & (values <= FRAME_SIZE)
            wanted = (
                f'is outside the box, 0..{FRAME_SIZE} (points are relative to '
                'the box scaled to that size, not to the image)'
            )
    if is_good.all():
        return None
    wrong = np.flatnonzero(~is_good)
    first = values[wrong[0]]
    more = f' and {len(wrong) - 1} more' if len(wrong) > 1 else ''
    return Problem(
        f'{field}[{wrong[0]}]',
        f'{wanted}, got {first:g}{more}',
        is_usable=field in ('dp_x', 'dp_y') and bool(np.isfinite(first)),
    )


def check_part_masks(annotation: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the part masks of an annotation.

    Args:
        annotation: One of the `annotations`; `dp_masks` may be missing.

    Returns:
        Problems, one for each mask that cannot be read.
    """
    masks = annotation.get('dp_masks')
    if not masks:
        return []
    if isinstance(masks, Mapping):
        return _check_mask('dp_masks', masks)
    if not isinstance(masks, list) or len(masks) != NUM_PART_MASKS:
        got = f'{len(masks)} of them' if isinstance(masks, list) else masks
        return [
            Problem(
                'dp_masks',
                f'must be a list of {NUM_PART_MASKS} masks ([] for a part '
                f'that is not seen) or one mask, got {got}',
            )
        ]
    problems = []
    for i, mask in enumerate(masks):
        if mask:
            name = f'dp_masks[{i}] ({SEGM_NAMES[i + 1]})'
            problems += _check_mask(name, mask)
    return problems


def _check_mask(field: str, mask: Any) -> list[Problem]:
    try:
        height, width, _ = read_runs(mask)
    except ValueError as error:
        return [Problem(field, str(error))]
    if (height, width) != (FRAME_SIZE, FRAME_SIZE):
        expected = f'{FRAME_SIZE} x {FRAME_SIZE}'
        return [Problem(field, f'must be {expected}, got {height} x {width}')]
    return []


def read_points(annotation: Mapping[str, Any]) -> FramePoints | None:
    """The points of an annotation that passed :func:`check_points`.

    Args:
        annotation: One of the `annotations`.

    Returns:
        Its points, or None if it has none.
    """
    if not annotation.get('dp_x'):
        return None
    x, y, part, u, v = (
        np.asarray(annotation[field], dtype=np.float32)
        for field in POINT_FIELDS
    )
    return FramePoints(
        xy=np.stack((x, y), axis=1),
        part=part.astype(np.uint8),
        uv=np.stack((u, v), axis=1),
    )


def read_part_masks(
    annotation: Mapping[str, Any],
) -> NDArray[np.uint8] | None:
    """The part masks of an annotation as one map of labels.

    Where masks overlap the later part wins, as in the reference.

    Args:
        annotation: One that passed :func:`check_part_masks`.

    Returns:
        (256, 256) labels in the frame of the box: 0 background, 1..14 the
        coarse parts, or 0 and 1 if there is one mask for the whole person.
        None if it has no masks.
    """
    masks = annotation.get('dp_masks')
    if not masks:
        return None
    if isinstance(masks, Mapping):
        return decode_rle(masks)
    labels = np.zeros((FRAME_SIZE, FRAME_SIZE), dtype=np.uint8)
    for i, mask in enumerate(masks):
        if mask:
            labels[decode_rle(mask) > 0] = i + 1
    return labels
