"""Left-right symmetry."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from mmdense.densepose.surface import (
    SymmetryTables,
    build_surface,
    build_symmetry,
)
from mmdense.densepose.surface.parts import (
    GROUP_OF_PART,
    MIRROR_PARTS,
    MIRROR_SEGM,
    NUM_PARTS,
    PART_NAMES,
    SEGM_NAMES,
    SEGM_OF_PART,
)
from mmdense.densepose.surface.symmetry import find_mirror
from tests import golden
from tests.toy_surface import ellipsoid, true_flip

TOY_TABLE = 'densepose/eval_data/UV_symmetry_transforms.mat'
SYNTHETIC_TABLE = 'densepose/UV_symmetry_synthetic.mat'


def _swap_sides(name):
    swap = {'left': 'right', 'right': 'left'}
    return '_'.join(swap.get(word, word) for word in name.split('_'))


def test_labels_say_what_they_are():
    for part in range(NUM_PARTS + 1):
        mirrored = PART_NAMES[MIRROR_PARTS[part]]
        assert mirrored == _swap_sides(PART_NAMES[part])
        assert MIRROR_PARTS[MIRROR_PARTS[part]] == part
        segm = SEGM_OF_PART[part]
        assert PART_NAMES[part].startswith(SEGM_NAMES[segm].split('_')[0])
        assert SEGM_OF_PART[MIRROR_PARTS[part]] == MIRROR_SEGM[segm]
        assert GROUP_OF_PART[MIRROR_PARTS[part]] == GROUP_OF_PART[part]
    for segm, name in enumerate(SEGM_NAMES):
        assert SEGM_NAMES[MIRROR_SEGM[segm]] == _swap_sides(name)


@pytest.mark.golden
@pytest.mark.parametrize(
    ('table', 'flip'),
    [(SYNTHETIC_TABLE, 'hflip'), (TOY_TABLE, 'hflip_toy_table')],
)
def test_flips_of_the_reference(table, flip):
    arrays = golden.read_arrays('densepose/data_flip.npz')
    tables = build_symmetry(golden.FOLDER / table)
    cases = 0
    for name in arrays:
        number, _, rest = name.partition('_')
        if rest != f'{flip}_i':
            continue
        part, u, v = (arrays[f'{number}_orig_{axis}'] for axis in 'iuv')
        part = part.astype(np.uint8)
        flipped, new_u, new_v = tables.flip(part, u, v)
        assert np.array_equal(flipped, arrays[name])
        for axis, value in (('u', new_u), ('v', new_v)):
            expected = arrays[f'{number}_{flip}_{axis}']
            assert np.allclose(value, expected, rtol=0, atol=1e-6)
        cases += 1
    assert cases


@pytest.mark.golden
def test_labels_of_the_reference():
    facts = golden.read_json('densepose/data_flip.json')
    if facts is None:
        pytest.skip('no data_flip.json in the golden data')
    assert MIRROR_PARTS.tolist() == facts['point_label_symmetries']
    assert MIRROR_SEGM.tolist() == facts['mask_label_symmetries']


@pytest.mark.golden
def test_the_reference_table_mirrors_points_of_its_body():
    """Theirs is of a finer mesh and its nearest vertices, so to its grain."""
    surface = build_surface(golden.FOLDER / 'densepose/eval_data')
    part, u, v = surface.flip(surface.part, *surface.uv.T)
    found = surface.vertices[surface.vertex_of(part, u, v)]
    mirrored = surface.vertices[surface.vertex] * np.array([-1, 1, 1])
    off = np.linalg.norm(found - mirrored, axis=1)
    assert np.median(off) < 0.02
    unflipped = np.linalg.norm(
        found - surface.vertices[surface.vertex], axis=1
    )
    assert np.median(unflipped) > 0.1


def test_tables_of_a_mesh():
    """Half a cell, and what triangles leave of the curvature of the map."""
    surface = ellipsoid(32, 48)
    rng = np.random.default_rng(0)
    part = rng.integers(1, 5, 20000).astype(np.uint8)
    u, v = rng.random((2, 20000))
    flipped, new_u, new_v = surface.flip(part, u, v)
    expected, true_u, true_v = true_flip(part, u, v)
    assert flipped.dtype == np.uint8
    assert np.array_equal(flipped, expected)
    off = np.maximum(np.abs(new_u - true_u), np.abs(new_v - true_v))
    # The torso's charts are mirrored into themselves by an affine map.
    assert off[part < 3].max() < 0.5 / 255 + 1e-6
    assert np.quantile(off, 0.99) < 2 / 255
    # Worst where the chart of a hand ends in triangles at its pole.
    assert off.max() < 4 / 255
    again, back_u, back_v = surface.flip(flipped, new_u, new_v)
    assert np.array_equal(again, part)
    off = np.maximum(np.abs(back_u - u), np.abs(back_v - v))
    assert off[part < 3].max() < 1 / 255 + 1e-6
    assert np.quantile(off, 0.99) < 2 / 255


def test_mirror_images_of_vertices_and_entries():
    surface = ellipsoid()
    image = surface.vertices * np.array([-1, 1, 1], dtype=np.float32)
    assert np.array_equal(surface.vertices[surface.mirror], image)
    part, u, v = true_flip(surface.part, *surface.uv.T)
    entry = surface.entry_mirror
    assert np.array_equal(surface.part[entry], part)
    # On the cuts of the hands as well, where a vertex has two entries.
    assert np.allclose(surface.uv[entry], np.stack([u, v], axis=1))
    assert np.array_equal(entry[entry], np.arange(len(entry)))


def test_given_symmetry_is_used():
    surface = ellipsoid()
    given = replace(
        surface,
        vertices=surface.vertices + 0.3,
        vertex_mirror=surface.mirror,
        chart_mirror=surface.entry_mirror,
    )
    assert np.array_equal(given.symmetry.u, surface.symmetry.u)
    with pytest.raises(ValueError, match='not symmetric in the plane x = 0'):
        _ = replace(surface, vertices=surface.vertices + 0.3).symmetry


def test_parts_that_are_not_quite_symmetric():
    """An entry without a partner takes the nearest one of the partner part."""
    surface = ellipsoid()
    part = surface.part.copy()
    # A row of faces less for the left hand: those by the wrist are torso.
    wrist = (part == 4) & (surface.uv[:, 1] < 1e-6)
    faces = surface.faces[~wrist[surface.faces].any(axis=1)]
    kept = np.unique(faces)
    number = np.full(len(part), -1)
    number[kept] = np.arange(len(kept))
    clipped = replace(
        surface,
        part=part[kept],
        uv=surface.uv[kept],
        vertex=surface.vertex[kept],
        faces=number[faces],
    )
    image = clipped.entry_mirror
    assert np.array_equal(clipped.part[image], MIRROR_PARTS[clipped.part])
    a = clipped.vertices[clipped.vertex]
    off = np.linalg.norm(a[image] - a * np.array([-1, 1, 1]), axis=1)
    lonely = (clipped.part == 3) & (clipped.uv[:, 1] < 1e-6)
    assert np.all(off[~lonely] == 0)
    assert np.all(off[lonely] > 0)
    assert off.max() < 0.1
    assert np.isfinite(clipped.symmetry.u).all()


def test_a_part_without_its_partner():
    surface = ellipsoid()
    part = np.where(surface.part == 4, 5, surface.part)
    with pytest.raises(ValueError, match=r'part 3 \(right_hand\) has no par'):
        _ = replace(surface, part=part).symmetry


def test_vertices_too_close_to_tell_apart():
    vertices = np.array([[-1, 0, 0], [1, 0, 0], [1, 1e-4, 0], [-1, 1e-3, 0]])
    with pytest.raises(ValueError, match='vertex_mirror'):
        find_mirror(vertices)


def test_the_background_stays():
    tables = SymmetryTables(*np.zeros((2, 24, 256, 256)))
    part, u, v = tables.flip(np.array([0, 3]), [0.25, 0.25], [0.5, 0.5])
    assert part.tolist() == [0, 4]
    assert u.tolist() == [0.25, 0]
    assert v.tolist() == [0.5, 0]
    part, u, v = tables.flip(np.empty(0, dtype=np.uint8), [], [])
    assert part.shape == u.shape == v.shape == (0,)


def test_the_index_is_that_of_the_old_part_truncated():
    u = np.arange(256)[None, None] + np.zeros((24, 256, 1))
    v = np.arange(256)[None, :, None] + np.zeros((24, 1, 256))
    v[4] = 0
    tables = SymmetryTables(u, v)
    value = [-0.1, 0.999 / 255, 1.001 / 255, 0.9999, 1, 1.1]
    part, new_u, new_v = tables.flip(3, value, np.array(value)[::-1])
    assert np.all(part == 4)
    assert new_u.tolist() == [0, 0, 1, 254, 255, 255]
    assert new_v.tolist() == [255, 255, 254, 1, 0, 0]
    assert tables.flip(5, 0.5, 0.5)[2] == 0


@pytest.mark.parametrize('part', [-1, 25])
def test_flips_of_what_is_no_part(part):
    tables = SymmetryTables(*np.zeros((2, 24, 256, 256)))
    with pytest.raises(ValueError, match=rf'0\.\.24, got {part}'):
        tables.flip([1, part], 0.5, 0.5)
    with pytest.raises(ValueError, match='NaN'):
        tables.flip(1, np.nan, 0.5)
    with pytest.raises(TypeError, match='integers'):
        tables.flip(1.0, 0.5, 0.5)


def test_files_are_those_of_the_reference(tmp_path):
    tables = ellipsoid().symmetry
    tables.write(tmp_path / 't.mat')
    again = SymmetryTables.read(tmp_path / 't.mat')
    assert np.array_equal(again.u, tables.u)
    assert np.array_equal(again.v, tables.v)
    content = loadmat(tmp_path / 't.mat')
    assert content['U_transforms'].shape == (1, 24)
    assert np.array_equal(content['V_transforms'][0, 6], tables.v[6])


def test_wrong_files(tmp_path):
    path = tmp_path / 'UV_symmetry_transforms.mat'
    with pytest.raises(FileNotFoundError, match=r'is missing: .*UV data of'):
        SymmetryTables.read(path)
    ellipsoid().symmetry.write(path)
    content = loadmat(path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r'mat is truncated or no MATLAB'):
        SymmetryTables.read(path)
    savemat(path, {'U_transforms': content['U_transforms']})
    with pytest.raises(ValueError, match="no 'V_transforms'"):
        SymmetryTables.read(path)
    cells = content['V_transforms'].copy()
    for wrong, message in (
        (np.zeros((256, 255)), r'V_transforms of part 6 has shape \(256, 255'),
        (np.full((256, 256), 1.5), r'V_transforms of part 6 has values outs'),
        (np.full((256, 256), np.nan), r'part 6 has values outside'),
    ):
        cells[0, 5] = wrong
        savemat(path, {**_tables(content), 'V_transforms': cells})
        with pytest.raises(ValueError, match=message):
            SymmetryTables.read(path)
    savemat(path, {**_tables(content), 'V_transforms': cells[:, :5]})
    with pytest.raises(ValueError, match='V_transforms has 5 entries'):
        SymmetryTables.read(path)
    with pytest.raises(ValueError, match=r'u of the symmetry tables'):
        SymmetryTables(np.zeros((24, 2, 2)), np.zeros((24, 2, 2)))


def _tables(content):
    return {name: content[name] for name in ('U_transforms', 'V_transforms')}
