"""From angles of joints to rotations of bones; see poses.py."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from mmdense.densepose.surface.posing import PosableBody

Floats = NDArray[np.float64]

X_AXIS, Y_AXIS, Z_AXIS = np.eye(3)
SPINE = ('spine04', 'spine03', 'spine02', 'spine01')
NECK = ('neck01', 'neck02', 'neck03', 'head')
FINGERS = tuple(f'finger{i}-{k}' for i in range(2, 6) for k in range(1, 4))

# Of what an arm swings beyond the free radians, collar bone and shoulder blade
# take this share each.
FREE_SWING = np.deg2rad(30)
GIRDLE_SHARE = 0.2


def trunk(angles: Mapping[str, float]) -> dict[str, Rotation]:
    """Turns of spine and neck, each shared out among its bones alike."""
    turns = {}
    for name, bones in (('spine', SPINE), ('neck', NECK)):
        vector = np.deg2rad(
            [
                angles.get(f'{name}_bend', 0.0),
                angles.get(f'{name}_twist', 0.0),
                -angles.get(f'{name}_side', 0.0),
            ]
        )
        share = Rotation.from_rotvec(vector / len(bones))
        turns.update(dict.fromkeys(bones, share))
    return turns


def _turn(axis: NDArray[np.floating], degrees: float) -> Rotation:
    return Rotation.from_rotvec(
        np.deg2rad(degrees) * axis / np.linalg.norm(axis)
    )


def _swing(start: Floats, end: Floats) -> Rotation:
    """The smallest rotation that takes one direction to another."""
    axis = np.cross(start, end)
    sine = np.linalg.norm(axis)
    if sine < 1e-9:  # Opposite directions do not occur in a body.
        return Rotation.identity()
    return _turn(axis, np.rad2deg(np.arctan2(sine, start @ end)))


@dataclass(frozen=True)
class Limbs:
    """Arm and leg of one side."""

    body: PosableBody
    side: str
    angles: Mapping[str, float]

    @property
    def outward(self) -> float:
        return 1.0 if self.side == 'left' else -1.0

    def bone(self, name: str) -> str:
        return f'{name}.{"L" if self.side == "left" else "R"}'

    def head(self, name: str) -> Floats:
        index = self.body.bone_index(self.bone(name))
        return self.body.bone_heads[index].astype(np.float64)

    def direction(self, start: str, end: str) -> Floats:
        way = self.head(end) - self.head(start)
        return way / np.linalg.norm(way)

    def angle(self, name: str, default: float = 0.0) -> float:
        return float(self.angles.get(f'{self.side}_{name}', default))

    def named(self, *names: str) -> bool:
        return any(f'{self.side}_{name}' in self.angles for name in names)

    def turns(self) -> dict[str, Rotation]:
        """The rotation of each bone, relative to its parent."""
        return {**self.arm(), **self.hand(), **self.leg()}

    def twist(self, joint: str, rest: Floats) -> Rotation:
        """Turn a limb about itself."""
        return _turn(rest, -self.outward * self.angle(f'{joint}_rotation'))

    def swing(self, joint: str, rest: Floats) -> Rotation:
        """Bring a limb from its rest direction to where its angles say."""
        if not self.named(f'{joint}_flexion', f'{joint}_abduction'):
            return Rotation.identity()
        forward = _turn(X_AXIS, -self.angle(f'{joint}_flexion'))
        aside = _turn(Z_AXIS, self.outward * self.angle(f'{joint}_abduction'))
        return _swing(rest, (forward * aside).apply(-Y_AXIS))

    def arm(self) -> dict[str, Rotation]:
        upper = self.direction('upperarm01', 'lowerarm01')
        lower = self.direction('lowerarm01', 'wrist')
        # A raised arm takes the shoulder along: without it, skin collapses.
        vector = self.swing('shoulder', upper).as_rotvec()
        far = np.linalg.norm(vector)
        beyond = max(0.0, far - FREE_SWING) / max(far, FREE_SWING)
        share = Rotation.from_rotvec(GIRDLE_SHARE * beyond * vector)
        rest = Rotation.from_rotvec((1 - 2 * GIRDLE_SHARE * beyond) * vector)
        turns = {
            self.bone('clavicle'): share,
            self.bone('shoulder01'): share,
            self.bone('upperarm01'): rest * self.twist('shoulder', upper),
        }
        # The rest pose has the elbow bent a little already, in its plane.
        hinge = np.cross(upper, lower)
        bent = np.rad2deg(np.arcsin(np.linalg.norm(hinge)))
        flexion = self.angle('elbow_flexion', float(bent)) - bent
        turns[self.bone('lowerarm01')] = _turn(hinge, flexion)
        turns[self.bone('lowerarm02')] = _turn(
            lower, -self.outward * self.angle('forearm_rotation')
        )
        return turns

    def hand(self) -> dict[str, Rotation]:
        along = self.direction('wrist', 'finger3-1')
        across = self.head('finger2-1') - self.head('finger5-1')
        # About this axis the fingers turn towards the palm.
        hinge = -self.outward * (across - (across @ along) * along)
        turns = {self.bone('wrist'): _turn(hinge, self.angle('wrist_flexion'))}
        curl = _turn(hinge, self.angle('finger_curl'))
        turns.update({self.bone(name): curl for name in FINGERS})
        return turns

    def leg(self) -> dict[str, Rotation]:
        thigh = self.direction('upperleg01', 'lowerleg01')
        return {
            self.bone('upperleg01'): self.swing('hip', thigh)
            * self.twist('hip', thigh),
            self.bone('lowerleg01'): _turn(X_AXIS, self.angle('knee_flexion')),
            self.bone('foot'): _turn(X_AXIS, -self.angle('ankle_flexion')),
        }
