"""check_config on configs with sharded class centers."""

from mmengine.config import Config

from mmdense.apis.config_check import check_config
from mmdense.distributed.checkpoint import ShardedCheckpointHook
from mmdense.recognition.heads import PartialFCHead
from mmdense.registry import HOOKS, MODELS

_HOOK_LINE = (
    'c.py: default_hooks.checkpoint: {} would not save the class centers of '
    "model.head; set dict(type='mmdense.ShardedCheckpointHook', ...)"
)
_CONSTRUCTOR_LINE = (
    'c.py: optim_wrapper.constructor: {}, but model.head needs one that '
    'clips and scales class centers alike on all ranks; set '
    "'mmdense.ShardedOptimWrapperConstructor'"
)


def partial_fc_config():
    """A sharded head and what training it needs."""
    return dict(
        default_scope='mmengine',
        model=dict(
            type='mmpretrain.ImageClassifier',
            backbone=dict(type='mmpretrain.ResNet', depth=18),
            head=dict(
                type='mmdense.PartialFCHead',
                num_classes=3,
                in_channels=4,
                loss=dict(type='mmdense.CosFaceLoss'),
            ),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(
            type='OptimWrapper',
            constructor='mmdense.ShardedOptimWrapperConstructor',
            optimizer=dict(type='SGD', lr=0.1),
        ),
        default_hooks=dict(
            checkpoint=dict(type='mmdense.ShardedCheckpointHook', interval=1)
        ),
    )


def problems_of(cfg):
    return [str(problem) for problem in check_config(Config(cfg), 'c.py')]


def test_class_centers_that_would_not_be_saved():
    cfg = partial_fc_config()
    assert problems_of(cfg) == []
    cfg['default_hooks']['checkpoint'] = dict(type='CheckpointHook')
    assert problems_of(cfg) == [_HOOK_LINE.format('CheckpointHook')]
    implicit = _HOOK_LINE.format(
        "mmengine's CheckpointHook, as none is given,"
    )
    del cfg['default_hooks']['checkpoint']
    assert problems_of(cfg) == [implicit]
    del cfg['default_hooks']
    assert problems_of(cfg) == [implicit]
    # Without any, as in a benchmark, nothing is to be saved.
    cfg['default_hooks'] = dict(checkpoint=None)
    assert problems_of(cfg) == []


def test_an_optimizer_that_does_not_know_of_class_centers():
    cfg = partial_fc_config()
    del cfg['optim_wrapper']['constructor']
    line = _CONSTRUCTOR_LINE.format('no constructor is given')
    assert problems_of(cfg) == [line]
    del cfg['optim_wrapper']['type']
    assert problems_of(cfg) == [line]
    name = 'DefaultOptimWrapperConstructor'
    cfg['optim_wrapper']['constructor'] = name
    line = _CONSTRUCTOR_LINE.format(f'{name} is given')
    assert problems_of(cfg) == [line]
    # A mistake in its name is one message.
    cfg['optim_wrapper']['constructor'] = 'mmdense.ShardedConstructor'
    (problem,) = problems_of(cfg)
    assert 'not in registry' in problem


def test_a_config_that_does_not_train_saves_no_class_centers():
    cfg = partial_fc_config()
    del cfg['train_cfg'], cfg['default_hooks'], cfg['optim_wrapper']
    assert problems_of(cfg) == []


def test_derived_classes_are_as_good():
    HOOKS.register_module(
        module=type('OwnHook', (ShardedCheckpointHook,), {}), force=True
    )
    MODELS.register_module(
        module=type('OwnHead', (PartialFCHead,), {}), force=True
    )
    cfg = partial_fc_config()
    cfg['model']['head']['type'] = 'mmdense.OwnHead'
    cfg['default_hooks']['checkpoint']['type'] = 'mmdense.OwnHook'
    assert problems_of(cfg) == []
    cfg['default_hooks']['checkpoint']['type'] = 'CheckpointHook'
    assert problems_of(cfg) == [_HOOK_LINE.format('CheckpointHook')]
