"""The grid, and cells of it trained for a few steps."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner

from mmdense.densepose.structures import DensePoseInstances
from projects.dense_points_study import grid, run
from projects.dense_points_study.given_boxes import take_points
from projects.dense_points_study.grid import Cell
from tests.dense_rois import random_instances

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope='module')
def data(tmp_path_factory) -> str:
    """Twelve small images, two of them to validate on."""
    folder = tmp_path_factory.mktemp('bodies')
    subprocess.run(
        [
            sys.executable,
            ROOT / 'tools/dataset_converters/synthetic_bodies.py',
            *f'--out {folder} --num-images 12 --size 128'.split(),
            *'--max-people 2 --val-fraction 0.17 --workers 1'.split(),
        ],
        check=True,
        capture_output=True,
    )
    return str(folder)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # logs go to work_dirs


def test_the_grid_has_every_cell_once_and_a_name_for_each():
    cells = grid.all_cells([0, 1])
    assert len({cell.name for cell in cells}) == len(set(cells)) == len(cells)
    main = grid.main_cells(0)
    assert len(main) == 2 * 3 * 3 * 2
    assert cells[: len(main)] == main
    # What others are compared with is in the main grid.
    assert Cell() in main
    assert {cell.loss for cell in cells} == set(grid.LOSSES)
    assert {cell.balancer for cell in cells} == set(grid.BALANCERS)


def test_a_config_has_what_its_cell_says(data):
    cell = Cell('power', 0.03, 2, 0.2, 'dwa', seed=3)
    runner = Runner.from_cfg(run.build_config(cell, data, None, steps=80))
    losses = runner.model.roi_head.uv_head.losses
    assert losses.points.shape == 'power'
    assert losses.points.reduction == 'point'
    assert type(losses.balancer).__name__ == 'DWABalancer'
    assert losses.balancer.weights == [5, 1, 10, 10]
    cfg = runner.cfg
    assert cfg.optim_wrapper.optimizer.lr == 0.03
    assert cfg.train_dataloader.batch_size == 2
    assert cfg.train_dataloader.dataset.pipeline[-1].share == 0.2
    assert cfg.param_scheduler[-1].end == 80
    assert runner.seed == 3
    legacy = run.build_config(Cell('sum'), data, None)
    losses = Runner.from_cfg(legacy).model.roi_head.uv_head.losses
    assert losses.points.reduction == 'sum'
    assert losses.balancer.weights == [5, 1, 0.01, 0.01]


def test_boxes_are_given(data):
    """What is evaluated are the annotated boxes, as they are."""
    runner = Runner.from_cfg(run.build_config(Cell(), data, None))
    loader = runner.build_dataloader(runner.cfg.val_dataloader)
    batch = next(iter(loader))
    annotated = [
        sample.gt_instances.bboxes.tensor.clone()
        for sample in batch['data_samples']
    ]
    runner.model.eval()
    with torch.no_grad():
        results = runner.model.test_step(batch)
    for result, boxes in zip(results, annotated, strict=True):
        found = result.pred_instances
        assert torch.equal(found.bboxes, boxes)
        assert len(found.densepose) == len(boxes)
        assert (found.scores == 1).all()


def test_taken_points():
    dense = random_instances([10, 0, 3, 1], [True] * 4, 0)[1]
    assert take_points(dense, 1) is dense
    more = take_points(dense, 3)
    assert more.num_points.tolist() == [30, 0, 9, 3]
    assert torch.equal(more.xy, dense.xy.repeat_interleave(3, 0))
    fewer = take_points(dense, 0.2)
    assert fewer.num_points.tolist() == [2, 0, 1, 1]
    rows = {tuple(row) for row in _rows(dense)}
    assert rows.issuperset(map(tuple, _rows(fewer)))
    # All points have their turn.
    first = {
        tuple(row)
        for _ in range(100)
        for row in _rows(take_points(dense, 0.2)[0])
    }
    assert first == set(map(tuple, _rows(dense[0])))


def _rows(dense: DensePoseInstances) -> list:
    fields = (dense.instance[:, None], dense.xy, dense.part[:, None], dense.uv)
    return torch.cat([x.double() for x in fields], dim=1).tolist()


def test_run_does_what_is_missing(data, tmp_path, monkeypatch, capsys):
    cells = [Cell(images=2), Cell('sum', 1e4, 2, 5.0)]
    monkeypatch.setattr(run, 'all_cells', lambda seeds: cells)
    out = tmp_path / 'results'
    # Weights that are told apart from others.
    start = Runner.from_cfg(run.build_config(Cell(seed=9), data, None)).model
    torch.save(start.state_dict(), 'start.pth')
    args = f'--data {data} --start start.pth --steps 4 --out {out}'.split()
    run.main(args)
    good, bad = (
        json.loads((out / f'{cell.name}.json').read_text()) for cell in cells
    )
    assert Cell(**good['cell']) == cells[0]
    assert good['diverged_at'] is None
    assert 0 <= good['metrics']['gps_AP'] <= 100
    assert good['train']['grad_norm_u']['median'] > 0
    counts = [x['train']['uv_num_points']['max'] for x in (good, bad)]
    assert counts[1] > 3 * counts[0]
    assert good['num_images'] == 10
    assert 1 < bad['diverged_at'] <= 4
    assert bad['metrics'] == {}
    assert good['data'] == bad['data']
    assert good['start'] == bad['start'] != good['data']
    run.main([*args, '--list'])
    assert '2 of 2 cells are done' in capsys.readouterr().out
    run.main([*args, '--list', '--match', '^s.m-'])
    assert '1 of 1 cells are done' in capsys.readouterr().out


def test_cells_start_from_the_weights_and_the_seed(data):
    start = Runner.from_cfg(run.build_config(Cell(seed=9), data, None)).model
    torch.save(start.state_dict(), 'start.pth')
    models = []
    for loss in ('point', 'sum'):
        cfg = run.build_config(Cell(loss), data, 'start.pth')
        runner = Runner.from_cfg(cfg)
        runner.model.init_weights()
        models.append(runner.model.state_dict())
    expected = start.state_dict()
    for name, value in models[0].items():
        assert torch.equal(value, models[1][name]), name
        if '.predictors.' in name:
            assert not torch.equal(value, expected[name]), name
        elif '.bbox_head.' not in name:  # which no cell uses
            assert torch.equal(value, expected[name]), name


def test_missing_files(data, capsys):
    for args in (['--data', 'nowhere'], ['--data', data, '--start', 'no']):
        with pytest.raises(SystemExit):
            run.main(args)
        assert 'does not exist' in capsys.readouterr().err


def test_results_of_other_steps_do_not_mix_with_the_committed_ones():
    with pytest.raises(SystemExit):
        run.main(['--steps', '3'])
