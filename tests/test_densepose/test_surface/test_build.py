"""Surfaces by config, and what a surface is to programs that use it."""

import multiprocessing
import pickle
import shutil
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest

from mmdense.densepose.surface import (
    BodySurface,
    ComputedDistances,
    SymmetryTables,
    build_surface,
    build_symmetry,
    write_surface,
)
from mmdense.densepose.surface.parts import MIRROR_PARTS
from tests import golden
from tests.toy_surface import ellipsoid


@pytest.fixture
def mesh(tmp_path):
    path = tmp_path / 'mesh.npz'
    write_surface(path, ellipsoid())
    return path


def test_by_path_and_by_dict(mesh):
    surface = build_surface(str(mesh))
    assert build_surface(mesh) is surface
    assert build_surface(dict(path=str(mesh))) is surface
    assert build_surface(surface) is surface
    assert surface.distances_from == ComputedDistances()
    few = build_surface(
        dict(path=mesh, landmarks=20, dtype='float32', workers=1)
    )
    assert few is not surface
    assert few.distances_from == ComputedDistances(20, 'float32', None, 1)
    assert len(few.distances._table) == 20


def test_nothing_is_the_body_that_ships():
    surface = build_surface()
    assert build_surface(None) is build_surface({}) is surface
    assert surface.parts == tuple(range(1, 25))
    rng = np.random.default_rng(0)
    face = rng.integers(0, len(surface.faces), 5000)
    weights = rng.dirichlet([1, 1, 1], len(face))
    corners = surface.uv[surface.faces[face]]
    u, v = np.einsum('nk,nkc->cn', weights, corners)
    # Its charts of left and right are mirror images of each other.
    part, new_u, new_v = surface.flip(surface.face_part[face], u, v)
    assert np.array_equal(part, MIRROR_PARTS[surface.face_part[face]])
    assert np.abs(new_u - (1 - u)).max() < 1 / 255
    assert np.abs(new_v - v).max() < 1 / 255
    # Nowhere does a chart cover itself.
    found, _ = surface.locate(surface.face_part[face], u, v)
    assert np.mean(found == face) > 0.999


def test_a_file_that_changed_is_read_again(mesh):
    before = build_surface(mesh)
    write_surface(mesh, ellipsoid(8))
    assert build_surface(mesh).num_vertices != before.num_vertices


def test_files_in_place_of_what_is_computed(mesh, tmp_path):
    tables = SymmetryTables(*np.full((2, 24, 256, 256), 0.25))
    tables.write(tmp_path / 's.mat')
    np.save(tmp_path / 'd.npy', np.full(362 * 361 // 2, 7, np.float32))
    surface = build_surface(
        dict(
            path=mesh,
            symmetry=tmp_path / 's.mat',
            distances=tmp_path / 'd.npy',
            mean_distances=[1.0] * 9,
        )
    )
    assert surface.flip(1, 0.5, 0.5)[1] == 0.25
    assert surface.geodesic(0, 1) == 7
    assert surface.mean_distances[5] == 1
    assert build_symmetry(tmp_path / 's.mat').u[3, 4, 5] == 0.25
    assert build_symmetry(mesh) is build_surface(mesh).symmetry


@pytest.mark.golden
def test_a_folder_of_published_files(tmp_path):
    source = golden.FOLDER / 'densepose/eval_data'
    if not source.is_dir():
        pytest.skip('no eval_data in the golden data')
    folder = shutil.copytree(source, tmp_path / 'data')
    surface = build_surface(folder)
    assert surface.mean_distances[1] == 0.351
    assert surface.geodesic(0, 1) > 0
    assert surface.symmetry.u.shape == (24, 256, 256)
    assert build_surface(str(folder)) is surface
    with pytest.raises(ValueError, match="'landmarks' is an option of"):
        build_surface(dict(path=folder, landmarks=10))


@pytest.mark.parametrize(
    ('config', 'error', 'message'),
    [
        (dict(pth='x.npz'), TypeError, 'pth; expected path, landmarks'),
        (7, TypeError, 'must be a path, a dict .* got 7'),
        ('no/such', FileNotFoundError, 'no/such is missing, expected a .npz'),
        ('no/such.npz', FileNotFoundError, r'such\.npz, a \.npz file'),
        ('no/such.obj', FileNotFoundError, r'such\.obj, an \.obj file'),
        ('UV_Processed.mat', FileNotFoundError, 'facebookresearch/DensePose'),
        (dict(path='x.npz', groups={}), ValueError, "'groups' is an option"),
        (dict(path='x.npz', vertices='v'), ValueError, "'vertices' is an op"),
        (dict(path='x.npz', dtype='int8'), ValueError, 'dtype must be one'),
    ],
)
def test_wrong_configs(config, error, message):
    with pytest.raises(error, match=message):
        build_surface(config)


def test_a_file_of_no_known_kind(tmp_path):
    (tmp_path / 'body.ply').write_text('')
    with pytest.raises(ValueError, match=r'body\.ply is of no known kind'):
        build_surface(tmp_path / 'body.ply')


def test_is_immutable():
    surface = ellipsoid()
    with pytest.raises(FrozenInstanceError):
        surface.part = surface.part
    for name in ('mirror', 'entry_mirror', 'mesh_faces', 'face_part'):
        assert not getattr(surface, name).flags.writeable
    assert not surface.symmetry.u.flags.writeable
    for item in fields(surface):
        value = getattr(surface, item.name)
        if isinstance(value, np.ndarray):
            with pytest.raises(ValueError, match='read-only'):
                value[0] = 1
    mine = np.full(1, 1)
    BodySurface('one', mine, np.zeros((1, 2)), np.zeros(1, int))
    mine[0] = 2  # the caller's array is left as it was


def test_is_pickled_without_what_is_made_from_it():
    surface = ellipsoid()
    plain = len(pickle.dumps(surface))
    point = 3, 0.3, 0.4
    vertex, flipped = surface.vertex_of(*point), surface.flip(*point)
    table = surface.vertex_of_quantized(3, np.uint8(9), np.uint8(8))
    distance, place = surface.geodesic(0, 100), surface.position_of(*point)
    assert len(pickle.dumps(surface)) == plain
    again = pickle.loads(pickle.dumps(surface))
    assert again.vertex_of(*point) == vertex
    assert again.vertex_of_quantized(3, np.uint8(9), np.uint8(8)) == table
    assert again.flip(*point) == flipped
    assert again.geodesic(0, 100) == distance
    assert np.array_equal(again.position_of(*point), place)
    assert not again.uv.flags.writeable


def test_in_the_workers_of_a_data_loader():
    """They are daemons, which may not start processes of their own."""
    surface = ellipsoid()
    context = multiprocessing.get_context('fork')
    with context.Pool(2) as pool:
        there = pool.map(_distance, [surface] * 2)
    assert there == [float(surface.geodesic(0, 100))] * 2


def _distance(surface):
    return float(surface.geodesic(0, 100))
