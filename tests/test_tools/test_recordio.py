"""The record file tool: from images and back, killed and damaged."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mmdense.recognition.datasets import RecordIODataset
from mmdense.recognition.datasets.recordio import (
    RecordError,
    RecordReader,
    packing,
    read_layout,
    unpack_image,
    unpacking,
)
from mmdense.recognition.datasets.recordio.packing import Packing, pack
from mmdense.recognition.datasets.recordio.sources import open_source
from mmdense.recognition.datasets.recordio.unpacking import (
    Unpacking,
    unpack,
)
from tests.test_recognition.test_datasets.record_files import (
    make_image,
    write_im2rec,
    write_insightface,
)

TOOL = (
    Path(__file__).resolve().parents[2]
    / 'tools'
    / 'dataset_converters'
    / 'recordio.py'
)
COUNTS = {'ada': 3, 'bob': 70, 'eve': 2}


def run(*args):
    spec = importlib.util.spec_from_file_location('recordio_tool', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main([str(arg) for arg in args])


@pytest.fixture
def folder(tmp_path):
    """Classes of images; what is no image is beside them."""
    number = 0
    for name, count in COUNTS.items():
        (tmp_path / 'faces' / name).mkdir(parents=True)
        for index in range(count):
            path = tmp_path / 'faces' / name / f'{index:03}.png'
            path.write_bytes(make_image(number))
            number += 1
    (tmp_path / 'faces' / 'bob' / 'notes.txt').touch()
    (tmp_path / 'faces' / 'bob' / '.hidden.png').touch()
    return tmp_path / 'faces'


def contents_of(path):
    reader = RecordReader(path)
    images = [
        reader.read_image(position)
        for position in read_layout(reader).positions
    ]
    return [(image.class_label, image.content) for image in images]


EXPECTED = [
    (label, make_image(number))
    for number, label in enumerate(np.repeat(range(3), list(COUNTS.values())))
]


def test_pack_a_folder(folder, tmp_path, capsys):
    out = tmp_path / 'out' / 'train.rec'
    run('pack', folder, out, '--workers', 2)
    assert contents_of(out) == EXPECTED
    reader = RecordReader(out)
    assert reader.keys.tolist() == [*range(1, 79), 0]
    ranges = [
        unpack_image(reader.read_key(key)).labels.tolist()
        for key in (76, 77, 78, 0)
    ]
    assert ranges == [[1, 4], [4, 74], [74, 76], [76, 79]]
    assert (out.parent / 'property').read_text() == '3,12,14\n'
    assert sorted(path.name for path in out.parent.iterdir()) == [
        'property',
        'train.idx',
        'train.rec',
    ]
    assert (
        '75 images, 3 classes, layout insightface' in capsys.readouterr().err
    )
    dataset = RecordIODataset(data_root=str(out.parent))
    assert dataset.metainfo['num_classes'] == 3
    before = out.stat().st_mtime_ns
    run('pack', folder, out)
    assert 'nothing to do' in capsys.readouterr().err
    assert out.stat().st_mtime_ns == before


def test_pack_without_processes_is_the_same(folder, tmp_path):
    for workers in (1, 2):
        run('pack', folder, tmp_path / f'{workers}.rec', '--workers', workers)
    for suffix in ('rec', 'idx'):
        assert (tmp_path / f'1.{suffix}').read_bytes() == (
            tmp_path / f'2.{suffix}'
        ).read_bytes()


def test_shuffled(folder, tmp_path):
    run('pack', folder, tmp_path / 'a.rec')
    options = ('--layout', 'im2rec', '--shuffle')
    for name, source, seed in (
        ('b', tmp_path / 'a.rec', 5),
        ('c', folder, 5),
        ('d', folder, 6),
    ):
        out = tmp_path / name / 'train.rec'
        run('pack', source, out, *options, seed)
        assert sorted(contents_of(out)) == sorted(EXPECTED)
        assert RecordReader(out).keys.tolist() == list(range(75))
    b, c, d = ((tmp_path / name / 'train.rec').read_bytes() for name in 'bcd')
    assert b == c != d
    assert contents_of(tmp_path / 'b' / 'train.rec') != EXPECTED


def test_pack_a_list(folder, tmp_path):
    """Labels of a list stay, those without an image too."""
    lst = tmp_path / 'some.lst'
    lst.write_text('1\teve/000.png\t4\n1\tada/001.png\t1\n1\tbob/000.png\t4\n')
    run('pack', lst, tmp_path / 'a.rec', '--folder', folder)
    wanted = [
        (1, make_image(1)),
        (4, make_image(73)),
        (4, make_image(3)),
    ]
    assert contents_of(tmp_path / 'a.rec') == wanted
    reader = RecordReader(tmp_path / 'a.rec')
    ranges = [
        unpack_image(reader.read_key(key)).labels.tolist()
        for key in range(4, 9)
    ]
    assert ranges == [[1, 1], [1, 2], [2, 2], [2, 2], [2, 4]]
    assert read_layout(reader).identities == 5


def test_unpack(tmp_path, capsys):
    labels, contents = write_insightface(tmp_path / 'a.rec', [2, 0, 3])
    run('unpack', tmp_path / 'a.rec', tmp_path / 'out', '--workers', 2)
    assert '5 images, listed in' in capsys.readouterr().err
    found = sorted((tmp_path / 'out').glob('*/*'))
    assert [path.read_bytes() for path in found] == contents
    assert [int(path.parent.name) for path in found] == labels
    # The folder of class 1 is not there, so only the list has the labels.
    run('pack', tmp_path / 'out' / 'train.lst', tmp_path / 'b.rec')
    assert contents_of(tmp_path / 'b.rec') == list(
        zip(labels, contents, strict=True)
    )
    run('unpack', tmp_path / 'a.rec', tmp_path / 'out')
    assert 'nothing to do' in capsys.readouterr().err


class Killed(BaseException):
    """Stands for a signal that nothing can catch."""


def kill_after(monkeypatch, module, name, count):
    """Let a function of a module work `count` times, then die."""
    original, calls = getattr(module, name), []

    def wrapped(*args, **kwargs):
        if len(calls) == count:
            raise Killed
        calls.append(1)
        return original(*args, **kwargs)

    monkeypatch.setattr(module, name, wrapped)


def bad_source(folder):
    """Images 2, 3, 40 and 74 are damaged or gone; 75 in all."""
    (folder / 'ada' / '002.png').write_bytes(make_image(2)[:30])
    (folder / 'bob' / '000.png').write_bytes(b'')
    (folder / 'bob' / '037.png').write_bytes(b'none')
    (folder / 'eve' / '001.png').unlink()
    (folder / 'eve' / '001.png').mkdir()


@pytest.mark.parametrize('layout', ['insightface', 'im2rec'])
@pytest.mark.parametrize('count', [0, 1, 2, 3, 39, 70, 71])
def test_pack_after_a_kill(layout, count, folder, tmp_path, monkeypatch):
    bad_source(folder)
    lst = tmp_path / 'a.lst'
    names = sorted(path.relative_to(folder) for path in folder.glob('*/*.png'))
    lst.write_text(
        ''.join(
            f'{i}\t{i % 5}\t{name}\n'
            for i, name in enumerate(names)
            if not name.name.startswith('.')
        )
    )

    def job(out):
        source = open_source(lst, folder)
        return Packing(source, tmp_path / out / 'a.rec', layout, skip=True)

    damaged = pack(job('whole'))
    assert len(damaged) == 4
    with monkeypatch.context() as patch:
        kill_after(patch, packing, '_write_image', count)
        try:
            pack(job('again'))
        except Killed:
            assert count < 71
    assert (tmp_path / 'again' / 'a.rec').exists() == (count == 71)
    again = pack(job('again'))
    assert again == (damaged if count < 71 else [])
    for name in ('a.rec', 'a.idx', 'property'):
        assert (tmp_path / 'again' / name).read_bytes() == (
            tmp_path / 'whole' / name
        ).read_bytes()
    assert len(list((tmp_path / 'again').iterdir())) == 3


@pytest.mark.parametrize('count', [0, 2, 3])
def test_pack_after_a_kill_at_the_end(count, folder, tmp_path, monkeypatch):
    out = tmp_path / 'out' / 'a.rec'
    pack(Packing(open_source(folder), tmp_path / 'whole.rec'))
    with monkeypatch.context() as patch:
        original = packing._identity_records

        def some(*args):
            for number, record in enumerate(original(*args)):
                if number == count:
                    raise Killed
                yield record

        patch.setattr(packing, '_identity_records', some)
        with pytest.raises(Killed):
            pack(Packing(open_source(folder), out))
    pack(Packing(open_source(folder), out))
    assert out.read_bytes() == (tmp_path / 'whole.rec').read_bytes()


def test_image_repaired_between_the_runs(folder, tmp_path, monkeypatch):
    """What was noted of images behind the last record does not count."""
    out, bad = tmp_path / 'a.rec', folder / 'bob' / '001.png'
    good = bad.read_bytes()
    bad.write_bytes(b'')

    def job():
        return Packing(open_source(folder), out, skip=True)

    with monkeypatch.context() as patch:
        kill_after(patch, packing, '_write_image', 10)
        with pytest.raises(Killed):
            pack(job())
    # Of ten records two got to the disk.
    partial = tmp_path / '.a.idx.partial'
    partial.write_text(''.join(partial.open().readlines()[:2]))
    bad.write_bytes(good)
    assert pack(job()) == []
    assert contents_of(out) == EXPECTED


def test_pack_begins_anew_with_other_images(folder, tmp_path, monkeypatch):
    out = tmp_path / 'a.rec'
    with monkeypatch.context() as patch:
        kill_after(patch, packing, '_write_image', 10)
        with pytest.raises(Killed):
            pack(Packing(open_source(folder), out))
    (folder / 'ada' / '000.png').unlink()
    pack(Packing(open_source(folder), out))
    assert contents_of(out) == EXPECTED[1:]


@pytest.mark.parametrize('count', [0, 1, 3])
def test_unpack_after_a_kill(count, tmp_path, monkeypatch):
    write_insightface(tmp_path / 'a.rec', [2, 3])
    reader = RecordReader(tmp_path / 'a.rec')
    with monkeypatch.context() as patch:
        kill_after(patch, unpacking.os, 'replace', count)
        with pytest.raises(Killed):
            unpack(Unpacking(reader, tmp_path / 'b'))
    assert not (tmp_path / 'b' / 'train.lst').exists()
    unpack(Unpacking(reader, tmp_path / 'b'))
    unpack(Unpacking(reader, tmp_path / 'whole'))

    def tree(name):
        return {
            str(path.relative_to(tmp_path / name)): path.read_bytes()
            for path in (tmp_path / name).rglob('*')
            if path.is_file()
        }

    assert tree('b') == tree('whole')


@pytest.mark.slow
def test_real_kill(tmp_path):
    """SIGKILL of the tool and its processes at some moment of the work."""
    labels = [n // 30 for n in range(3000)]
    write_im2rec(
        tmp_path / 'a.rec', labels, [make_image(n % 50) for n in range(3000)]
    )
    command = [
        sys.executable,
        TOOL,
        'pack',
        tmp_path / 'a.rec',
        tmp_path / 'b' / 'b.rec',
        '--workers',
        '2',
    ]
    env = {**os.environ, 'PYTHONPATH': str(TOOL.parents[2])}
    process = subprocess.Popen(command, env=env, start_new_session=True)
    partial = tmp_path / 'b' / '.b.rec.partial'
    while not (partial.exists() and partial.stat().st_size > 200_000):
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / 'b' / 'b.rec').exists()
    subprocess.run(command, env=env, check=True)
    run('pack', tmp_path / 'a.rec', tmp_path / 'c' / 'b.rec')
    for suffix in ('rec', 'idx'):
        assert (tmp_path / 'b' / f'b.{suffix}').read_bytes() == (
            tmp_path / 'c' / f'b.{suffix}'
        ).read_bytes()


def test_damage(folder, tmp_path, capsys):
    bad_source(folder)
    (folder / 'eve' / '001.png').rmdir()
    with pytest.raises(SystemExit, match=r'error: .*002\.png: its PNG is cut'):
        run('pack', folder, tmp_path / 'a.rec')
    assert not (tmp_path / 'a.rec').exists()
    run('pack', folder, tmp_path / 'a.rec', '--on-error', 'skip')
    text = capsys.readouterr().err
    for part in ('002.png: its PNG', '000.png: has no', '037.png: 4 bytes'):
        assert part in text
    assert '71 images' in text
    assert len(contents_of(tmp_path / 'a.rec')) == 71


def test_check(tmp_path, capsys):
    contents = [make_image(n) for n in range(7)]
    write_insightface(tmp_path / 'a.rec', [4, 1, 2], contents)
    with pytest.raises(SystemExit) as caught:
        run('check', tmp_path / 'a.rec', '--workers', 2)
    assert caught.value.code == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    for line in (
        'layout insightface',
        'records 11',
        'images 7',
        'identities 3',
        'number of classes 3',
        'labels 0 to 2',
        'images per identity 1 to 4, median 2, mean 2.33',
        'images of 12 x 14 7',
        'damaged records 0',
    ):
        assert line.split() in lines

    contents[4] = contents[4][:40]
    write_insightface(tmp_path / 'a.rec', [4, 1, 2], contents)
    (tmp_path / 'property').write_text('2,12,14')
    for options in ((), ('--no-decode',)):
        with pytest.raises(SystemExit) as caught:
            run('check', tmp_path / 'a.rec', *options)
        assert caught.value.code == 1
        text = capsys.readouterr().out
        assert 'damaged: ' in text
        assert 'record 5 at byte' in text
        assert 'property says 2 identities, the meta record 3' in text
        assert 'labels up to 2, expected labels below 2' in text


def test_check_finds_what_disagrees(tmp_path, capsys):
    write_insightface(tmp_path / 'a.rec', [2, 2])
    idx = (tmp_path / 'a.idx').read_text().split('\n')
    # Two images change places.
    a, b = idx[1].split('\t'), idx[2].split('\t')
    idx[1], idx[2] = f'{a[0]}\t{b[1]}', f'{b[0]}\t{a[1]}'
    (tmp_path / 'a.idx').write_text('\n'.join(idx))
    with pytest.raises(SystemExit):
        run('check', tmp_path / 'a.rec')
    text = capsys.readouterr().out
    assert 'identity record 0 says images 1 to 2, which have other' in text
    assert 'identity record 1 says images 3 to 4, which have other' in text


def test_index(tmp_path, capsys):
    write_im2rec(tmp_path / 'a.rec', [0, 1, 2])
    made = (tmp_path / 'a.idx').read_text()
    with pytest.raises(SystemExit, match='--overwrite'):
        run('index', tmp_path / 'a.rec')
    (tmp_path / 'a.idx').unlink()
    run('index', tmp_path / 'a.rec')
    assert (tmp_path / 'a.idx').read_text() == made
    run('index', tmp_path / 'a.rec', '--idx', tmp_path / 'b.idx')
    assert (tmp_path / 'b.idx').read_text() == made
    # All identity records of this one have one id.
    write_insightface(tmp_path / 'a.rec', [2, 1])
    numbered = [
        line.split('\t')[1]
        for line in (tmp_path / 'a.idx').read_text().splitlines()
    ]
    with pytest.raises(SystemExit, match=r'has the id 4 twice.*--keys number'):
        run('index', tmp_path / 'a.rec', '--overwrite')
    run('index', tmp_path / 'a.rec', '--overwrite', '--keys', 'number')
    assert (tmp_path / 'a.idx').read_text().splitlines() == [
        f'{number}\t{offset}' for number, offset in enumerate(numbered)
    ]


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (('pack', 'none', 'a.rec'), 'there is no folder none'),
        (('pack', 'empty', 'a.rec'), 'found no image in the folders'),
        (('pack', 'none.lst', 'a.rec'), 'there is no list'),
        (('pack', 'none.rec', 'a.rec'), 'there is no record file'),
        (('pack', 'faces', 'a.bin'), 'expected a file ending in .rec'),
        (('pack', 'faces', 'a.rec', '--shuffle', '1'), 'images by class'),
        (('unpack', 'none.rec', 'out'), 'there is no record file'),
        (('index', 'none.rec'), 'there is no record file'),
        (('check', 'none.rec'), 'there is no record file'),
    ],
)
def test_wrong_arguments(args, message, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(SystemExit, match=f'error: .*{message}'):
        run(*args)


@pytest.mark.parametrize(
    ('layout', 'labels', 'message'),
    [
        ('im2rec', [2**24 + 1], 'hold labels as float32'),
        ('insightface', [2**24], "too many for the layout 'insightface'"),
        ('mxnet', [1], "expected 'insightface' or 'im2rec'"),
    ],
)
def test_labels_that_do_not_fit(layout, labels, message, tmp_path):
    lst = tmp_path / 'a.lst'
    lst.write_text(''.join(f'0\t{label}\ta.png\n' for label in labels))
    with pytest.raises(ValueError, match=message):
        Packing(open_source(lst), tmp_path / 'a.rec', layout)


def test_record_source_with_damage(tmp_path):
    """Wrong labels and cut images alike are left out, or an error."""
    contents = [make_image(n) for n in range(4)]
    contents[2] = contents[2][:9]
    write_im2rec(tmp_path / 'a.rec', [1, 0.5, 0, 0], contents)
    with pytest.raises(RecordError, match=r'record 1 at byte .* whole number'):
        open_source(tmp_path / 'a.rec')
    source = open_source(tmp_path / 'a.rec', skip=True)
    damaged = pack(Packing(source, tmp_path / 'b.rec', skip=True))
    assert len(damaged) == 2
    assert all('a.rec/' in text for text in damaged)
    assert contents_of(tmp_path / 'b.rec') == [
        (0, contents[3]),
        (1, contents[0]),
    ]
