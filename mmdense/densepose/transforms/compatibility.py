"""Transforms of mmdet that would lose or misalign dense points.

All others carry the points, because :class:`DensePoseBoxes` do. These are
refused when a data set is built; those that mix images, and so stand outside
its pipeline, are refused when they run or when their result is packed.
"""

from collections.abc import Iterator
from typing import Any

_NEW_BOXES = 'makes new boxes that carry no points'

REFUSED = {
    'Albu': _NEW_BOXES,
    'CopyPaste': 'computes boxes from masks, and covers points unseen',
    'GTBoxSubOne_GLIP': _NEW_BOXES,
    'InstaBoost': 'moves people within the image before they are loaded',
    'RandomErasing': f'{_NEW_BOXES}; mmdet.CutOut keeps them',
    'RandomFlip_GLIP': 'moves boxes by one pixel against the image',
}
_REFUSED_SETTINGS = {
    'RandomCrop': ('recompute_bbox', True, 'computes boxes from masks'),
    'MinIoURandomCrop': (
        'bbox_clip_border',
        False,
        'does not say which points it cuts off',
    ),
}


def check_transforms(transforms: Any) -> None:
    """Refuse a pipeline that would lose or misalign dense points.

    Args:
        transforms: A built pipeline, its transforms, or one of them;
            wrappers such as RandomApply are looked into.

    Raises:
        ValueError: Names the transform and why.
    """
    for transform in _flatten(transforms):
        names = [
            cls.__name__
            for cls in type(transform).__mro__
            if cls.__module__.startswith('mmdet.')
        ]
        for name in names:
            if name in REFUSED:
                _refuse(name, REFUSED[name])
            if name in _REFUSED_SETTINGS:
                setting, value, reason = _REFUSED_SETTINGS[name]
                if getattr(transform, setting, not value) == value:
                    _refuse(f'{name}({setting}={value})', reason)


def _flatten(transforms: Any) -> Iterator[Any]:
    if isinstance(transforms, list | tuple):
        for transform in transforms:
            yield from _flatten(transform)
        return
    yield transforms
    inner = getattr(transforms, 'transforms', None)
    if isinstance(inner, list | tuple) or hasattr(inner, 'transforms'):
        yield from _flatten(inner)


def _refuse(name: str, reason: str) -> None:
    raise ValueError(
        f'mmdet.{name} cannot be used with dense points: it {reason}. Take it '
        'out of the pipeline; docs/densepose_data.md lists what carries them'
    )
