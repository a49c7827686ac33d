"""`load_from` with other classes: real runs, whose centers are compared."""

import uuid

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from mmdense.distributed import fine_tuning
from mmdense.distributed.sharding import draw_rows
from mmdense.registry import DATASETS, HOOKS, METRICS
from tests.toy_training import CLASSES, config, final_state, train

_MAP = [3, -1, 22, 0, 0, -1, 11, 7]


@HOOKS.register_module(force=True)
class CentersAtStartHook(Hook):
    """Keeps what training starts from."""

    found = None

    def before_train(self, runner):
        model = getattr(runner.model, 'module', runner.model)
        weight = model.head.centers.weight
        type(self).found = weight.detach().clone().numpy()


@DATASETS.register_module(force=True)
class SomeClasses(torch.utils.data.Dataset):
    """With labels of as many classes as asked for."""

    def __init__(self, num_classes):
        self.num_classes = num_classes

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return dict(
            inputs=torch.ones(6) * index,
            label=torch.tensor(index % self.num_classes),
        )


@METRICS.register_module(force=True)
class CountMetric(BaseMetric):
    """Counts batches."""

    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        return dict(count=len(results))


def _train(work_dir, epochs=1, **kwargs):
    kwargs.setdefault(
        'custom_hooks', [dict(type='mmdense.CentersAtStartHook')]
    )
    return train(work_dir, epochs, uuid.uuid4().hex, **kwargs)


def _fine_tune(folder, class_map, num_classes, **kwargs):
    """The centers and the network that a run starts from."""
    runner = _train(
        folder / 'tuned',
        load_from=str(folder / 'epoch_1.pth'),
        model=dict(type='mmdense.ToyRecognizer', num_classes=num_classes),
        checkpoint=dict(class_map=class_map),
        train_dataloader=_data(min(num_classes, CLASSES)),
        **kwargs,
    )
    return CentersAtStartHook.found, runner


def _data(num_classes):
    return dict(
        batch_size=4,
        num_workers=0,
        collate_fn=dict(type='default_collate'),
        dataset=dict(type='mmdense.SomeClasses', num_classes=num_classes),
        sampler=dict(type='DefaultSampler', shuffle=True, seed=3),
    )


def _expected(old, class_map, num_classes):
    rows = draw_rows(0, num_classes, 4, 0.3, 0).numpy()
    for new, row in enumerate(class_map):
        if row >= 0:
            rows[new] = old[row]
    return rows


@pytest.mark.parametrize('update', ['rows', 'all'])
@pytest.mark.parametrize('block', [1, 3, 65536])
def test_rows_are_those_of_the_map(tmp_path, monkeypatch, block, update):
    monkeypatch.setattr(fine_tuning, '_BLOCK', block)
    runner = _train(tmp_path)
    old = final_state(runner)['head.centers.weight']
    found, _ = _fine_tune(tmp_path, _MAP, 8, optimizer=dict(update=update))
    assert np.array_equal(found, _expected(old, _MAP, 8))


def test_the_same_classes_need_no_map(tmp_path):
    old = final_state(_train(tmp_path))['head.centers.weight']
    found, _ = _fine_tune(tmp_path, 'auto', CLASSES)
    assert np.array_equal(found, old)


def test_the_counts_are_told(tmp_path, monkeypatch):
    _train(tmp_path)
    lines = []
    monkeypatch.setattr(
        MMLogger, 'info', lambda self, text, *_: lines.append(str(text))
    )
    _fine_tune(tmp_path, _MAP, 8)
    (line,) = [line for line in lines if 'checkpoint unused' in line]
    # 0 is taken twice: 6 rows from 5 of the 23.
    assert '6 classes loaded' in line
    assert '2 new' in line
    assert '18 of the checkpoint unused' in line


def test_new_centers_on_request_and_without_shards(tmp_path):
    _train(tmp_path)
    fresh = draw_rows(0, CLASSES, 4, 0.3, 0).numpy()
    found, _ = _fine_tune(tmp_path, 'none', CLASSES)
    assert np.array_equal(found, fresh)
    (tmp_path / 'epoch_1.shards').rename(tmp_path / 'gone')
    found, _ = _fine_tune(tmp_path, 'auto', CLASSES)
    assert np.array_equal(found, fresh)
    with pytest.raises(FileNotFoundError, match=r'epoch_1\.shards'):
        _fine_tune(tmp_path, 'index', CLASSES)


def test_errors_name_the_remedy(tmp_path):
    _train(tmp_path)
    with pytest.raises(ValueError, match='has 23 classes, the model 8'):
        _fine_tune(tmp_path, 'auto', 8)
    path = tmp_path / 'epoch_1.pth'
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint['meta']['shards']
    torch.save(checkpoint, path)
    with pytest.raises(ValueError, match='has no class centers'):
        _fine_tune(tmp_path, 'index', 8)


def _train_rank(folder, class_map=None, load_from=None):
    kwargs = {}
    if load_from:
        kwargs.update(
            load_from=load_from,
            model=dict(type='mmdense.ToyRecognizer', num_classes=8),
            checkpoint=dict(class_map=class_map),
            train_dataloader=_data(8),
        )
    runner = _train(
        folder,
        launcher='pytorch',
        model_wrapper_cfg=dict(type='mmdense.ShardedDistributedDataParallel'),
        **kwargs,
    )
    table = runner.model.module.head.centers
    weight = final_state(runner)['head.centers.weight']
    return weight, CentersAtStartHook.found, table.new_rows


@pytest.mark.parametrize(('writers', 'readers'), [(1, 2), (2, 3), (3, 1)])
def test_any_number_of_ranks_loads(ranks, tmp_path, writers, readers):
    saved = ranks(writers)(_train_rank, str(tmp_path / 'a'))
    old = np.concatenate([weight for weight, _, _ in saved])
    path = str(tmp_path / 'a' / 'epoch_1.pth')
    parts = ranks(readers)(_train_rank, str(tmp_path / 'b'), _MAP, path)
    found = np.concatenate([start for _, start, _ in parts])
    assert np.array_equal(found, _expected(old, _MAP, 8))
    # And each rank knows which of its rows are new.
    assert sum(len(new) for _, _, new in parts) == 2


def test_all_ranks_raise(ranks, tmp_path):
    ranks(2)(_train_rank, str(tmp_path / 'a'))
    path = str(tmp_path / 'a' / 'epoch_1.pth')
    outcomes = ranks(2).outcomes(
        _train_rank, str(tmp_path / 'b'), [99] * 8, path
    )
    for outcome in outcomes:
        assert isinstance(outcome, ValueError)
        assert 'old class 99' in str(outcome)


def _test(folder, num_classes, **kwargs):
    """What `tools/test.py` does."""
    cfg = config(
        folder / 'test', 1, experiment_name=uuid.uuid4().hex, **kwargs
    )
    cfg.model.num_classes = num_classes
    cfg.test_dataloader = _data(num_classes)
    cfg.test_evaluator = dict(type='mmdense.CountMetric')
    cfg.test_cfg = dict()
    cfg.load_from = str(folder / 'epoch_1.pth')
    runner = Runner.from_cfg(cfg)
    runner.test()
    assert isinstance(runner._train_dataloader, dict), 'it was not built'
    return runner.model.head.centers.weight.detach().numpy()


def test_testing_has_the_centers_where_they_fit(tmp_path):
    """So that `topk` finds the nearest classes."""
    old = final_state(_train(tmp_path))['head.centers.weight']
    assert np.array_equal(_test(tmp_path, CLASSES), old)
    fresh = draw_rows(0, 8, 4, 0.3, 0).numpy()
    assert np.array_equal(_test(tmp_path, 8), fresh)


@pytest.mark.parametrize(
    'class_map', [_MAP, [-1] * CLASSES, 'name', 'index', 'none'], ids=str
)
def test_testing_takes_every_class_as_it_is(tmp_path, class_map):
    """The map is of the training that began from another checkpoint."""
    old = final_state(_train(tmp_path))['head.centers.weight']
    found = _test(tmp_path, CLASSES, checkpoint=dict(class_map=class_map))
    assert np.array_equal(found, old)


def test_validation_alone_saves_nothing(tmp_path):
    """Not even where a training would keep the best."""
    _train(tmp_path)
    cfg = config(
        tmp_path / 'val',
        1,
        experiment_name=uuid.uuid4().hex,
        checkpoint=dict(save_best='count', rule='greater'),
    )
    cfg.val_dataloader = _data(CLASSES)
    cfg.val_evaluator = dict(type='mmdense.CountMetric')
    cfg.val_cfg = dict()
    cfg.load_from = str(tmp_path / 'epoch_1.pth')
    assert Runner.from_cfg(cfg).val() == dict(count=2)
    assert not list((tmp_path / 'val').glob('*.pth'))
