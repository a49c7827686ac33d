"""The grid, and cells of it trained for a few steps on a small set."""

import fcntl
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from PIL import Image

from mmdense.recognition.datasets.glyph_file import (
    read_glyph_file,
    write_glyph_file,
)
from mmdense.recognition.datasets.glyphs import VENDORED
from projects.sampling_study import grid, run
from projects.sampling_study.grid import Cell
from projects.sampling_study.small_images import SmallImages


@pytest.fixture(scope='module')
def data_file(tmp_path_factory):
    """30 identities to train on and 100 unseen ones of the set that ships."""
    glyphs = read_glyph_file(VENDORED)
    keep = np.concatenate(
        [
            np.flatnonzero(glyphs.split == 0)[:30],
            np.flatnonzero(glyphs.split == 1)[:100],
        ]
    )
    keep.sort()
    rows = np.isin(glyphs.identity, keep)
    small = replace(
        glyphs,
        images=glyphs.images[rows],
        identity=np.searchsorted(keep, glyphs.identity[rows]),
        face=glyphs.face[rows],
        codepoint=glyphs.codepoint[keep],
        split=glyphs.split[keep],
    )
    path = tmp_path_factory.mktemp('glyphs') / 'small.npz'
    write_glyph_file(path, small)
    return str(path)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # logs go to work_dirs


def test_the_grid_has_every_cell_once_and_a_name_for_each():
    cells = grid.all_cells([0, 1, 2])
    assert len(set(cells)) == len(cells) == 3 * (32 + 6 + 2 + 6)
    assert len({cell.name for cell in cells}) == len(cells)
    for seed in range(3):
        main = set(grid.main_cells(seed))
        assert len(main) == 4 * 4 * 2
        assert main <= set(cells)
    # What is done when time is up answers something.
    assert cells[:16] == grid.main_cells(0, ['cosface'])
    one = grid.all_cells([5])
    assert {cell.seed for cell in one} == {5}
    assert len(one) == 46


@pytest.mark.parametrize(
    ('noise', 'classes', 'samples'),
    [
        ('clean', 30, 390),
        ('conflict', 30 + 2 * 10, 390),
        ('flip', 30, 390),
        ('long_tail', 30, 6 * 13 + 24 * 3),
    ],
)
def test_a_config_has_what_its_cell_says(data_file, noise, classes, samples):
    cell = Cell(
        noise,
        rate=0.3,
        margin='arcface',
        sampler='independent',
        update='all',
        filter_threshold=0.4,
        seed=3,
    )
    cfg = run.build_config(cell, data_file)
    runner = Runner.from_cfg(cfg)
    head = runner.model.head
    assert head.num_classes == classes
    assert (head.sample_rate, head.sampler, head.seed) == (
        0.3,
        'independent',
        3,
    )
    assert head.filter_threshold == 0.4
    assert type(head.loss_module).__name__ == 'ArcFaceLoss'
    assert cfg.optim_wrapper.optimizer['update'] == 'all'
    assert cfg.train_cfg.max_iters == cfg.param_scheduler[-1].end == 1200
    assert runner.seed == 3
    loader = runner.build_dataloader(cfg.train_dataloader, seed=3)
    assert len(loader.dataset) == samples


def test_cells_of_a_seed_share_weights_data_order_and_noise(data_file):
    seen = []
    for rate in (1.0, 0.1):
        cfg = run.build_config(Cell('flip', rate, seed=2), data_file)
        runner = Runner.from_cfg(cfg)
        runner.model.init_weights()
        loader = runner.build_dataloader(
            cfg.train_dataloader, seed=runner.seed
        )
        batches = iter(loader)
        labels = [
            int(sample.gt_label)
            for _ in range(2)
            for sample in next(batches)['data_samples']
        ]
        seen.append(
            (
                runner.model.backbone.conv1.weight.detach().clone(),
                runner.model.head.centers.weight.detach().clone(),
                labels,
            )
        )
    assert torch.equal(seen[0][0], seen[1][0])
    assert torch.equal(seen[0][1], seen[1][1])
    assert seen[0][2] == seen[1][2]


def test_run_does_what_is_missing_and_only_that(
    data_file, tmp_path, monkeypatch, capsys
):
    cells = [
        Cell('conflict', 0.1, update='all', filter_threshold=0.4),
        Cell('long_tail', 0.01, 'arcface', sampler='independent'),
        Cell('flip'),
    ]
    monkeypatch.setattr(run, 'all_cells', lambda seeds: cells)
    args = ['--data-file', data_file, '--steps', '3', '--out']
    out = tmp_path / 'results'
    out.mkdir()
    # Another worker has the last one; one that died has left a lock.
    other = (out / f'{cells[2].name}.lock').open('w')
    fcntl.flock(other, fcntl.LOCK_EX)
    (out / f'{cells[0].name}.lock').touch()
    run.main([*args, str(out)])
    names = [cell.name for cell in cells[:2]]
    assert sorted(p.stem for p in out.glob('*.json')) == sorted(names)
    result = json.loads((out / f'{names[0]}.json').read_text())
    assert Cell(**result['cell']) == cells[0]
    assert (result['steps'], result['num_classes']) == (3, 50)
    assert result['data_file'] == 'small.npz'
    assert 0.3 < result['metrics']['accuracy'] < 1
    # int(0.1 * 50) classes are fewer than the batch has: positives alone.
    assert result['train']['positive_share'] == 1
    before = (out / f'{names[0]}.json').stat().st_mtime_ns

    other.close()
    capsys.readouterr()
    run.main([*args, str(out), '--list'])
    assert capsys.readouterr().out.split('\n')[:2] == [
        '2 of 3 cells are done',
        cells[2].name,
    ]
    run.main([*args, str(out)])
    assert len(list(out.glob('*.json'))) == 3
    assert not list(out.glob('*.lock'))
    assert (out / f'{names[0]}.json').stat().st_mtime_ns == before


def test_results_of_other_data_do_not_mix_with_the_committed_ones():
    with pytest.raises(SystemExit):
        run.main(['--steps', '3'])
    with pytest.raises(SystemExit):
        run.main(['--data-file', 'a.npz'])


def test_small_images_are_the_shrunk_ones(data_file):
    config = dict(
        type='mmdense.GlyphIdentities',
        data_file=data_file,
        split='train',
        pipeline=[dict(type='mmpretrain.PackInputs')],
    )
    whole = SmallImages(config, size=32)
    whole.full_init()
    assert len(whole) == 390
    batch = whole.__getitems__([5, 0, 389])
    assert batch['inputs'].shape == (3, 1, 32, 32)
    assert batch['inputs'].dtype == torch.uint8
    from mmpretrain.registry import DATASETS

    glyphs = DATASETS.build(config)
    for row, index in enumerate([5, 0, 389]):
        original = glyphs[index]
        image = Image.fromarray(original['inputs'][0].numpy())
        expected = np.array(image.resize((32, 32), Image.BILINEAR), int)
        got = batch['inputs'][row, 0].numpy().astype(int)
        assert abs(got - expected).max() <= 1  # Pillow rounds twice
        sample = batch['data_samples'][row]
        assert torch.equal(sample.gt_label, original['data_samples'].gt_label)
        assert sample.sample_idx == index

    padded = SmallImages(config, size=32, padding=2)
    padded.full_init()
    full = torch.nn.functional.pad(whole[7]['inputs'][0, 0], [2] * 4)
    crops = {
        bytes(full[y : y + 32, x : x + 32].numpy().tobytes())
        for y in range(5)
        for x in range(5)
    }
    drawn = {padded[7]['inputs'][0, 0].numpy().tobytes() for _ in range(200)}
    # Each of 25 is missed by 200 draws with probability 0.0003.
    assert drawn == crops
