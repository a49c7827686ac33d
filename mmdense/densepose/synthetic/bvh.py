"""Reader of BVH files, the text format of recorded motions.

The format is Biovision's: a tree of joints, then a row of numbers a frame.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Floats = NDArray[np.float64]

_CHANNELS = tuple(
    f'{axis}{kind}' for kind in ('position', 'rotation') for axis in 'XYZ'
)


@dataclass(frozen=True, eq=False)
class BvhFile:
    """A skeleton and its motion.

    Attributes:
        path: Of the file.
        names: J joints, each after its parent.
        parents: (J,) indices; -1 for the root.
        offsets: (J, 3) from the joint of the parent, in the file's units.
        channels: Of each joint, in the order of the numbers of a frame.
        frames: (T, C) positions, and rotations in degrees.
    """

    path: Path
    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Floats
    channels: tuple[tuple[str, ...], ...]
    frames: Floats

    def turns(self, frame: int) -> Floats:
        """(J, 3, 3): how far each joint is turned from the zero pose.

        In the axes of the file, turns of the parents included.
        """
        result = np.empty((len(self.names), 3, 3))
        values, at = self.frames[frame], 0
        for joint, channels in enumerate(self.channels):
            own = values[at : at + len(channels)]
            at += len(channels)
            turning = [c.endswith('rotation') for c in channels]
            turn = np.eye(3)
            if any(turning):
                # The first channel turns last, so about axes that turn along.
                axes = ''.join(
                    c[0] for c, t in zip(channels, turning, strict=True) if t
                )
                turn = Rotation.from_euler(
                    axes, own[turning], degrees=True
                ).as_matrix()
            parent = self.parents[joint]
            result[joint] = turn if parent < 0 else result[parent] @ turn
        return result

    def joints(self, turns: Floats) -> Floats:
        """(J, 3): where the joints are when turned so; the root is at 0."""
        places = np.zeros((len(self.names), 3))
        for joint, parent in enumerate(self.parents):
            if parent >= 0:
                places[joint] = (
                    places[parent] + turns[parent] @ self.offsets[joint]
                )
        return places


def read_bvh(path: str | Path) -> BvhFile:
    """Read a BVH file.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is not a BVH file or cut off; says where.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'{path} does not exist, expected a BVH file')
    text = path.read_text(encoding='utf-8', errors='replace')
    head, found, tail = text.partition('MOTION')
    words = iter(head.split())
    try:
        if not found or next(words) != 'HIERARCHY':
            raise ValueError('it has no HIERARCHY and MOTION')
        names, parents, offsets, channels = _read_joints(words)
        frames = _read_frames(tail, sum(map(len, channels)))
    except StopIteration:
        raise ValueError(f'{path}: the hierarchy is cut off') from None
    except ValueError as error:
        raise ValueError(f'{path} is not a BVH file: {error}') from None
    return BvhFile(
        path,
        tuple(names),
        tuple(parents),
        np.array(offsets),
        tuple(channels),
        frames,
    )


def _read_joints(
    words: Iterator[str],
) -> tuple[list[str], list[int], list[list[float]], list[tuple[str, ...]]]:
    names: list[str] = []
    parents: list[int] = []
    offsets: list[list[float]] = []
    channels: list[tuple[str, ...]] = []
    # Open braces; None for the end of a limb, which is no joint.
    above: list[int | None] = []
    opened: int | None = None
    for word in words:
        if word in ('ROOT', 'JOINT'):
            if word == 'ROOT' and names:
                raise ValueError('more than one ROOT')
            opened = len(names)
            parent = above[-1] if above else -1
            if parent is None or (word == 'JOINT' and not above):
                raise ValueError(f'a JOINT outside of joints: {next(words)}')
            names.append(next(words))
            parents.append(parent)
            offsets.append([0.0, 0.0, 0.0])
            channels.append(())
        elif word == 'End':
            next(words)
            opened = None
        elif word == '{':
            above.append(opened)
        elif word == '}':
            if not above:
                raise ValueError('a closing brace too many')
            above.pop()
        elif word in ('OFFSET', 'CHANNELS'):
            joint = above[-1] if above else None
            if word == 'OFFSET':
                offset = [float(next(words)) for _ in range(3)]
                if joint is not None:
                    offsets[joint] = offset
            else:
                own = tuple(next(words) for _ in range(int(next(words))))
                if joint is None or not set(own) <= set(_CHANNELS):
                    raise ValueError(f'channels {own}, expected {_CHANNELS}')
                channels[joint] = own
        else:
            raise ValueError(f'unexpected word {word!r}')
    if above or not names:
        raise StopIteration
    return names, parents, offsets, channels


def _read_frames(text: str, count: int) -> Floats:
    lines = text.split('\n')
    numbers: list[str] = []
    expected = None
    for line in lines:
        key, _, value = line.partition(':')
        if key.strip() == 'Frames':
            expected = int(value)
        elif key.strip() != 'Frame Time':
            numbers += line.split()
    if not expected or len(numbers) != expected * count:
        raise ValueError(
            f'got {len(numbers)} numbers, expected {count} a frame in '
            f'{expected} frames; it may be cut off'
        )
    frames = np.array(numbers, dtype=np.float64).reshape(expected, count)
    if not np.isfinite(frames).all():
        raise ValueError('a number of its frames is not finite')
    return frames
