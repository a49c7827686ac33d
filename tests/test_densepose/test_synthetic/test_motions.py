"""Motions of the body's own skeleton come back from files as they went in."""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mmdense.densepose.synthetic.bvh import read_bvh
from mmdense.densepose.synthetic.motions import Motion, read_motions

MIXAMO = {
    'root': 'mixamorig:Hips',
    'spine04': 'mixamorig:Spine',
    'spine02': 'mixamorig:Spine1',
    'neck01': 'mixamorig:Neck',
    'head': 'mixamorig:Head',
}
for letter, side in (('L', 'Left'), ('R', 'Right')):
    for bone, joint in {
        'clavicle': 'Shoulder',
        'upperarm01': 'Arm',
        'lowerarm01': 'ForeArm',
        'wrist': 'Hand',
        'upperleg01': 'UpLeg',
        'lowerleg01': 'Leg',
        'foot': 'Foot',
    }.items():
        MIXAMO[f'{bone}.{letter}'] = f'mixamorig:{side}{joint}'
ANATOMIC = {
    bone: name.replace('mixamorig:', '')
    .replace('Shoulder', 'Collar')
    .replace('ForeArm', 'Elbow')
    .replace('Arm', 'Shoulder')
    .replace('Hand', 'Wrist')
    .replace('UpLeg', 'Hip')
    .replace('Leg', 'Knee')
    .replace('Foot', 'Ankle')
    for bone, name in MIXAMO.items()
}
# x ahead, y to the left, z up; centimetres.
TO_FILE = 100 * np.array([(0, 0, 1), (1, 0, 0), (0, 1, 0)])


def parent_of(body, bone, names):
    index = int(body.bone_parents[body.bone_index(bone)])
    while index >= 0 and body.bone_names[index] not in names:
        index = int(body.bone_parents[index])
    return body.bone_names[index] if index >= 0 else None


def write_bvh(path, body, names, turns, order='ZXY', to_file=TO_FILE):
    """A file whose zero pose is the rest pose of the body.

    `turns` are (T, bones of `names` in the order of the body, 3, 3), relative
    to the parent, in the axes of the body.
    """
    bones = [bone for bone in body.bone_names if bone in names]
    heads = dict(
        zip(body.bone_names, body.bone_heads @ to_file.T, strict=True)
    )
    parents = {bone: parent_of(body, bone, names) for bone in bones}
    channels = ' '.join(f'{axis}rotation' for axis in order)
    order_written = []

    def joint(bone):
        order_written.append(bone)
        parent = parents[bone]
        offset = heads[bone] - (heads[parent] if parent else 0)
        word = 'JOINT' if parent else 'ROOT'
        below = ''.join(joint(b) for b in bones if parents[b] == bone)
        end = 'End Site\n{\nOFFSET 0 0 1\n}\n'
        place = '' if parent else 'Xposition Yposition Zposition '
        return (
            f'{word} {names[bone]}\n{{\nOFFSET {" ".join(map(str, offset))}\n'
            f'CHANNELS {3 if parent else 6} {place}{channels}\n'
            f'{below or end}}}\n'
        )

    text = 'HIERARCHY\n' + joint('root')
    axes = to_file / 100
    rows = []
    for frame in turns:
        local = dict(zip(bones, frame, strict=True))
        row = [7.0, 8.0, 9.0]
        for bone in order_written:
            turn = Rotation.from_matrix(axes @ local[bone] @ axes.T)
            row += turn.as_euler(order, degrees=True).tolist()
        rows.append(' '.join(f'{x:.9f}' for x in row))
    text += f'MOTION\nFrames: {len(rows)}\nFrame Time: 0.033333\n'
    path.write_text(text + '\n'.join(rows) + '\n')


def random_turns(body, names, frames):
    bones = [bone for bone in body.bone_names if bone in names]
    turns = Rotation.random(frames * len(bones), random_state=0).as_rotvec()
    small = Rotation.from_rotvec(0.4 * turns).as_matrix()
    return bones, small.reshape(frames, len(bones), 3, 3)


@pytest.mark.parametrize(
    ('names', 'order', 'to_file'),
    [(MIXAMO, 'ZXY', TO_FILE), (ANATOMIC, 'XYZ', 100 * np.eye(3))],
)
def test_a_motion_comes_back(studio, tmp_path, names, order, to_file):
    body = studio.body
    bones, turns = random_turns(body, names, 3)
    write_bvh(tmp_path / 'a.bvh', body, names, turns, order, to_file)
    [motion] = read_motions([tmp_path], body)
    assert motion.num_frames == 3
    for frame in range(3):
        local = np.tile(np.eye(3), (body.num_bones, 1, 1))
        for bone, turn in zip(bones, turns[frame], strict=True):
            local[body.bone_index(bone)] = turn
        rest = body.shape()
        expected = body.bone_motions(rest, local)[..., :3]
        got = body.bone_motions(rest, motion.rotations(frame))[..., :3]
        # The spine of the file has fewer bones, which move several of ours.
        index = [
            body.bone_index(b) for b in bones if not b.startswith('spine')
        ]
        np.testing.assert_allclose(got[index], expected[index], atol=1e-5)


def test_half_the_twist_of_the_hand_is_in_the_forearm(studio, tmp_path):
    body = studio.body
    bones, turns = random_turns(body, MIXAMO, 1)
    turns[:] = np.eye(3)
    wrist, elbow = (
        body.bone_heads[body.bone_index(name)].astype(float)
        for name in ('wrist.L', 'lowerarm01.L')
    )
    axis = (wrist - elbow) / np.linalg.norm(wrist - elbow)
    turn = Rotation.from_rotvec(axis * 1.2)
    turns[0, bones.index('wrist.L')] = turn.as_matrix()
    write_bvh(tmp_path / 'a.bvh', body, MIXAMO, turns)
    [motion] = read_motions([tmp_path / 'a.bvh'], body)
    local = motion.rotations(0)
    for bone in ('lowerarm02.L', 'wrist.L'):
        half = Rotation.from_matrix(local[body.bone_index(bone)])
        np.testing.assert_allclose(half.as_rotvec(), axis * 0.6, atol=1e-5)


def test_limbs_of_another_rest_pose(studio, tmp_path):
    """A T pose in a frame is taken for what it is."""
    body = studio.body
    bones, turns = random_turns(body, MIXAMO, 2)
    turns[:] = np.eye(3)
    for side in 'LR':
        upper = body.bone_heads[body.bone_index(f'upperarm01.{side}')]
        lower = body.bone_heads[body.bone_index(f'lowerarm01.{side}')]
        way = (lower - upper) / np.linalg.norm(lower - upper)
        aside = np.array([1.0 if side == 'L' else -1.0, 0, 0])
        axis = np.cross(way, aside)
        angle = np.arcsin(np.linalg.norm(axis))
        turn = Rotation.from_rotvec(axis / np.linalg.norm(axis) * angle)
        turns[:, bones.index(f'upperarm01.{side}')] = turn.as_matrix()
    write_bvh(tmp_path / 'a.bvh', body, MIXAMO, turns)
    file = read_bvh(tmp_path / 'a.bvh')
    posed = body.pose(None, Motion(file, body, rest_frame=0).rotations(1))
    # In that pose the arms are out to the sides, so on our body as well.
    hand = posed[body.vertices[:, 0].argmax()]
    shoulder = body.bone_heads[body.bone_index('upperarm01.L')]
    assert abs(hand[1] - shoulder[1]) < 0.15
    assert hand[0] > 0.6


def test_names_can_be_given(studio, tmp_path):
    body = studio.body
    strange = {bone: f'j{i}' for i, bone in enumerate(MIXAMO)}
    _, turns = random_turns(body, strange, 1)
    write_bvh(tmp_path / 'a.bvh', body, strange, turns)
    with pytest.raises(ValueError, match='no joints are found for the bones'):
        read_motions([tmp_path / 'a.bvh'], body)
    joints = tmp_path / 'joints.json'
    joints.write_text(json.dumps({j: bone for bone, j in strange.items()}))
    [motion] = read_motions([tmp_path / 'a.bvh'], body, joints)
    assert motion.joints['wrist.R'] == motion.file.names.index(
        strange['wrist.R']
    )
    joints.write_text('{"nobody": "wrist.R"}')
    with pytest.raises(ValueError, match="no joint 'nobody'"):
        read_motions([tmp_path / 'a.bvh'], body, joints)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda text: text[: len(text) // 3], 'no HIERARCHY and MOTION'),
        (lambda text: text[:-40], 'may be cut off'),
        (lambda text: text.replace('ZXY', 'Z'), None),
        (lambda text: text.replace('Zrot', 'Wrot'), 'channels'),
        (lambda text: text.replace('}\n', '', 1), 'cut off'),
        (lambda text: 'solid\n' + text, 'no HIERARCHY and MOTION'),
        (lambda text: text.replace('MOTION', '}MOTION'), 'brace too many'),
    ],
)
def test_damaged_files(studio, tmp_path, change, message):
    body = studio.body
    path = tmp_path / 'a.bvh'
    write_bvh(path, body, MIXAMO, random_turns(body, MIXAMO, 1)[1])
    path.write_text(change(path.read_text()))
    if message is None:
        read_bvh(path)
        return
    with pytest.raises(ValueError, match=message) as error:
        read_bvh(path)
    assert 'a.bvh' in str(error.value)


def test_nobody_upright(studio, tmp_path):
    body = studio.body
    lying = 100 * np.array([(1, 0, 0), (0, 1, 0), (0, 0, 1)])
    bones, turns = random_turns(body, MIXAMO, 1)
    turns[:] = np.eye(3)
    # The legs are drawn up in the only frame.
    for bone in ('upperleg01.L', 'upperleg01.R'):
        sit = Rotation.from_rotvec([-1.5, 0, 0]).as_matrix()
        turns[0, bones.index(bone)] = sit
    write_bvh(tmp_path / 'a.bvh', body, MIXAMO, turns, to_file=lying)
    file = read_bvh(tmp_path / 'a.bvh')
    with pytest.raises(ValueError, match='--bvh-rest-frame'):
        Motion(file, body, rest_frame=0)
    with pytest.raises(ValueError, match='got rest frame 3'):
        Motion(file, body, rest_frame=3)
