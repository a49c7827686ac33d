"""Recorded motions, put on the body that ships."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ..surface.posing import PosableBody
from .bvh import BvhFile, read_bvh

Floats = NDArray[np.float64]

#: What joints are called in files, by the bone they move. Case, blanks, `_`,
#: `-`, `.` and what stands before a colon do not count. `{}` is the side:
#: left or l, right or r. A joint moves one bone, the first that lists it.
JOINT_NAMES: dict[str, tuple[str, ...]] = {
    'upperleg01': ('{}upleg', '{}upperleg', '{}thigh', '{}hip'),
    'lowerleg01': ('{}leg', '{}lowerleg', '{}shin', '{}calf', '{}knee'),
    'foot': ('{}foot', '{}ankle'),
    'upperarm01': ('{}arm', '{}upperarm', '{}uparm', '{}shldr', '{}shoulder'),
    'lowerarm01': ('{}forearm', '{}lowerarm', '{}elbow'),
    'wrist': ('{}hand', '{}wrist'),
    'clavicle': ('{}collar', '{}clavicle', '{}shoulder'),
    'neck01': ('neck', 'neck1'),
    'head': ('head',),
}
_NEEDED = ('upperleg01', 'lowerleg01', 'upperarm01', 'lowerarm01')
_SIDES = {'.L': ('left', 'l'), '.R': ('right', 'r')}
# The next joint down, for the direction of the limb.
_NEXT = {
    'upperleg01': 'lowerleg01',
    'lowerleg01': 'foot',
    'upperarm01': 'lowerarm01',
    'lowerarm01': 'wrist',
}
_SPINE = ('spine05', 'spine04', 'spine03', 'spine02', 'spine01')


class Motion:
    """The poses of a BVH file on a body.

    A bone takes over how far its joint is turned from the file's rest pose;
    arms and legs are first brought to their directions in that pose. Where
    the person is and how fast it moves does not count.

    Args:
        file: The motion.
        body: The body.
        bones: Bones by the names of joints, for those that are not found by
            `JOINT_NAMES`; with the side, as in `upperarm01.L`.
        rest_frame: Frame in which the person stands upright, looks ahead and
            does not bend arms or legs; None: the zero pose of the file.

    Raises:
        ValueError: A joint or bone is not known, one that is needed is not
            found, or the person is not upright in the rest pose.
    """

    def __init__(
        self,
        file: BvhFile,
        body: PosableBody,
        bones: Mapping[str, str] | None = None,
        rest_frame: int | None = None,
    ) -> None:
        self.file, self.body = file, body
        if rest_frame is not None and not 0 <= rest_frame < len(file.frames):
            raise ValueError(
                f'{file.path} has frames 0..{len(file.frames) - 1}, got '
                f'rest frame {rest_frame}'
            )
        self.joints = find_joints(file, body, bones or {})
        count = len(file.names)
        self._rest = (
            np.tile(np.eye(3), (count, 1, 1))
            if rest_frame is None
            else file.turns(rest_frame)
        )
        places = file.joints(self._rest)
        self._axes = self._find_axes(places)
        self._swings = self._find_swings(places @ self._axes.T)

    @property
    def num_frames(self) -> int:
        return len(self.file.frames)

    def rotations(self, frame: int) -> NDArray[np.float32]:
        """(J, 3, 3) for `PosableBody.pose`."""
        turns = self.file.turns(frame) @ self._rest.transpose(0, 2, 1)
        turns = self._axes @ turns @ self._axes.T
        body = self.body
        world = np.empty((body.num_bones, 3, 3))
        local = np.empty_like(world)
        for bone, name in enumerate(body.bone_names):
            parent = int(body.bone_parents[bone])
            above = world[parent] if parent >= 0 else np.eye(3)
            world[bone] = above
            if name in self.joints:
                swing = self._swings.get(name, np.eye(3))
                world[bone] = turns[self.joints[name]] @ swing
            elif name.startswith('lowerarm02'):
                world[bone] = above @ self._half_twist(name[-2:], above, turns)
            local[bone] = above.T @ world[bone]
        return local.astype(np.float32)

    def _half_twist(self, side: str, forearm: Floats, turns: Floats) -> Floats:
        """Half of what the hand is turned about the forearm.

        Blended skin would shrink at the wrist if all of it were there.
        """
        name = f'wrist{side}'
        if name not in self.joints:
            return np.eye(3)
        hand = turns[self.joints[name]] @ self._swings[name]
        turn = Rotation.from_matrix(forearm.T @ hand).as_quat()
        axis = _direction(self.body, f'lowerarm01{side}', name)
        twist = 2 * np.arctan2(turn[:3] @ axis, turn[3])
        twist = (twist + np.pi) % (2 * np.pi) - np.pi
        return Rotation.from_rotvec(axis * twist / 2).as_matrix()

    def _find_axes(self, places: Floats) -> Floats:
        """From the axes of the file to those of the body: left, up, ahead."""
        hips = [places[self.joints[f'upperleg01{s}']] for s in _SIDES]
        knees = [places[self.joints[f'lowerleg01{s}']] for s in _SIDES]
        arms = [places[self.joints[f'upperarm01{s}']] for s in _SIDES]
        trunk = np.sum(arms, axis=0) - np.sum(hips, axis=0)
        axis = int(np.argmax(np.abs(trunk)))
        up = np.zeros(3)
        up[axis] = np.sign(trunk[axis])
        thighs = [k - h for k, h in zip(knees, hips, strict=True)]
        upright = [-(t @ up) > 0.8 * np.linalg.norm(t) for t in thighs]
        left = hips[0] - hips[1]
        left = left - (left @ up) * up
        if not all(upright) or not left.any():
            raise ValueError(
                f'{self.file.path}: nobody stands upright in its zero pose; '
                'give the number of a frame in which the person stands with '
                'straight arms and legs (--bvh-rest-frame)'
            )
        left /= np.linalg.norm(left)
        return np.stack((left, up, np.cross(left, up)))

    def _find_swings(self, places: Floats) -> dict[str, Floats]:
        """Turns from the body's rest pose to that of the file, by bone."""
        swings = {}
        for side in _SIDES:
            for name, end in _NEXT.items():
                bone, below = f'{name}{side}', f'{end}{side}'
                if below not in self.joints:
                    continue
                way = places[self.joints[below]] - places[self.joints[bone]]
                swings[bone] = _swing(_direction(self.body, bone, below), way)
            # The hand goes on as the forearm; a foot stands flat in both.
            swings[f'wrist{side}'] = swings.get(
                f'lowerarm01{side}', swings[f'upperarm01{side}']
            )
        return swings


def find_joints(
    file: BvhFile, body: PosableBody, bones: Mapping[str, str]
) -> dict[str, int]:
    """The joint of a file that moves each bone, for those that have one.

    Args:
        file: Its joints.
        body: Its bones.
        bones: Bones by the names of joints; these go first.

    Raises:
        ValueError: See :class:`Motion`.
    """
    found: dict[str, int] = {}
    for name, bone in bones.items():
        body.bone_index(bone)
        if name not in file.names:
            raise ValueError(
                f'{file.path} has no joint {name!r}; there are '
                f'{", ".join(file.names)}'
            )
        found[bone] = file.names.index(name)
    plain = [_plain(name) for name in file.names]
    for bone, names in JOINT_NAMES.items():
        for side, words in (
            _SIDES.items() if '{}' in names[0] else [('', ('',))]
        ):
            called = [n.format(word) for n in names for word in words]
            joints = [plain.index(name) for name in called if name in plain]
            free = [j for j in joints if j not in found.values()]
            if free:
                found.setdefault(f'{bone}{side}', free[0])
    missing = [f'{bone}{side}' for bone in _NEEDED for side in _SIDES]
    missing = [bone for bone in missing if bone not in found]
    if missing:
        raise ValueError(
            f'{file.path}: no joints are found for the bones '
            f'{", ".join(missing)}; say which of {", ".join(file.names)} they '
            'are (--bvh-joints)'
        )
    found.setdefault('root', 0)
    # What lies between the root and the arms is the spine.
    chain: list[int] = []
    joint = file.parents[found.get('clavicle.L', found['upperarm01.L'])]
    while joint > 0:
        chain.insert(0, joint)
        joint = file.parents[joint]
    chain = [j for j in chain if j not in found.values()]
    for number, bone in enumerate(_SPINE):
        if chain and bone not in found:
            found[bone] = chain[number * len(chain) // len(_SPINE)]
    return found


def read_motions(
    paths: list[Path],
    body: PosableBody,
    joints_file: Path | None = None,
    rest_frame: int | None = None,
) -> list[Motion]:
    """The motions in BVH files and in folders of them, sorted by name.

    Args:
        paths: Files and folders.
        body: See :class:`Motion`.
        joints_file: JSON file of an object: bones by the names of joints.
        rest_frame: See :class:`Motion`.

    Raises:
        FileNotFoundError: A file is missing, or a folder has none.
        ValueError: See :class:`Motion` and :func:`read_bvh`.
    """
    bones: Any = {}
    if joints_file is not None:
        try:
            bones = json.loads(joints_file.read_text(encoding='utf-8'))
        except json.JSONDecodeError as error:
            raise ValueError(f'{joints_file} is no JSON: {error}') from None
        if not isinstance(bones, dict):
            raise ValueError(
                f'{joints_file} must hold an object of joints and bones'
            )
    motions = []
    for path in paths:
        files = sorted(path.rglob('*.bvh')) if path.is_dir() else [path]
        if not files:
            raise FileNotFoundError(f'{path} holds no BVH files')
        motions += [
            Motion(read_bvh(f), body, bones, rest_frame) for f in files
        ]
    return motions


def _direction(body: PosableBody, start: str, end: str) -> Floats:
    heads = body.bone_heads.astype(np.float64)
    way = heads[body.bone_index(end)] - heads[body.bone_index(start)]
    return way / np.linalg.norm(way)


def _swing(start: Floats, end: Floats) -> Floats:
    """The smallest turn from one direction to another."""
    axis = np.cross(start, end)
    sine = np.linalg.norm(axis)
    if sine < 1e-9 * np.linalg.norm(end):
        return np.eye(3)
    angle = np.arctan2(sine, start @ end)
    return Rotation.from_rotvec(axis * (angle / sine)).as_matrix()


def _plain(name: str) -> str:
    name = name.rpartition(':')[2].lower()
    return ''.join(c for c in name if c.isalnum())
