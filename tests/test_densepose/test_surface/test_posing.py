"""Posing the shipped body, against homogeneous matrices in float64."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mmdense.densepose.surface.posing import BODY_FILE, PosableBody


@pytest.fixture(scope='module')
def body():
    return PosableBody.load()


def identities(body):
    return np.tile(np.eye(3), (body.num_bones, 1, 1))


def test_rest_pose(body):
    np.testing.assert_array_equal(body.pose(), body.vertices)
    posed = body.pose(rotations=identities(body))
    assert posed.dtype == np.float32
    np.testing.assert_allclose(posed, body.vertices, atol=2e-6)


def test_shape_is_linear(body):
    values = np.array([1.5, -0.5, 0.25])
    rest = body.shape(values)
    basis = np.load(BODY_FILE)['shape_basis'].astype(float)
    expected = body.vertices + np.einsum('k,kvi->vi', values, basis[:3])
    np.testing.assert_allclose(rest.vertices, expected, atol=1e-6)
    expected = body.bone_heads + np.einsum(
        'k,kji->ji', values, body.bone_heads_basis[:3].astype(float)
    )
    np.testing.assert_allclose(rest.bone_heads, expected, atol=1e-6)
    np.testing.assert_array_equal(
        body.pose(values, translation=(1, 2, 3)),
        rest.vertices + np.float32([1, 2, 3]),
    )


def test_one_joint(body):
    """A vertex goes the part of the way that its weight below says."""
    elbow = body.bone_index('lowerarm01.L')
    turn = Rotation.from_rotvec([0.3, -0.8, 0.5]).as_matrix()
    rotations = identities(body)
    rotations[elbow] = turn
    below = {elbow}
    for bone, parent in enumerate(body.bone_parents):
        if parent in below:
            below.add(bone)
    share = np.where(
        np.isin(body.skin_bones, list(below)), body.skin_weights, 0
    ).sum(1, dtype=float)[:, None]
    rest = body.vertices.astype(float)
    head = body.bone_heads[elbow].astype(float)
    turned = (rest - head) @ turn.T + head
    expected = (1 - share) * rest + share * turned
    posed = body.pose(rotations=rotations)
    np.testing.assert_allclose(posed, expected, atol=2e-6)
    assert (share == 0).any()
    assert (share == 1).any()
    assert ((share > 0.2) & (share < 0.8)).any()


def test_chains_against_homogeneous_matrices(body):
    rng = np.random.default_rng(0)
    values = rng.standard_normal(body.num_shapes)
    rotations = Rotation.from_rotvec(
        rng.normal(0, 0.3, (body.num_bones, 3))
    ).as_matrix()
    rest = body.shape(values)
    world = []
    for bone in range(body.num_bones):
        about_head = np.eye(4)
        head = rest.bone_heads[bone].astype(float)
        about_head[:3, :3] = rotations[bone]
        about_head[:3, 3] = head - rotations[bone] @ head
        parent = body.bone_parents[bone]
        world.append(about_head if parent < 0 else world[parent] @ about_head)
    points = np.append(
        rest.vertices.astype(float), np.ones((len(rest.vertices), 1)), axis=1
    )
    expected = np.zeros((len(points), 3))
    for k in range(4):
        moves = np.array(world)[body.skin_bones[:, k]]
        moved = np.einsum('vij,vj->vi', moves, points)[:, :3]
        expected += body.skin_weights[:, k, None] * moved
    posed = body.pose(values, rotations)
    np.testing.assert_allclose(posed, expected, atol=5e-6)

    heads = np.append(rest.bone_heads, np.ones((body.num_bones, 1)), axis=1)
    motions = body.bone_motions(rest, rotations)
    joints = np.einsum('jik,jk->ji', motions, heads)
    for bone in range(1, body.num_bones):
        parent = body.bone_parents[bone]
        length = np.linalg.norm(
            rest.bone_heads[bone] - rest.bone_heads[parent]
        )
        assert np.linalg.norm(joints[bone] - joints[parent]) == pytest.approx(
            length, abs=1e-6
        )


def test_mirrored_pose(body):
    rng = np.random.default_rng(1)
    vectors = rng.normal(0, 0.3, (body.num_bones, 3))
    # A mirror turns the sense of rotations about its normal least.
    mirrored = vectors[body.bone_mirror] * [1, -1, -1]
    one = body.pose(rotations=Rotation.from_rotvec(vectors).as_matrix())
    other = body.pose(rotations=Rotation.from_rotvec(mirrored).as_matrix())
    mirror = np.load(BODY_FILE)['vertex_mirror']
    np.testing.assert_allclose(other[mirror], one * [-1, 1, 1], atol=5e-6)


def test_wrong_arguments(body):
    with pytest.raises(ValueError, match='Expected up to 12 shape'):
        body.shape(np.zeros(13))
    with pytest.raises(ValueError, match='must be finite'):
        body.shape([np.nan])
    with pytest.raises(ValueError, match=r'\(102, 3, 3\), got \(3, 3\)'):
        body.pose(rotations=np.eye(3))
    rotations = identities(body)
    rotations[5, 0, 0] = -1
    with pytest.raises(ValueError, match=f'{body.bone_names[5]}.* not a rot'):
        body.pose(rotations=rotations)
    rotations[5] = np.nan
    with pytest.raises(ValueError, match='not a rotation'):
        body.pose(rotations=rotations)
    with pytest.raises(ValueError, match='3 numbers of translation'):
        body.pose(translation=1.0)
    with pytest.raises(ValueError, match="No bone 'tail'"):
        body.bone_index('tail')


def test_wrong_files(tmp_path):
    path = tmp_path / 'body.npz'
    with pytest.raises(FileNotFoundError, match='make_body'):
        PosableBody.load(path)
    content = BODY_FILE.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match='may be incomplete'):
        PosableBody.load(path)
    np.savez(path, vertices=np.zeros((3, 3)))
    with pytest.raises(ValueError, match=r"it lacks .*'skin_weights'"):
        PosableBody.load(path)
    np.savez(path, **{**np.load(BODY_FILE), 'format_version': 2})
    with pytest.raises(ValueError, match='format 2'):
        PosableBody.load(path)
