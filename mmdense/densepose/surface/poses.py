"""Plausible poses of the body that ships, from angles of joints.

The ranges and the mixes of poses are made up by us, to look like people who
stand, walk, sit or raise their arms; they come from no measurement.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mmdense.densepose.surface.limbs import Limbs, trunk
from mmdense.densepose.surface.posing import PosableBody

#: Ranges in degrees. Angles of the arms and legs are measured from a limb
#: that hangs straight down; 0 elsewhere is the rest pose.
MIDDLE_LIMITS = {
    'spine_bend': (-20.0, 60.0),  # forward
    'spine_side': (-25.0, 25.0),  # to the left
    'spine_twist': (-35.0, 35.0),  # to the left
    'neck_bend': (-30.0, 40.0),
    'neck_side': (-25.0, 25.0),
    'neck_twist': (-60.0, 60.0),
}
SIDE_LIMITS = {
    'shoulder_flexion': (-45.0, 175.0),  # arm to the front
    'shoulder_abduction': (0.0, 160.0),  # arm to its side
    'shoulder_rotation': (-60.0, 60.0),  # about the upper arm, outward
    'elbow_flexion': (0.0, 140.0),
    'forearm_rotation': (-70.0, 70.0),
    'wrist_flexion': (-40.0, 50.0),  # towards the palm
    'finger_curl': (0.0, 70.0),
    'hip_flexion': (-20.0, 115.0),  # leg to the front
    'hip_abduction': (-10.0, 45.0),  # leg to its side
    'hip_rotation': (-25.0, 35.0),  # about the thigh, outward
    'knee_flexion': (0.0, 130.0),
    'ankle_flexion': (-35.0, 20.0),  # toes up
}
#: Low and high of every angle, those of the limbs with `left_` or `right_`.
LIMITS: dict[str, tuple[float, float]] = {
    **MIDDLE_LIMITS,
    **{
        f'{side}_{name}': limits
        for side in ('left', 'right')
        for name, limits in SIDE_LIMITS.items()
    },
}
KINDS = ('standing', 'walking', 'sitting', 'arms_up', 'free')
_SHARES = (0.3, 0.25, 0.15, 0.15, 0.15)


def pose_rotations(
    body: PosableBody, angles: Mapping[str, float]
) -> NDArray[np.float32]:
    """The bones' rotations of a pose.

    Args:
        body: The body, for the directions of its bones in the rest pose.
        angles: Degrees by name, see `LIMITS`; of a limb or of the trunk that
            is not named nothing turns.

    Returns:
        (J, 3, 3) for `PosableBody.pose`.

    Raises:
        ValueError: An unknown name, or an angle out of its limits.
    """
    for name, angle in angles.items():
        if name not in LIMITS:
            raise ValueError(
                f'No joint angle {name!r}; there are {", ".join(LIMITS)}'
            )
        low, high = LIMITS[name]
        if not low <= angle <= high:
            raise ValueError(
                f'{name} must be within {low:g} and {high:g} degrees, got '
                f'{angle:g}'
            )
    turns = {
        **trunk(angles),
        **Limbs(body, 'left', angles).turns(),
        **Limbs(body, 'right', angles).turns(),
    }
    rotations = np.tile(np.eye(3, dtype=np.float32), (body.num_bones, 1, 1))
    for bone, turn in turns.items():
        rotations[body.bone_index(bone)] = turn.as_matrix()
    return rotations


def random_kind(rng: np.random.Generator) -> str:
    """One of `KINDS`, common ones more often."""
    return str(rng.choice(KINDS, p=_SHARES))


def random_angles(
    rng: np.random.Generator, kind: str | None = None
) -> dict[str, float]:
    """Angles of a random pose; all names of `LIMITS`.

    Args:
        rng: Decides all; equal states give equal poses.
        kind: One of `KINDS`; None: any of them.

    Raises:
        ValueError: No such kind.
    """
    if kind is None:
        kind = random_kind(rng)
    if kind not in KINDS:
        raise ValueError(f'kind must be one of {KINDS}, got {kind!r}')
    normal = partial(_normal, rng)
    angles = {
        'spine_bend': normal(4, 7),
        'spine_side': normal(0, 5),
        'spine_twist': normal(0, 8),
        'neck_bend': normal(4, 9),
        'neck_side': normal(0, 6),
        'neck_twist': normal(0, 20),
    }
    for side in ('left', 'right'):
        angles.update(
            {f'{side}_{k}': v for k, v in _standing_side(rng).items()}
        )
    if kind == 'walking':
        angles.update(_walking(rng))
    elif kind == 'sitting':
        angles.update(_sitting(rng))
    elif kind == 'arms_up':
        angles.update(_arms_up(rng))
    elif kind == 'free':
        angles.update(_free(rng))
    return {
        name: float(np.clip(angles[name], *limits))
        for name, limits in LIMITS.items()
    }


def _normal(rng: np.random.Generator, mean: float, deviation: float) -> float:
    # Cut at two deviations: the tails of four dozen angles would otherwise
    # make most poses odd somewhere.
    return mean + deviation * float(np.clip(rng.standard_normal(), -2, 2))


def _standing_side(rng: np.random.Generator) -> dict[str, float]:
    normal = partial(_normal, rng)
    hip = normal(3, 6)
    knee = abs(normal(max(hip, 0), 4))
    return {
        'shoulder_flexion': normal(5, 15),
        'shoulder_abduction': 14 + abs(normal(0, 12)),
        'shoulder_rotation': normal(0, 12),
        'elbow_flexion': 10 + abs(normal(0, 25)),
        'forearm_rotation': normal(0, 20),
        'wrist_flexion': normal(5, 10),
        'finger_curl': abs(normal(15, 18)),
        'hip_flexion': hip,
        'hip_abduction': 3 + abs(normal(0, 4)),
        'hip_rotation': normal(6, 6),
        'knee_flexion': knee,
        # The soles lie flat on the ground.
        'ankle_flexion': knee - hip,
    }


def _walking(rng: np.random.Generator) -> dict[str, float]:
    """Legs half a cycle apart, each arm with the leg of the other side."""
    phase, stride = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.3)
    angles = {'spine_twist': 8 * stride * np.sin(phase)}
    for side, at in (('left', phase), ('right', phase + np.pi)):
        swing = np.sin(at)
        # The knee bends most while the leg comes forward.
        forward = max(0.0, np.cos(at))
        angles[f'{side}_hip_flexion'] = stride * (24 * swing + 5)
        angles[f'{side}_knee_flexion'] = 6 + stride * 45 * forward**2
        angles[f'{side}_ankle_flexion'] = 5 * swing - 8 * forward
        angles[f'{side}_hip_abduction'] = _normal(rng, 3, 1.5)
        angles[f'{side}_shoulder_flexion'] = -stride * 24 * swing + 3
        angles[f'{side}_shoulder_abduction'] = _normal(rng, 15, 2)
        angles[f'{side}_elbow_flexion'] = 22 + 14 * stride * (1 - swing) / 2
    return angles


def _sitting(rng: np.random.Generator) -> dict[str, float]:
    hips, knees = rng.uniform(70, 100), rng.uniform(60, 105)
    angles = {'spine_bend': _normal(rng, 8, 10)}
    for side in ('left', 'right'):
        angles[f'{side}_hip_flexion'] = _normal(rng, hips, 4)
        angles[f'{side}_hip_abduction'] = _normal(rng, 12, 5)
        angles[f'{side}_hip_rotation'] = _normal(rng, 2, 4)
        angles[f'{side}_knee_flexion'] = _normal(rng, knees, 8)
        angles[f'{side}_ankle_flexion'] = _normal(rng, -3, 6)
        angles[f'{side}_shoulder_flexion'] = _normal(rng, 32, 12)
        angles[f'{side}_shoulder_abduction'] = _normal(rng, 17, 4)
        angles[f'{side}_elbow_flexion'] = _normal(rng, 60, 18)
    return angles


def _arms_up(rng: np.random.Generator) -> dict[str, float]:
    sides = [('left',), ('right',), ('left', 'right'), ('left', 'right')]
    angles = {}
    for side in sides[rng.integers(len(sides))]:
        if rng.random() < 0.5:  # sideways, or to the front
            angles[f'{side}_shoulder_abduction'] = rng.uniform(80, 155)
            angles[f'{side}_shoulder_flexion'] = rng.uniform(-10, 25)
        else:
            angles[f'{side}_shoulder_abduction'] = rng.uniform(8, 30)
            angles[f'{side}_shoulder_flexion'] = rng.uniform(70, 165)
        angles[f'{side}_elbow_flexion'] = rng.uniform(5, 100)
    return angles


def _free(rng: np.random.Generator) -> dict[str, float]:
    """Sport, dance, work: large and uncorrelated."""
    angles = {
        'spine_bend': rng.uniform(-10, 50),
        'spine_side': rng.uniform(-18, 18),
        'spine_twist': rng.uniform(-25, 25),
        'neck_twist': rng.uniform(-40, 40),
    }
    for side in ('left', 'right'):
        angles[f'{side}_shoulder_abduction'] = rng.uniform(20, 110)
        angles[f'{side}_shoulder_flexion'] = rng.uniform(-15, 110)
        angles[f'{side}_shoulder_rotation'] = rng.uniform(-35, 35)
        angles[f'{side}_elbow_flexion'] = rng.uniform(5, 115)
        angles[f'{side}_hip_flexion'] = rng.uniform(-12, 80)
        angles[f'{side}_hip_abduction'] = rng.uniform(4, 32)
        angles[f'{side}_hip_rotation'] = rng.uniform(-5, 20)
        angles[f'{side}_knee_flexion'] = rng.uniform(5, 90)
        angles[f'{side}_ankle_flexion'] = rng.uniform(-20, 10)
    return angles
