"""The glyph file and the data set, on the shipped set and on small ones."""

import hashlib
import json
import pickle
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mmengine.dataset import DefaultSampler, pseudo_collate
from torch.utils.data import DataLoader

from mmdense.recognition.datasets.glyph_file import (
    GlyphSet,
    pack_image,
    packed_length,
    quantize,
    read_glyph_file,
    unpack_image,
    write_glyph_file,
)
from mmdense.recognition.datasets.glyphs import VENDORED, GlyphIdentities
from mmdense.registry import DATASETS

FAMILIES = ('Alpha', 'Alpha', 'Beta', 'Gamma')


def small_set(num_train=3, num_unseen=25, size=5):
    """Identity i lacks face i % 4 when i % 3 is 0."""
    rng = np.random.default_rng(1)
    count = num_train + num_unseen
    table = [
        (identity, face)
        for face in range(4)
        for identity in range(count)
        if identity % 3 or identity % 4 != face
    ]
    identity, face = np.array(table, np.int32).T
    faces = [
        {
            'name': f'Face{i}',
            'family': family,
            'licence': 'ofl',
            'style': 'Regular',
            'weight': 400,
            'version': '1',
        }
        for i, family in enumerate(FAMILIES)
    ]
    return GlyphSet(
        images=rng.integers(
            0, 256, (len(table), packed_length(size)), dtype=np.uint8
        ),
        identity=identity,
        face=face,
        codepoint=np.arange(0x4E00, 0x4E00 + count, dtype=np.uint32),
        split=np.array([0] * num_train + [1] * num_unseen, np.uint8),
        faces=faces,
        size=size,
        header={'seed': 0},
    )


@pytest.fixture
def small_file(tmp_path):
    path = tmp_path / 'small.npz'
    write_glyph_file(path, small_set())
    return path


def plain_unpack(packed, size):
    """Pixel by pixel: four of a column in a byte, uppermost highest."""
    image = np.zeros((size, size), np.uint8)
    for y in range(size):
        for x in range(size):
            byte = int(packed[y // 4 * size + x])
            image[y, x] = 85 * (byte // 4 ** (3 - y % 4) % 4)
    return image


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 13).flatmap(
        lambda n: hnp.arrays(np.uint8, (n, n), elements=st.integers(0, 255))
    )
)
def test_packing_keeps_the_nearest_of_four_levels(image):
    size = len(image)
    packed = pack_image(image)
    assert len(packed) == packed_length(size)
    got = unpack_image(packed, size)
    np.testing.assert_array_equal(got, plain_unpack(packed, size))
    assert got.dtype == np.uint8
    assert np.abs(got.astype(int) - image).max() <= 42
    # A second time nothing is lost.
    np.testing.assert_array_equal(pack_image(got), packed)


def test_quantization_thresholds():
    values = [0, 42, 43, 127, 128, 212, 213, 255]
    assert quantize(values).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_file_keeps_a_ragged_set(tmp_path):
    glyphs = small_set()
    write_glyph_file(tmp_path / 'a.npz', glyphs)
    back = read_glyph_file(tmp_path / 'a.npz')
    for name in ('images', 'identity', 'face', 'codepoint', 'split'):
        np.testing.assert_array_equal(
            getattr(back, name), getattr(glyphs, name)
        )
    assert back.faces == glyphs.faces
    assert back.size == 5
    assert back.header['seed'] == 0


def test_equal_sets_give_equal_bytes(tmp_path):
    for name in 'ab':
        write_glyph_file(tmp_path / name, small_set())
    assert (tmp_path / 'a').read_bytes() == (tmp_path / 'b').read_bytes()
    with zipfile.ZipFile(tmp_path / 'a') as archive:
        for member in archive.infolist():
            assert member.date_time == (1980, 1, 1, 0, 0, 0)
            assert member.compress_type == zipfile.ZIP_LZMA
        assert json.loads(archive.read('header.json'))['version'] == 1


def rewrite(path, **changes):
    """The file again, members changed or (None) left out."""
    with zipfile.ZipFile(path) as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    members.update(changes)
    with zipfile.ZipFile(path, 'w') as archive:
        for name, data in members.items():
            if data is not None:
                archive.writestr(name, data)


def change_header(path, **changes):
    with zipfile.ZipFile(path) as archive:
        header = json.loads(archive.read('header.json'))
    header.update(changes)
    rewrite(path, **{'header.json': json.dumps(header)})


def test_missing_file_names_path_and_tool(tmp_path):
    path = tmp_path / 'none.npz'
    with pytest.raises(FileNotFoundError) as caught:
        GlyphIdentities(path)
    assert str(path) in str(caught.value)
    assert 'tools/dataset_converters/glyphs.py' in str(caught.value)


@pytest.mark.parametrize('keep', [0, 10, 300, 0.5, 0.99])
def test_truncated_file(small_file, keep):
    data = small_file.read_bytes()
    end = keep if isinstance(keep, int) else int(len(data) * keep)
    small_file.write_bytes(data[:end])
    with pytest.raises(ValueError, match='damaged or no glyph identity file'):
        read_glyph_file(small_file)


def test_damaged_bytes(small_file):
    data = bytearray(small_file.read_bytes())
    start = data.index(b'images.npy') + 40
    data[start : start + 200] = bytes(200)
    small_file.write_bytes(data)
    with pytest.raises(ValueError, match='damaged or no glyph identity file'):
        read_glyph_file(small_file)


def test_other_files(small_file):
    rewrite(small_file, **{'face.npy': None})
    with pytest.raises(ValueError, match='it lacks face'):
        read_glyph_file(small_file)
    rewrite(small_file, **{'header.json': None})
    with pytest.raises(ValueError, match=r'no header\.json'):
        read_glyph_file(small_file)
    np.save(small_file.with_suffix('.npy'), np.zeros(3))
    with pytest.raises(ValueError, match='it is no zip archive'):
        read_glyph_file(small_file.with_suffix('.npy'))


def test_other_version_says_what_to_do(small_file):
    change_header(small_file, version=2)
    with pytest.raises(ValueError, match=r'version 2, .* reads version 1'):
        read_glyph_file(small_file)
    change_header(small_file, format='something')
    with pytest.raises(ValueError, match=r"does not say 'mmdense\.glyphs'"):
        read_glyph_file(small_file)


def test_pickles_are_not_read(small_file):
    class Touch:
        def __reduce__(self):
            return (Path.touch, (small_file.with_suffix('.touched'),))

    array = np.array([Touch()], dtype=object)
    np.save(small_file.with_suffix('.npy'), array, allow_pickle=True)
    rewrite(
        small_file,
        **{'face.npy': small_file.with_suffix('.npy').read_bytes()},
    )
    with pytest.raises(ValueError, match='damaged'):
        read_glyph_file(small_file)
    small_file.write_bytes(pickle.dumps(Touch()))
    with pytest.raises(ValueError, match='damaged'):
        read_glyph_file(small_file)
    assert not small_file.with_suffix('.touched').exists()


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'face': np.full(102, 4, np.int32)}, r'face must be in \[0, 4\)'),
        ({'identity': np.zeros(3, np.int32)}, 'must have 102 entries, got 3'),
        ({'split': np.full(28, 2, np.uint8)}, r'split must be in \[0, 2\)'),
        ({'size': 9}, '9 x 9 px take 27 bytes, got 10'),
        ({'size': 0}, 'positive integer, got 0'),
        ({'faces': [{'name': 'Face0'}]}, 'faces must be objects with'),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        write_glyph_file(tmp_path / 'x.npz', replace(small_set(), **changes))


def test_samples_are_the_images_of_the_file(small_file):
    glyphs = small_set()
    dataset = GlyphIdentities(small_file, split='unseen', num_pairs=0)
    rows = np.flatnonzero(glyphs.split[glyphs.identity] == 1)
    assert len(dataset) == len(rows)
    labels = []
    for index, row in enumerate(rows):
        sample = dataset[index]
        name = f'Face{glyphs.face[row]}'
        code = f'U+{glyphs.codepoint[glyphs.identity[row]]:04X}'
        expected = plain_unpack(glyphs.images[row], 5)
        assert sample['img'].dtype == np.uint8
        assert sample['img'].shape == (5, 5, 3)
        for channel in range(3):
            np.testing.assert_array_equal(
                sample['img'][..., channel], expected
            )
        assert sample['img_shape'] == sample['ori_shape'] == (5, 5)
        assert sample['sample_idx'] == index
        assert sample['face'] == name
        assert sample['img_path'] == f'{code}/{name}'
        assert dataset.metainfo['classes'][sample['gt_label']] == code
        labels.append(sample['gt_label'])
    assert sorted(set(labels)) == list(range(25))
    assert dataset.get_gt_labels().tolist() == labels
    assert 'pairs' not in dataset.metainfo


def test_pairs_of_the_unseen_split(small_file):
    dataset = GlyphIdentities(small_file, split='unseen', num_pairs=40)
    info = dataset.metainfo
    family = dict(zip(info['faces'], info['families'], strict=True))
    samples = [dataset.get_data_info(i) for i in range(len(dataset))]
    folds = {}
    for (i, j), same, fold in zip(
        info['pairs'], info['issame'], info['fold'], strict=True
    ):
        one, other = samples[i], samples[j]
        assert same == (one['gt_label'] == other['gt_label'])
        assert family[one['face']] != family[other['face']]
        for sample in (one, other):
            assert folds.setdefault(sample['gt_label'], fold) == fold
    assert info['issame'].sum() == 20
    again = GlyphIdentities(small_file, split='unseen', num_pairs=40)
    np.testing.assert_array_equal(again.metainfo['pairs'], info['pairs'])
    other = GlyphIdentities(
        small_file, split='unseen', num_pairs=40, pair_seed=1
    )
    assert (other.metainfo['pairs'] != info['pairs']).any()


def test_subsets_lose_pairs_that_number_other_samples(small_file):
    dataset = GlyphIdentities(small_file, split='unseen', num_pairs=40)
    subset = dataset.get_subset([4, 2])
    assert 'pairs' in dataset.metainfo
    assert not {'pairs', 'issame', 'fold'} & subset.metainfo.keys()
    np.testing.assert_array_equal(subset[0]['img'], dataset[4]['img'])
    dataset.get_subset_(3)
    assert 'pairs' not in dataset.metainfo


def test_families_can_be_held_out(small_file):
    held_out = GlyphIdentities(
        small_file, split='train', families=['Beta', 'Gamma']
    )
    rest = GlyphIdentities(small_file, split='train', families='Alpha')
    faces = [set(d.metainfo['faces']) for d in (held_out, rest)]
    assert faces == [{'Face2', 'Face3'}, {'Face0', 'Face1'}]
    assert {d['face'] for d in rest} == {'Face0', 'Face1'}
    both = GlyphIdentities(small_file, split='train')
    assert len(both) == len(held_out) + len(rest)
    one = GlyphIdentities(
        small_file, split='train', families='Alpha', faces=['Face1', 'Face2']
    )
    assert {d['face'] for d in one} == {'Face1'}


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        ({'split': 'trian'}, "'trian'; there are train, unseen. Did you mean"),
        ({'faces': ['Face9']}, "face 'Face9'; there are Face0, Face1"),
        ({'families': 'Betta'}, "there are Alpha, .* Did you mean 'Beta'"),
        ({'faces': 'Face0', 'families': 'Beta'}, "no image of .* 'train'"),
        ({'split': 'unseen'}, 'fold 0 needs 600 genuine pairs'),
        ({'split': 'unseen', 'num_pairs': 30}, 'multiple of 20'),
        ({'split': 'unseen', 'faces': 'Face0'}, 'only 0 exist'),
    ],
)
def test_refuses(small_file, kwargs, message):
    with pytest.raises(ValueError, match=message):
        GlyphIdentities(small_file, **kwargs)


def test_too_few_identities_for_ten_folds(tmp_path):
    write_glyph_file(tmp_path / 'x.npz', small_set(num_unseen=19))
    with pytest.raises(ValueError, match='got 19 identities; 10 folds'):
        GlyphIdentities(tmp_path / 'x.npz', split='unseen', num_pairs=20)


def test_builds_from_a_config_relative_to_data_root(small_file):
    dataset = DATASETS.build(
        {
            'type': 'mmdense.GlyphIdentities',
            'data_root': str(small_file.parent),
            'data_file': small_file.name,
            'split': 'train',
            'lazy_init': True,
            'pipeline': [],
        }
    )
    assert str(small_file) in repr(dataset)
    assert len(dataset) > 0
    assert dataset.CLASSES == ('U+4E00', 'U+4E01', 'U+4E02')


def test_usual_transforms_and_workers():
    dataset = GlyphIdentities(
        split='train',
        indices=40,
        pipeline=[
            {'type': 'RandomCrop', 'crop_size': 48, 'padding': 4},
            {'type': 'RandomFlip', 'prob': 0.5},
            {'type': 'ColorJitter', 'brightness': 0.4, 'hue': 0.1},
            {'type': 'mmcv.RandomGrayscale', 'keep_channels': True},
            {'type': 'RandomErasing', 'erase_prob': 1.0},
            {'type': 'Resize', 'scale': 32},
            {'type': 'PackInputs'},
        ],
    )
    loader = DataLoader(
        dataset,
        batch_size=20,
        num_workers=2,
        sampler=DefaultSampler(dataset, shuffle=False),
        collate_fn=pseudo_collate,
    )
    seen = []
    for batch in loader:
        assert all(x.shape == (3, 32, 32) for x in batch['inputs'])
        seen += [int(s.gt_label) for s in batch['data_samples']]
    assert seen == [dataset.get_data_info(i)['gt_label'] for i in range(40)]


class TestVendored:
    def test_is_the_file_that_its_readme_describes(self):
        text = VENDORED.with_name('README.md').read_text(encoding='utf-8')
        digest = hashlib.sha256(VENDORED.read_bytes()).hexdigest()
        assert re.findall(r'\b[0-9a-f]{64}\b', text) == [digest]
        assert VENDORED.stat().st_size <= 4_000_000
        for face in read_glyph_file(VENDORED).faces:
            assert face['name'] in text

    def test_content(self):
        glyphs = read_glyph_file(VENDORED)
        assert glyphs.size == 48
        assert np.bincount(glyphs.split).tolist() == [2000, 500]
        # Every identity in every face, and each image once.
        assert len(glyphs.images) == 2500 * 13
        assert len(np.unique(glyphs.images, axis=0)) == 2500 * 13
        cells = glyphs.identity * 13 + glyphs.face
        assert len(np.unique(cells)) == 2500 * 13
        assert {face['licence'] for face in glyphs.faces} <= {
            'ofl',
            'apache',
            'public-domain',
        }
        families = {face['name']: face['family'] for face in glyphs.faces}
        assert len(set(families.values())) == 12
        assert (
            families['NotoSansCJKjp-Bold'] == families['NotoSansCJKjp-Regular']
        )
        # No blank image, nothing cut at the border.
        assert glyphs.images.any(axis=1).all()

    def test_splits_and_default_pairs(self):
        train = GlyphIdentities()
        unseen = GlyphIdentities(split='unseen')
        assert (len(train), len(unseen)) == (26000, 6500)
        names = [set(d.metainfo['classes']) for d in (train, unseen)]
        assert [len(n) for n in names] == [2000, 500]
        assert not names[0] & names[1]
        info = unseen.metainfo
        assert info['pairs'].shape == (12000, 2)
        labels = unseen.get_gt_labels()
        np.testing.assert_array_equal(
            labels[info['pairs'][:, 0]] == labels[info['pairs'][:, 1]],
            info['issame'],
        )
        # The published pairs: a change makes scores incomparable.
        digest = hashlib.sha256(info['pairs'].tobytes()).hexdigest()
        assert digest.startswith('14309b3c877e6d34')
