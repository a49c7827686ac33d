"""The tool, and that the data set and the validator take what it writes."""

import importlib.util
import json
import multiprocessing
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / 'tools'
OPTIONS = ('--num-images', '6', '--size', '128', '--val-fraction', '0.34')


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    # Workers find what they call by the name of its module.
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def tool():
    yield load(TOOLS / 'dataset_converters/synthetic_bodies.py')
    del sys.modules['synthetic_bodies']


@pytest.fixture(scope='module')
def folder(tool, tmp_path_factory):
    folder = tmp_path_factory.mktemp('bodies') / 'set'
    assert tool.main(['--out', str(folder), *OPTIONS, '--workers', '1']) == 0
    return folder


def files_in(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


@pytest.mark.skipif(
    multiprocessing.get_start_method() != 'fork',
    reason='workers could not import the tool, which is no package',
)
def test_workers_and_interruptions_change_nothing(tool, folder, tmp_path):
    args = ['--out', str(tmp_path), *OPTIONS, '--workers', '2']
    assert tool.main([*args, '--num-images', '3']) == 0
    assert tool.main(args) == 0
    mine, theirs = files_in(tmp_path), files_in(folder)
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if mine[name] != theirs[name]] == []


def test_the_validator_finds_nothing(folder, capsys, monkeypatch):
    validator = load(TOOLS / 'misc/validate_densepose.py')
    for split in ('train', 'val'):
        monkeypatch.setattr(
            'sys.argv',
            [
                'validate',
                str(folder / f'annotations/{split}.json'),
                '--img-root',
                str(folder / split),
                '--surface',
                'body',
            ],
        )
        assert validator.main() == 0
        assert 'no problem' in capsys.readouterr().out


def test_the_data_set_reads_it(folder):
    pytest.importorskip('mmdet')
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    import mmdense  # noqa: F401
    from mmdense.registry import DATASETS

    init_default_scope('mmdet')
    cfg = Config.fromfile(ROOT / 'configs/_base_/datasets/synthetic_bodies.py')
    data = {**cfg.train_dataloader.dataset, 'data_root': str(folder)}
    # As they are in the file: neither larger nor mirrored.
    data['pipeline'] = [
        step
        for step in data['pipeline']
        if step['type'] not in ('RandomChoiceResize', 'mmdet.RandomFlip')
    ]
    data_set = DATASETS.build(data)
    images = {
        path.name: np.asarray(Image.open(path))
        for path in (folder / 'train').iterdir()
    }
    assert len(data_set) == len(images) == 4
    content = json.loads((folder / 'annotations/train.json').read_text())
    numbers = []
    for index in range(len(data_set)):
        packed = data_set[index]
        sample = packed['data_samples']
        image = images[Path(sample.img_path).name]
        assert packed['inputs'].shape[1:] == image.shape[:2]
        dense = sample.gt_instances.densepose
        numbers += dense.num_points.tolist()
        # Points are at the centers of pixels.
        off = dense.xy - dense.xy.floor() - 0.5
        assert off.abs().max() < 2e-3
    assert numbers == [len(item['dp_x']) for item in content['annotations']]


def test_a_sheet_alone(tool, tmp_path):
    sheet = tmp_path / 'a/sheet.png'
    args = ['--sheet', str(sheet), '--sheet-images', '2', '--size', '128']
    assert tool.main(args) == 0
    image = np.asarray(Image.open(sheet))
    assert image.std() > 10


@pytest.mark.parametrize(
    ('fraction', 'warns'), [('0.3', True), ('0', False), ('0.5', False)]
)
def test_no_image_for_validation(tool, tmp_path, capsys, fraction, warns):
    args = ['--num-images', '2', '--size', '64', '--workers', '1']
    args += ['--out', str(tmp_path), '--val-fraction', fraction]
    assert tool.main(args) == 0
    told = ' '.join(capsys.readouterr().err.split())
    assert ('warning: none of 2 images is for validation' in told) == warns
    assert ('expected --num-images 4 or more' in told) == warns
    content = json.loads((tmp_path / 'annotations/val.json').read_text())
    assert bool(content['images']) == (fraction == '0.5')


def test_photos_are_checked_before_anything_is_written(tool, tmp_path, capsys):
    photos, out = tmp_path / 'photos', tmp_path / 'out'
    photos.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    for name in ('a.jpg', 'b.png', 'c.jpg', 'd.png'):
        Image.fromarray(pixels).save(photos / name)
    for name in ('c.jpg', 'd.png'):
        whole = (photos / name).read_bytes()
        (photos / name).write_bytes(whole[: len(whole) // 2])
    args = ['--num-images', '2', '--size', '64', '--workers', '1']
    args += ['--out', str(out), '--backgrounds', str(photos)]
    assert tool.main(args) == 1
    told = ' '.join(capsys.readouterr().err.split())
    assert 'error: 2 of 4 photos cannot be used; delete or replace' in told
    assert 'c.jpg cannot be read' in told
    assert 'd.png cannot be read' in told
    assert not out.exists()
    # What it says can be done.
    for name in ('c.jpg', 'd.png'):
        (photos / name).unlink()
    assert tool.main(args) == 0
    assert len(files_in(out / 'train')) == 2


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (('--num-images', '0'), '--num-images must be within 1'),
        (('--max-people', '7'), '--max-people must be within 1 and 6'),
        (('--backgrounds', 'nowhere'), 'nowhere holds no images'),
        (('--bvh', 'nowhere.bvh'), 'nowhere.bvh does not exist'),
    ],
)
def test_errors_end_in_a_line(tool, tmp_path, capsys, args, message):
    assert tool.main(['--out', str(tmp_path / 'x'), *args]) == 1
    assert message in ' '.join(capsys.readouterr().err.split())
