"""The published files, against what the reference makes of such files."""

import os
import pickle
import shutil
import sys

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from mmdense.densepose.surface import (
    build_surface,
    load_official,
    load_uv_processed,
)
from mmdense.densepose.surface.pdist_file import convert_pdist
from tests import golden
from tests.toy_surface import ellipsoid

FILES = (
    'SMPL_subdiv.mat',
    'SMPL_SUBDIV_TRANSFORM.mat',
    'Pdist_matrix.pkl',
    'UV_symmetry_transforms.mat',
)


@pytest.fixture
def folder(tmp_path):
    """A copy, as converted distances are written beside their file."""
    source = golden.FOLDER / 'densepose/eval_data'
    for name in FILES:
        if not (source / name).is_file():
            pytest.skip(f'{name} is not in the golden data')
        shutil.copyfile(source / name, tmp_path / name)
    return tmp_path


def _points(annotations, details):
    """Pairs of one person's annotated points and what became of them."""
    by_id = {item['id']: item for item in annotations}
    pair = 0
    while f'pair{pair}_gt_id' in details:
        prefix = f'pair{pair}_'
        values = {
            name.removeprefix(prefix): value
            for name, value in details.items()
            if name.startswith(prefix)
        }
        yield by_id[int(values['gt_id'])], values
        pair += 1


@pytest.mark.golden
def test_vertices_and_distances_of_the_reference(folder):
    details = golden.read_arrays('densepose/eval_details.npz')
    annotations = golden.read_json('densepose/eval_gt.json')['annotations']
    surface = load_official(folder)
    pairs = 0
    for item, expected in _points(annotations, details):
        part = np.array(item['dp_I']).astype(np.int64)
        point = part, item['dp_U'], item['dp_V']
        entry, vertex = surface.entry_of(*point), surface.vertex_of(*point)
        assert np.array_equal(entry + 1, expected['gt_entry_1based'])
        assert np.array_equal(vertex + 1, expected['gt_vertex_1based'])
        # 0 is no vertex there, -1 here.
        other = expected['dt_vertex_1based'] - 1
        distance = surface.geodesic(vertex, other)
        assert np.array_equal(distance, expected['distance'])
        kappa = surface.mean_distances[part]
        assert np.array_equal(kappa, expected['kappa'])
        gps = np.exp(-(distance.astype(float) ** 2) / (2 * kappa**2)).mean()
        assert np.isclose(gps, expected['gps'], rtol=1e-6)
        pairs += 1
    assert pairs


@pytest.mark.golden
def test_the_mesh_in_the_file_is_read(folder):
    surface = load_official(folder)
    content = _read(folder / 'SMPL_subdiv.mat')
    assert np.array_equal(surface.vertices[surface.vertex], content['vertex'])
    assert np.array_equal(surface.faces + 1, content['faces'])
    del content['faces']
    savemat(folder / 'SMPL_subdiv.mat', content)
    surface = load_official(folder)
    assert surface.vertices is None
    assert surface.geodesic(0, 1) > 0
    with pytest.raises(ValueError, match=r"has no vertices.*'symmetry' and"):
        surface.position_of(1, 0.5, 0.5)


@pytest.mark.golden
def test_a_mesh_that_does_not_fit_is_left_out(folder):
    content = _read(folder / 'SMPL_subdiv.mat')
    content['vertex'] = content['vertex'][::-1]
    savemat(folder / 'SMPL_subdiv.mat', content)
    with pytest.warns(UserWarning, match='vertex and faces do not fit'):
        assert load_official(folder).faces is None


@pytest.mark.golden
def test_all_forms_of_the_distances(folder, monkeypatch):
    condensed = _condensed(folder)
    surface = load_official(folder)
    assert np.array_equal(surface.distances._values, condensed)
    converted = list(folder.glob('Pdist_matrix-*.npy'))
    assert len(converted) == 1
    # The converted file serves alone; then under a name of its own.
    (folder / 'Pdist_matrix.pkl').unlink()
    assert load_official(folder).geodesic(3, 1) == surface.geodesic(1, 3)
    converted[0].rename(folder / 'Pdist_matrix.npy')
    assert load_official(folder).geodesic(3, 1) == surface.geodesic(1, 3)


@pytest.mark.golden
def test_hdf5(folder, monkeypatch):
    h5py = pytest.importorskip('h5py')
    condensed = _condensed(folder)
    (folder / 'Pdist_matrix.pkl').unlink()
    for shape in ((-1, 1), (1, -1)):
        with h5py.File(folder / 'Pdist_matrix.mat', 'w') as file:
            file['Pdist_matrix'] = condensed.reshape(shape)
        values = load_official(folder).distances._values
        assert np.array_equal(values, condensed)
    published = golden.FOLDER / 'densepose/eval_data/Pdist_matrix.mat'
    if published.is_file():
        array = np.load(convert_pdist(published, folder / 'cache'))
        assert np.array_equal(array, condensed)
    with h5py.File(folder / 'Pdist_matrix.mat', 'w') as file:
        file['other'] = condensed
    with pytest.raises(ValueError, match=r"no 'Pdist_matrix', it has other"):
        _ = load_official(folder).distances
    whole = (folder / 'Pdist_matrix.mat').read_bytes()
    (folder / 'Pdist_matrix.mat').write_bytes(whole[:-1000])
    with pytest.raises(ValueError, match=r'Pdist_matrix\.mat is truncated'):
        _ = load_official(folder).distances
    monkeypatch.setitem(sys.modules, 'h5py', None)
    with pytest.raises(ImportError, match=r'mmdense\[optional\]'):
        _ = load_official(folder).distances


@pytest.mark.golden
def test_where_the_converted_file_goes(folder, cache_dir, monkeypatch):
    path = folder / 'Pdist_matrix.pkl'
    assert convert_pdist(path, folder / 'mine').parent == folder / 'mine'
    with monkeypatch.context() as patch:
        # A folder that cannot be written to.
        patch.setattr(os, 'access', lambda *_: False)
        assert convert_pdist(path).parent == cache_dir
    assert convert_pdist(path).parent == folder
    _write_pickle(path, _condensed(folder) + 1)
    assert np.load(convert_pdist(path))[0] >= 1  # not that of the old file


@pytest.mark.golden
@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_all_protocols(folder, protocol):
    condensed = _condensed(folder)
    _write_pickle(folder / 'Pdist_matrix.pkl', condensed, protocol)
    values = load_official(folder).distances._values
    assert np.array_equal(values, condensed)


@pytest.mark.golden
def test_pickles_are_not_run(folder):
    path = folder / 'Pdist_matrix.pkl'

    class Evil:
        def __reduce__(self):
            return os.system, (f'touch {folder}/done',)

    path.write_bytes(pickle.dumps({'Pdist_matrix': Evil()}))
    with pytest.raises(ValueError, match=r'system, expected arrays of num'):
        _ = load_official(folder).distances
    assert not (folder / 'done').exists()
    assert not list(folder.glob('.*.partial'))


@pytest.mark.golden
def test_wrong_distances(folder):
    path = folder / 'Pdist_matrix.pkl'
    condensed = _condensed(folder)
    count = load_official(folder).num_vertices

    def fails(message):
        with pytest.raises(ValueError, match=message):
            _ = load_official(folder).distances
        assert not list(folder.glob('.*.partial'))

    path.write_bytes(path.read_bytes()[:-100])
    fails(r'Pdist_matrix\.pkl is truncated')
    path.write_bytes(b'')
    fails(r'Pdist_matrix\.pkl is truncated')
    path.write_bytes(pickle.dumps({'other': condensed}))
    fails("no 'Pdist_matrix', expected a dict with it, got dict other")
    _write_pickle(path, condensed[:-1])
    fails('Pdist_matrix has .* which is K .K - 1. / 2 for no K')
    _write_pickle(path, np.zeros(count * (count + 1) // 2, np.float32))
    fails(f'of {count + 1} vertices, but the charts refer to {count}')
    _write_pickle(path, np.zeros((20, 30), np.float32))
    fails(r'shape \(20, 30\).*one column')
    for wrong in (np.nan, np.inf, -1):
        condensed[7] = wrong
        _write_pickle(path, condensed)
        fails('NaN, infinite or negative values between 0 and')


@pytest.mark.golden
@pytest.mark.parametrize('name', FILES)
def test_missing_files_say_where_they_are_published(folder, name):
    (folder / name).unlink()
    message = rf'{name} is missing.*facebookresearch'
    if name.startswith('SMPL'):
        with pytest.raises(FileNotFoundError, match=message):
            load_official(folder)
        return
    # The others are asked for where they are needed.
    surface = load_official(folder)
    uses = {
        'Pdist_matrix.pkl': lambda: surface.geodesic(0, 1),
        'UV_symmetry_transforms.mat': lambda: surface.flip(1, 0.5, 0.5),
    }
    for file, use in uses.items():
        if file == name:
            with pytest.raises(FileNotFoundError, match=message):
                use()
        else:
            use()


@pytest.mark.golden
def test_wrong_charts(folder):
    path = folder / 'SMPL_subdiv.mat'
    good = _read(path)

    def fails(message, **changes):
        savemat(path, {**good, **changes})
        with pytest.raises(ValueError, match=message):
            load_official(folder)

    part, u = good['Part_ID_subdiv'], good['U_subdiv']
    fails(r'Part_ID_subdiv must be 1\.\.24, got 0', Part_ID_subdiv=part * 0)
    fails(r'Part_ID_subdiv has values that', Part_ID_subdiv=part + 0.5)
    fails('U_subdiv has .* values, expected', U_subdiv=u[1:])
    fails(r'U_subdiv has values outside \[0, 1\]', U_subdiv=u + 1)
    fails('U_subdiv has NaN', U_subdiv=u * np.nan)
    fails(r'V_subdiv has shape \(2, 2\)', V_subdiv=np.zeros((2, 2)))
    savemat(path, {'Part_ID_subdiv': part, 'U_subdiv': u})
    with pytest.raises(ValueError, match="no 'V_subdiv'"):
        load_official(folder)
    savemat(path, good)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ValueError, match=r'SMPL_subdiv\.mat is truncated'):
        load_official(folder)


@pytest.mark.golden
def test_a_transform_of_another_mesh(folder):
    path = folder / 'SMPL_SUBDIV_TRANSFORM.mat'
    index = loadmat(path)['index']
    for wrong, message in (
        (index[1:], r'index has .* of different meshes'),
        (index - 1, r'index must be 1 or more, got 0'),
        (index + 0.5, r'index has values that are not integers'),
    ):
        savemat(path, {'index': wrong})
        with pytest.raises(ValueError, match=message):
            load_official(folder)
    charts = _read(folder / 'SMPL_subdiv.mat')
    del charts['faces']
    savemat(folder / 'SMPL_subdiv.mat', charts)
    savemat(path, {'index': index + 1})
    with pytest.raises(ValueError, match='are of different meshes'):
        _ = load_official(folder).distances


def test_uv_processed(tmp_path):
    """Written from a mesh of our own, in the layout of the published file."""
    surface = ellipsoid()
    path = tmp_path / 'UV_Processed.mat'
    content = {
        'All_Faces': surface.faces + 1,
        'All_FaceIndices': surface.face_part[:, None],
        'All_U_norm': surface.uv[:, :1],
        'All_V_norm': surface.uv[:, 1:],
        'All_vertices': surface.vertex[None] + 1,
    }
    savemat(path, content)
    np.save(tmp_path / 'v.npy', surface.vertices)
    for given in (surface.vertices, tmp_path / 'v.npy'):
        read = load_uv_processed(path, given)
        # Entries may be in another order.
        for name in ('part', 'uv', 'vertex'):
            expected = getattr(surface, name)[surface.faces]
            assert np.array_equal(getattr(read, name)[read.faces], expected)
        assert np.array_equal(read.mesh_faces, surface.mesh_faces)
        assert np.array_equal(read.mirror, surface.mirror)
    assert read.mean_distances[1] == 0.351
    bare = build_surface(path)
    assert bare.num_vertices == surface.num_vertices
    assert np.array_equal(bare.face_part, surface.face_part)
    with pytest.raises(ValueError, match=r'\(3, 3\), expected \(362, 3\)'):
        load_uv_processed(path, np.zeros((3, 3)))
    savemat(path, {**content, 'All_Faces': surface.faces})
    with pytest.raises(ValueError, match=r'All_Faces must be 1\.\.482, got 0'):
        load_uv_processed(path)


def _read(path):
    return {k: v for k, v in loadmat(path).items() if k[0] != '_'}


def _condensed(folder):
    with (folder / 'Pdist_matrix.pkl').open('rb') as file:
        return pickle.load(file)['Pdist_matrix'].reshape(-1)


def _write_pickle(path, values, protocol=4):
    column = values if values.ndim == 2 else values[:, None]
    path.write_bytes(pickle.dumps({'Pdist_matrix': column}, protocol))
