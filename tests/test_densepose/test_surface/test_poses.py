"""Angles of joints, measured at the joints of the posed body."""

import numpy as np
import pytest

from mmdense.densepose.surface.poses import (
    KINDS,
    LIMITS,
    SIDE_LIMITS,
    pose_rotations,
    random_angles,
)
from mmdense.densepose.surface.posing import BODY_FILE, PosableBody


@pytest.fixture(scope='module')
def body():
    return PosableBody.load()


def joints(body, angles):
    rest = body.shape()
    motions = body.bone_motions(rest, pose_rotations(body, angles))
    heads = rest.bone_heads.astype(float)
    posed = np.einsum('jik,jk->ji', motions[:, :, :3], heads)
    posed += motions[:, :, 3]
    return dict(zip(body.bone_names, posed, strict=True))


def direction(points, start, end):
    way = points[end] - points[start]
    return way / np.linalg.norm(way)


@pytest.mark.parametrize(
    ('side', 'letter', 'sign'), [('left', 'L', 1), ('right', 'R', -1)]
)
@pytest.mark.parametrize(
    ('joint', 'start', 'end'),
    [
        ('shoulder', 'upperarm01', 'lowerarm01'),
        ('hip', 'upperleg01', 'lowerleg01'),
    ],
)
def test_limbs_point_where_the_angles_say(
    body, side, letter, sign, joint, start, end
):
    for flexion, abduction in ((0, 0), (90, 0), (0, 40), (60, 30)):
        points = joints(
            body,
            {
                f'{side}_{joint}_flexion': flexion,
                f'{side}_{joint}_abduction': abduction,
                f'{side}_{joint}_rotation': 20,
            },
        )
        f, a = np.deg2rad([flexion, abduction])
        expected = [
            sign * np.sin(a),
            -np.cos(a) * np.cos(f),
            np.cos(a) * np.sin(f),
        ]
        np.testing.assert_allclose(
            direction(points, f'{start}.{letter}', f'{end}.{letter}'),
            expected,
            atol=1e-6,
        )


@pytest.mark.parametrize('angle', [0, 30, 120])
def test_elbow_and_knee(body, angle):
    points = joints(
        body, {'left_elbow_flexion': angle, 'right_knee_flexion': angle}
    )
    bend = direction(points, 'upperarm01.L', 'lowerarm01.L') @ direction(
        points, 'lowerarm01.L', 'wrist.L'
    )
    assert np.rad2deg(np.arccos(min(bend, 1))) == pytest.approx(angle, abs=0.1)
    shin = direction(points, 'lowerleg01.R', 'foot.R')
    rest = direction(joints(body, {}), 'lowerleg01.R', 'foot.R')
    # In the plane across the knee's axis.
    turned = np.arctan2(-shin[2], -shin[1]) - np.arctan2(-rest[2], -rest[1])
    assert np.rad2deg(turned) == pytest.approx(angle, abs=0.1)


def test_what_bends_where(body):
    rest, bent = (
        joints(body, {}),
        joints(
            body,
            {
                'spine_bend': 30,
                'left_finger_curl': 60,
                'right_ankle_flexion': 20,
            },
        ),
    )
    assert bent['head'][2] > rest['head'][2] + 0.1
    # Fingers curl towards the palm, which faces the thigh and back.
    tips = [p['finger3-3.L'] - p['finger3-1.L'] for p in (rest, bent)]
    assert np.linalg.norm(tips[1]) < np.linalg.norm(tips[0])
    assert bent['toe1-1.R'][1] > rest['toe1-1.R'][1] + 0.02
    side = joints(body, {'spine_side': 25, 'neck_twist': 40})
    assert side['head'][0] > 0.05
    turned = body.pose(rotations=pose_rotations(body, {'neck_twist': 40}))
    nose = body.vertices[np.abs(body.vertices[:, 0]) < 0.01]
    nose = np.flatnonzero(
        (np.abs(body.vertices[:, 0]) < 0.01)
        & (body.vertices[:, 1] > body.bone_heads[body.bone_index('head'), 1])
    )
    tip = nose[body.vertices[nose, 2].argmax()]
    assert turned[tip, 0] > 0.05


def test_nothing_named_nothing_turns(body):
    identity = np.eye(3)
    for rotation in pose_rotations(body, {}):
        np.testing.assert_allclose(rotation, identity, atol=1e-6)


def test_sides_mirror_each_other(body):
    angles = random_angles(np.random.default_rng(3), 'free')
    swapped = {}
    for name, angle in angles.items():
        side, _, rest = name.partition('_')
        other = {'left': 'right', 'right': 'left'}.get(side)
        if other:
            swapped[f'{other}_{rest}'] = angle
        else:
            swapped[name] = -angle if rest in ('side', 'twist') else angle
    one = body.pose(rotations=pose_rotations(body, angles))
    other = body.pose(rotations=pose_rotations(body, swapped))
    mirror = np.load(BODY_FILE)['vertex_mirror']
    np.testing.assert_allclose(other[mirror], one * [-1, 1, 1], atol=1e-5)


@pytest.mark.parametrize('kind', [*KINDS, None])
def test_random_angles(kind):
    for seed in range(200):
        angles = random_angles(np.random.default_rng(seed), kind)
        assert list(angles) == list(LIMITS)
        assert all(
            low <= angles[name] <= high for name, (low, high) in LIMITS.items()
        )
    again = random_angles(np.random.default_rng(199), kind)
    assert again == angles
    assert angles != random_angles(np.random.default_rng(198), kind)


def test_kinds_are_what_they_are_called(body):
    """Where hips, knees and hands are, over a hundred poses of each kind."""
    rest = joints(body, {})
    for seed in range(100):
        rng = np.random.default_rng(seed)
        sitting = joints(body, random_angles(rng, 'sitting'))
        thigh = direction(sitting, 'upperleg01.L', 'lowerleg01.L')
        assert thigh[2] > 0.7
        up = joints(body, random_angles(rng, 'arms_up'))
        assert max(up[f'lowerarm01.{s}'][1] for s in 'LR') > (
            rest['lowerarm01.L'][1] + 0.05
        )
        standing = joints(body, random_angles(rng, 'standing'))
        for side in 'LR':
            assert standing[f'foot.{side}'][1] < rest['foot.L'][1] + 0.12
        walking = joints(body, random_angles(rng, 'walking'))
        hands = walking['wrist.L'][2] - walking['wrist.R'][2]
        feet = walking['foot.L'][2] - walking['foot.R'][2]
        if abs(feet) > 0.3:
            assert hands * feet < 0


def test_wrong_arguments(body):
    assert set(SIDE_LIMITS) == {
        n.removeprefix('left_') for n in LIMITS if n.startswith('left_')
    }
    with pytest.raises(ValueError, match="No joint angle 'elbow'"):
        pose_rotations(body, {'elbow': 1})
    with pytest.raises(ValueError, match='within 0 and 130 degrees, got -5'):
        pose_rotations(body, {'left_knee_flexion': -5})
    with pytest.raises(ValueError, match='within'):
        pose_rotations(body, {'left_knee_flexion': float('nan')})
    with pytest.raises(ValueError, match='kind must be one of'):
        random_angles(np.random.default_rng(0), 'flying')
