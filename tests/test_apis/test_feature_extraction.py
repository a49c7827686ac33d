"""Embeddings of folders and lists, against a loop over the files."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mmdense.apis.embedding_model import as_config
from mmdense.apis.feature_extraction import extract_features
from mmdense.apis.image_files import Names, find_images

TOOL = Path(__file__).parents[2] / 'tools' / 'extract_features.py'


def extract(network, source, out, **options):
    options = dict(batch_size=4, num_workers=0, device='cpu') | options
    cfg = as_config(network.config)
    return extract_features(cfg, network.checkpoint, source, out, **options)


def check(out, network, root, names):
    """What is in an .npy file and the list beside it."""
    found = np.load(out, mmap_mode='r')
    assert found.dtype == np.float32
    assert out.with_suffix('.txt').read_text().split('\n') == [*names, '']
    expected = np.stack([network.embed(root / name) for name in names])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('workers', [0, 2])
def test_a_folder(network, photos, names, tmp_path, workers):
    out = tmp_path / 'x.npy'
    result = extract(network, photos, out, num_workers=workers)
    assert result == (11, 16, 0)
    check(out, network, photos, names)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        'x.npy',
        'x.txt',
    ]


@pytest.mark.parametrize('relative', [True, False])
def test_a_list(network, photos, names, tmp_path, relative):
    order = [names[i] for i in (7, 0, 3, 3)]
    root = photos if relative else tmp_path
    listed = order if relative else [str(photos / name) for name in order]
    source = root / 'some.lst'
    source.write_text('\r\n'.join(listed) + '\n\n')
    out = tmp_path / 'x.npy'
    extract(network, source, out)
    source.unlink()
    check(out, network, root, listed)


def test_flip_and_normalize(network, photos, names, tmp_path):
    out = tmp_path / 'x.npy'
    extract(network, photos, out, flip=True, normalize=True)
    paths = [photos / name for name in names]
    both = [network.embed(p) + network.embed(p, mirror=True) for p in paths]
    unit = both / np.linalg.norm(both, axis=1, keepdims=True)
    np.testing.assert_allclose(np.load(out), unit, atol=1e-5)


def test_parquet(network, photos, names, tmp_path):
    extract(network, photos, tmp_path / 'x.npy')
    out = tmp_path / 'x.parquet'
    extract(network, photos, out, label_by_folder=True)
    table = pq.read_table(out)
    assert table.column_names == ['path', 'label', 'embedding']
    assert table['path'].to_pylist() == names
    labels = [name.split('/')[1] for name in names]
    assert table['label'].to_pylist() == labels
    embeddings = np.array(table['embedding'].to_pylist(), np.float32)
    np.testing.assert_array_equal(embeddings, np.load(tmp_path / 'x.npy'))
    extract(network, photos, out)
    assert pq.read_table(out).column_names == ['path', 'embedding']


def on_a_rank(network, source, out, options):
    return extract(network, source, out, **options)


def test_processes(network, photos, names, tmp_path, ranks):
    source = tmp_path / 'some.txt'
    for listed in (names, names[:2]):  # two images for three ranks, too
        paths = [str(photos / name) for name in listed]
        source.write_text('\n'.join(paths))
        out = tmp_path / 'x.npy'
        results = ranks(3)(on_a_rank, network, source, out, {})
        assert results == [(len(listed), 16, 0), None, None]
        check(out, network, tmp_path, paths)


def test_errors_before_the_start_are_on_all_ranks(
    network, photos, tmp_path, ranks
):
    out = tmp_path / 'x.csv'
    outcomes = ranks(2).outcomes(on_a_rank, network, photos, out, {})
    for outcome in outcomes:
        assert isinstance(outcome, ValueError)
        assert 'expected a file ending in .npy or .parquet' in str(outcome)


@pytest.fixture
def damaged(photos, names, tmp_path):
    """A list of six images, of which number 4 is none."""
    (tmp_path / 'bad.jpg').write_bytes(b'no image')
    paths = [str(photos / name) for name in names[:6]]
    paths[4] = 'bad.jpg'
    source = tmp_path / 'list.txt'
    source.write_text('\n'.join(paths))
    return source, [path for path in paths if path != 'bad.jpg']


def test_unreadable_images(network, damaged, tmp_path, capsys):
    source, readable = damaged
    out = tmp_path / 'x.npy'
    with pytest.raises(ValueError, match=r'bad\.jpg.*--skip-unreadable'):
        extract(network, source, out)
    assert not out.exists()
    result = extract(network, source, out, skip_unreadable=True)
    assert result == (5, 16, 1)
    check(out, network, tmp_path, readable)
    assert 'bad.jpg' in capsys.readouterr().err
    out.unlink()
    source.write_text('bad.jpg\nbad.jpg')
    with pytest.raises(ValueError, match='none of the images could be read'):
        extract(network, source, out, skip_unreadable=True)


def test_resume(network, damaged, tmp_path, monkeypatch):
    source, readable = damaged
    out = tmp_path / 'x.npy'
    with pytest.raises(ValueError, match=r'bad\.jpg'):
        extract(network, source, out, batch_size=2)
    # Killed while it wrote the third batch.
    folder = tmp_path / '.x.npy.partial'
    with (folder / 'rank_0.float32').open('ab') as file:
        file.write(b'half a row')
    with (folder / 'rank_0.jsonl').open('ab') as file:
        file.write(b'{"done": 2, "ro')
    with pytest.raises(ValueError, match='of a run with another flip'):
        extract(network, source, out, resume=True, flip=True)
    read = []
    monkeypatch.setattr(
        'mmdense.apis.image_files.ImageFiles.__getitem__',
        spy(read),
    )
    result = extract(
        network, source, out, resume=True, skip_unreadable=True, batch_size=3
    )
    assert result == (5, 16, 1)
    assert read == [4, 5]
    monkeypatch.undo()
    check(out, network, tmp_path, readable)
    assert not folder.exists()


def test_lost_rows_are_not_resumed(network, damaged, tmp_path):
    source, _ = damaged
    out = tmp_path / 'x.npy'
    with pytest.raises(ValueError, match=r'bad\.jpg'):
        extract(network, source, out, batch_size=2)
    rows = tmp_path / '.x.npy.partial' / 'rank_0.float32'
    rows.write_bytes(rows.read_bytes()[:-1])
    with pytest.raises(ValueError, match='has 255 bytes, expected at least'):
        extract(network, source, out, resume=True)


def spy(read):
    from mmdense.apis.image_files import ImageFiles

    original = ImageFiles.__getitem__

    def getitem(self, index):
        read.append(self.start + index)
        return original(self, index)

    return getitem


def test_what_sources_must_be(tmp_path):
    with pytest.raises(FileNotFoundError, match='expected a folder'):
        find_images(tmp_path / 'nowhere')
    with pytest.raises(ValueError, match=r'has no image, expected .* \.jpg'):
        find_images(tmp_path)
    source = tmp_path / 'a.csv'
    source.write_text('a.jpg')
    with pytest.raises(ValueError, match=r'expected a folder, or a \.txt'):
        find_images(source)
    source = tmp_path / 'a.lst'
    source.write_text('\n')
    with pytest.raises(ValueError, match='is empty'):
        find_images(source)
    source.write_text('1\ta.jpg\t0')
    with pytest.raises(ValueError, match=r'several columns .* cut -f'):
        find_images(source)


def test_names():
    texts = ['a', '', '脸/ß.jpg', 'b c']
    names = Names(texts)
    assert (len(names), [*names]) == (4, texts)
    with pytest.raises(ValueError, match='line break'):
        Names(['a\nb'])
    with pytest.raises(ValueError, match='not UTF-8'):
        Names(['\udcff'])


def test_labels_need_a_column(network, photos, tmp_path):
    with pytest.raises(ValueError, match=r'column of a \.parquet file'):
        extract(network, photos, tmp_path / 'x.npy', label_by_folder=True)


def test_parquet_names_its_extra(network, photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pyarrow', None)
    with pytest.raises(ImportError, match=r"pip install 'mmdense\[parquet\]"):
        extract(network, photos, tmp_path / 'x.parquet')
    assert not any(tmp_path.iterdir())


def test_the_tool_with_two_processes(network, photos, names, tmp_path):
    out = tmp_path / 'x.npy'
    torchrun = [sys.executable, '-m', 'torch.distributed.run']
    torchrun += ['--standalone', '--nproc_per_node', '2']
    arguments = [network.config, network.checkpoint, photos, '--out', out]
    options = '--device cpu --launcher pytorch --num-workers 0'.split()
    done = subprocess.run(
        [*torchrun, TOOL, *arguments, *options],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert '11 embeddings of length 16' in done.stdout
    check(out, network, photos, names)
