"""EMAHook beside sharded tables: which centers an average is used with."""

import uuid

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdense.recognition.heads import PartialFCHead
from mmdense.registry import HOOKS, METRICS, MODELS
from tests.toy_training import CLASSES, ToyRecognizer, ToyVectors, config

_HOOKS = ['EMAHook', 'mmpretrain.EMAHook']


@MODELS.register_module(force=True)
class TopkRecognizer(ToyRecognizer):
    """Which finds the nearest classes, and has buffers."""

    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(6)
        self.head = PartialFCHead(
            CLASSES,
            4,
            dict(type='mmdense.CosFaceLoss', scale=16.0),
            0.3,
            topk=CLASSES,
            init_std=0.3,
        )

    def forward(self, inputs, label, mode='tensor'):
        feats = self.backbone(self.norm(inputs))
        if mode == 'loss':
            return self.head.loss_by_feat(feats, label)
        return self.head.predict(feats)


@METRICS.register_module(force=True)
class ScoresMetric(BaseMetric):
    """Keeps what was predicted last."""

    found = None

    def process(self, data_batch, data_samples):
        for sample in data_samples:
            scores = torch.zeros(CLASSES)
            scores[sample['topk_label']] = sample['topk_score']
            self.results.append(scores.numpy())

    def compute_metrics(self, results):
        type(self).found = np.stack(results)
        return dict(count=len(results))


def _state(runner):
    return {
        name: value.detach().clone()
        for name, value in (
            *runner.model.named_parameters(),
            *runner.model.named_buffers(),
        )
    }


@HOOKS.register_module(force=True)
class SeenHook(Hook):
    """Keeps what was trained, and what took its place in validation."""

    priority = 'LOWEST'

    def __init__(self):
        self.trained, self.validated, self.start = [], [], None

    def before_train(self, runner):
        self.start = _state(runner)

    def after_train_epoch(self, runner):
        self.trained.append(_state(runner))

    def before_val_epoch(self, runner):
        self.validated.append(_state(runner))

    before_test_epoch = before_val_epoch


def _data(shuffle):
    return dict(
        batch_size=4,
        num_workers=0,
        collate_fn=dict(type='default_collate'),
        dataset=dict(type='mmdense.ToyVectors'),
        sampler=dict(type='DefaultSampler', shuffle=shuffle, seed=3),
    )


def _runner(work_dir, epochs, hook, **kwargs):
    hook = dict(hook, momentum=0.2)
    return Runner.from_cfg(
        config(
            work_dir,
            epochs,
            experiment_name=uuid.uuid4().hex,
            model=dict(type='mmdense.TopkRecognizer'),
            train_cfg=dict(by_epoch=True, max_epochs=epochs, val_interval=1),
            custom_hooks=[hook, dict(type='mmdense.SeenHook')],
            val_dataloader=_data(False),
            val_cfg=dict(),
            val_evaluator=dict(type='mmdense.ScoresMetric'),
            test_dataloader=_data(False),
            test_cfg=dict(),
            test_evaluator=dict(type='mmdense.ScoresMetric'),
            **kwargs,
        )
    )


def _seen(runner):
    (seen,) = (h for h in runner.hooks if isinstance(h, SeenHook))
    return seen


def _scores(path, centers):
    """Cosines of the network of a `.pth`, in NumPy, with these centers."""
    state = torch.load(path, weights_only=True)['state_dict']
    state = {name: value.double().numpy() for name, value in state.items()}
    inputs = [ToyVectors()[i]['inputs'] for i in range(len(ToyVectors()))]
    x = torch.stack(inputs).double().numpy()
    x = (x - state['norm.running_mean']) / np.sqrt(
        state['norm.running_var'] + 1e-5
    )
    x = x * state['norm.weight'] + state['norm.bias']
    x = x @ state['backbone.weight'].T + state['backbone.bias']
    centers = centers.double().numpy()
    x, centers = (
        a / np.linalg.norm(a, axis=1, keepdims=True) for a in (x, centers)
    )
    return x @ centers.T


@pytest.mark.parametrize('update_buffers', [False, True])
@pytest.mark.parametrize('type_', _HOOKS)
def test_an_average_is_used_with_the_trained_centers(
    tmp_path, type_, update_buffers
):
    """While training, after a resume, and where a checkpoint is tested."""
    hook = dict(type=type_, update_buffers=update_buffers)
    name = 'head.centers.weight'
    for epochs, resume in ((2, False), (3, True)):
        runner = _runner(tmp_path, epochs, hook, resume=resume)
        runner.train()
        seen = _seen(runner)
        assert len(seen.trained) == len(seen.validated) == (1 if resume else 2)
        for trained, validated in zip(
            seen.trained, seen.validated, strict=True
        ):
            assert torch.equal(trained[name], validated[name])
            # And the network is an average.
            key = 'backbone.weight'
            assert not torch.equal(trained[key], validated[key])
        path = tmp_path / f'epoch_{epochs}.pth'
        expected = _scores(path, trained[name])
        np.testing.assert_allclose(ScoresMetric.found, expected, atol=1e-5)
        # Both again in place: the run goes on with what it has trained.
        assert torch.equal(trained[name], _state(runner)[name])

    ScoresMetric.found = None
    for call in ('test', 'val'):
        tester = _runner(tmp_path / call, 3, hook, load_from=str(path))
        getattr(tester, call)()
        (tested,) = _seen(tester).validated
        assert torch.equal(tested[name], trained[name])
        np.testing.assert_allclose(ScoresMetric.found, expected, atol=1e-5)


@pytest.mark.parametrize('type_', _HOOKS)
def test_centers_that_are_loaded_are_those_a_training_starts_from(
    tmp_path, type_
):
    """The hook of mmpretrain copies the average to the model."""
    hook = dict(type=type_)
    runner = _runner(tmp_path, 1, hook)
    runner.train()
    path = str(tmp_path / 'epoch_1.pth')
    tuned = _runner(tmp_path / 'tuned', 1, hook, load_from=path)
    tuned.train()
    name = 'head.centers.weight'
    assert torch.equal(_seen(tuned).start[name], _state(runner)[name])


@pytest.mark.parametrize('update_buffers', [False, True])
def test_there_is_one_table(tmp_path, update_buffers):
    hook = dict(type='EMAHook', update_buffers=update_buffers)
    runner = _runner(tmp_path, 1, hook)
    runner.train()
    (ema,) = (h for h in runner.hooks if hasattr(h, 'ema_model'))
    table = ema.ema_model.module.head.centers
    assert table.weight is runner.model.head.centers.weight
    assert table.weight.requires_grad
    assert not any('centers' in name for name in ema.ema_model.avg_parameters)
