"""The bar counts in a terminal and is silent elsewhere."""

import io
import uuid

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.runner import Runner
from rich.console import Console

import mmdense.engine.progress_bar as module
from mmdense.engine import ProgressBarHook
from mmdense.registry import METRICS
from tests.toy_training import config


@METRICS.register_module(force=True)
class CountSamples(BaseMetric):
    """A metric that only counts."""

    def process(self, data_batch, data_samples):
        self.results.extend(data_samples)

    def compute_metrics(self, results):
        return dict(count=len(results))


class Terminal:
    """Stands for standard error; records what each bar came to."""

    def __init__(self, monkeypatch, is_terminal):
        self.file = io.StringIO()
        self.bars = []
        monkeypatch.setattr(
            module,
            'Console',
            lambda stderr: Console(
                file=self.file, force_terminal=is_terminal, width=90
            ),
        )
        stop = ProgressBarHook._stop

        def record(hook):
            if hook._progress is not None:
                (task,) = hook._progress.tasks
                self.bars.append(
                    (task.description, int(task.completed), task.total)
                )
            stop(hook)

        monkeypatch.setattr(ProgressBarHook, '_stop', record)


@pytest.fixture
def terminal(monkeypatch):
    return Terminal(monkeypatch, True)


@pytest.fixture
def log_file(monkeypatch):
    return Terminal(monkeypatch, False)


def _run(tmp_path, **kwargs):
    loader = config(tmp_path, 1).train_dataloader
    evaluation = dict(loader, batch_size=3)
    evaluation['sampler'] = dict(type='DefaultSampler', shuffle=False)
    cfg = config(
        tmp_path,
        2,
        custom_hooks=[dict(type='mmdense.ProgressBarHook')],
        val_dataloader=evaluation,
        val_cfg=dict(),
        val_evaluator=dict(type='mmdense.CountSamples'),
        test_dataloader=evaluation,
        test_cfg=dict(),
        test_evaluator=dict(type='mmdense.CountSamples'),
        experiment_name=uuid.uuid4().hex,
        checkpoint=dict(interval=100, save_last=False),
    )
    cfg.merge_from_dict(kwargs)
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def test_every_step_of_every_stage_is_counted(tmp_path, terminal):
    runner = _run(tmp_path)
    runner.test()
    assert terminal.bars == [
        ('epoch 1/2', 6, 6),
        ('validation', 8, 8),
        ('epoch 2/2', 6, 6),
        ('validation', 8, 8),
        ('test', 8, 8),
    ]
    shown = terminal.file.getvalue()
    assert 'epoch 1/2' in shown
    assert 'loss' in shown
    # The cursor is shown again at the end.
    assert shown.rindex('\x1b[?25h') > shown.rindex('\x1b[?25l')


def test_training_by_iterations_is_one_bar(tmp_path, terminal):
    """Validations interrupt it; it goes on where it was."""
    _run(
        tmp_path,
        train_cfg=dict(
            _delete_=True, by_epoch=False, max_iters=10, val_interval=4
        ),
    )
    bars = [bar for bar in terminal.bars if bar[0] != 'validation']
    assert {total for _, _, total in bars} == {10}
    # After the last step comes one more validation.
    assert [done for _, done, _ in bars] == [4, 8, 10, 10]
    validations = [bar for bar in terminal.bars if bar[0] == 'validation']
    assert validations == [('validation', 8, 8)] * 3


def test_silent_where_there_is_no_terminal(tmp_path, log_file):
    _run(tmp_path)
    assert log_file.bars == []
    assert log_file.file.getvalue() == ''


class _Loss:
    def item(self):
        raise AssertionError('reading the loss waits for the device')

    __float__ = item


def test_the_loss_is_not_read_without_a_bar():
    hook = ProgressBarHook()
    for index in range(3):
        hook.after_train_iter(None, index, outputs=dict(loss=_Loss()))


def test_other_ranks_are_silent(monkeypatch, terminal):
    monkeypatch.setattr(module, 'is_main_process', lambda: False)
    hook = ProgressBarHook()
    hook._start('x', 3)
    hook.after_train_iter(None, 0, outputs=dict(loss=torch.ones(())))
    assert terminal.file.getvalue() == ''
