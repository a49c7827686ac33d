"""check_config on a good config and on broken ones."""

import importlib.util
import sys

import pytest
from mmengine.config import Config

from mmdense.apis.config_check.check import check_config, check_file
from mmdense.compat.missing import register_missing

# A package of somebody else's with registry nodes of its own.
REGISTRY = """
from mmengine.registry import DATASETS as D, HOOKS as H, MODELS as M
from mmengine.registry import TRANSFORMS as T, Registry

places = dict(scope='toybox', locations=['toybox.parts'])
DATASETS = Registry('dataset', parent=D, **places)
HOOKS = Registry('hook', parent=H, **places)
MODELS = Registry('model', parent=M, **places)
TRANSFORMS = Registry('transform', parent=T, **places)
"""
PARTS = """
from mmengine.dataset import BaseDataset
from mmengine.model import BaseModel

from .registry import DATASETS, MODELS, TRANSFORMS


@MODELS.register_module()
class BoxLoss:
    def __init__(self, margin=0.5, scale=64.0):
        pass


@MODELS.register_module()
class BoxHead:
    def __init__(self, num_classes, loss=None):
        pass


@MODELS.register_module()
class BoxModel(BaseModel):
    def __init__(self, head, **kwargs):
        super().__init__(**kwargs)


@DATASETS.register_module()
class BoxData(BaseDataset):
    pass


@TRANSFORMS.register_module()
class BoxCrop:
    def __init__(self, size, pad=0):
        pass
"""


@pytest.fixture(scope='module', autouse=True)
def toybox(tmp_path_factory):
    folder = tmp_path_factory.mktemp('site')
    (folder / 'toybox').mkdir()
    (folder / 'toybox' / '__init__.py').write_text('')
    (folder / 'toybox' / 'registry.py').write_text(REGISTRY)
    (folder / 'toybox' / 'parts.py').write_text(PARTS)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    yield
    sys.path.remove(str(folder))


def good_config():
    """A config without a problem, with one of each kind of component."""
    pipeline = [dict(type='toybox.BoxCrop', size=8)]
    return dict(
        default_scope='mmengine',
        model=dict(
            type='toybox.BoxModel',
            data_preprocessor=dict(type='BaseDataPreprocessor'),
            head=dict(
                type='toybox.BoxHead',
                num_classes=3,
                loss=dict(type='toybox.BoxLoss', margin=0.3),
            ),
        ),
        train_dataloader=dict(
            batch_size=2,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='default_collate'),
            dataset=dict(
                type='RepeatDataset',
                times=2,
                dataset=dict(
                    type='toybox.BoxData',
                    data_root='nowhere',
                    pipeline=pipeline,
                ),
            ),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=1, val_interval=1),
        optim_wrapper=dict(
            type='AmpOptimWrapper',
            optimizer=dict(type='SGD', lr=0.1),
            clip_grad=dict(max_norm=1.0),
            paramwise_cfg=dict(norm_decay_mult=0.0),
        ),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=9),
            dict(type='CosineAnnealingLR', T_max=9, eta_min=0.0),
        ],
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1)),
        custom_hooks=[dict(type='EMAHook', momentum=1e-3, priority=49)],
        val_evaluator=dict(type='DumpResults', out_file_path='a.pkl'),
        visualizer=dict(
            type='Visualizer', vis_backends=[dict(type='LocalVisBackend')]
        ),
        log_processor=dict(window_size=10),
    )


def problems_of(cfg, **kwargs):
    found = check_config(Config(cfg), 'c.py', **kwargs)
    return [str(problem) for problem in found]


def test_a_good_config_has_no_problem():
    assert problems_of(good_config()) == []


def broken(path, value):
    """The good config with `value` at `path`; a value of None deletes."""
    cfg = good_config()
    *first, last = path
    inner = cfg
    for key in first:
        inner = inner[key]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return cfg


DATA = ('train_dataloader', 'dataset', 'dataset')


@pytest.mark.parametrize(
    ('path', 'value', 'message'),
    [
        (
            ('model', 'head', 'type'),
            'toybox.BoxHaed',
            "model.head.type: toybox.BoxHaed: not in registry 'model'; "
            'did you mean toybox.BoxHead?',
        ),
        (
            ('model', 'head', 'type'),
            'BoxHead',
            'model.head.type: `BoxHead` needs the prefix: toybox.BoxHead',
        ),
        (
            ('model', 'head', 'loss', 'tpye'),
            'x',
            'model.head.loss.tpye: BoxLoss takes no `tpye`; '
            'did you mean `type`?',
        ),
        (
            ('model', 'init_cgf'),
            {},
            'model.init_cgf: BoxModel takes no `init_cgf`; '
            'did you mean `init_cfg`?',
        ),
        (
            ('model', 'head', 'loss', 'type'),
            'mmfoo.Loss',
            'model.head.loss.type: mmfoo.Loss needs mmfoo, which is not '
            'installed. Run: pip install mmfoo',
        ),
        (
            ('default_scope',),
            'mmbar',
            'default_scope: mmbar is not installed. Run: pip install mmbar',
        ),
        (
            (*DATA, 'pipeline', 0, 'size'),
            None,
            'train_dataloader.dataset.dataset.pipeline[0]: '
            'BoxCrop needs `size`',
        ),
        (
            (*DATA, 'anno_file'),
            'x.json',
            'train_dataloader.dataset.dataset.anno_file: BoxData takes no '
            '`anno_file`; did you mean `ann_file`?',
        ),
        (
            (*DATA, 'type'),
            'toybox.BoxHead',
            'train_dataloader.dataset.dataset.type: toybox.BoxHead: is in '
            "registry 'model', but this place takes registry 'dataset'",
        ),
        (
            ('train_dataloader', 'bach_size'),
            4,
            'train_dataloader.bach_size: DataLoader takes no `bach_size`; '
            'did you mean `batch_size`?',
        ),
        (
            ('train_cfg', 'max_epochs'),
            None,
            'train_cfg: EpochBasedTrainLoop needs `max_epochs`',
        ),
        (
            ('optim_wrapper', 'optimizer', 'type'),
            'SDG',
            "optim_wrapper.optimizer.type: SDG: not in registry 'optimizer'",
        ),
        (
            ('optim_wrapper', 'constructor'),
            'DefaultOptimWrapperConstruct',
            'optim_wrapper.constructor: DefaultOptimWrapperConstruct: not in '
            "registry 'optimizer wrapper constructor'; did you mean "
            'DefaultOptimWrapperConstructor?',
        ),
        (
            ('param_scheduler', 0, 'start_facter'),
            0.1,
            'param_scheduler[0].start_facter: LinearLR takes no '
            '`start_facter`; did you mean `start_factor`?',
        ),
        (
            ('default_hooks', 'checkpoint', 'intervall'),
            1,
            # It keeps its **kwargs to pass them on when it saves.
            'default_hooks.checkpoint.intervall: CheckpointHook has no '
            'argument `intervall` by name; did you mean `interval`?',
        ),
        (
            ('val_evaluator', 'out_file_path'),
            None,
            'val_evaluator: DumpResults needs `out_file_path`',
        ),
        (
            ('log_processor', 'window'),
            9,
            'log_processor.window: LogProcessor takes no `window`; '
            'did you mean `window_size`?',
        ),
        (
            ('runner_type',),
            'FlexRunner',
            "runner_type: FlexRunner: not in registry 'runner'; "
            'did you mean FlexibleRunner?',
        ),
    ],
)
def test_one_mistake_is_one_message(path, value, message):
    assert problems_of(broken(path, value)) == [f'c.py: {message}']


def test_a_misspelt_type_is_found():
    cfg = broken(('model', 'head', 'loss', 'type'), None)
    cfg['model']['head']['loss']['tpye'] = 'toybox.BoxLoss'
    assert problems_of(cfg) == [
        'c.py: model.head.loss.tpye: unknown key; did you mean `type`?'
    ]


def test_all_mistakes_are_reported_at_once():
    cfg = broken(('model', 'head', 'type'), 'toybox.BoxHaed')
    cfg['optim_wrapper']['optimizer']['type'] = 'Adamm'
    cfg['default_hooks']['logger'] = dict(type='LoggerHook', itnerval=1)
    paths = [p.path for p in check_config(Config(cfg), 'c.py')]
    assert paths == [
        'model.head.type',
        'optim_wrapper.optimizer.type',
        'default_hooks.logger.itnerval',
    ]


def test_missing_data_is_a_warning_and_only_on_request(tmp_path):
    cfg = good_config()
    data = cfg['train_dataloader']['dataset']['dataset']
    data.update(
        data_root=str(tmp_path), ann_file='a.json', data_prefix=dict(img='i')
    )
    (tmp_path / 'i').mkdir()
    assert problems_of(cfg) == []
    (warning,) = check_config(Config(cfg), 'c.py', check_data=True)
    assert warning.is_warning
    assert str(warning) == (
        'c.py: train_dataloader.dataset.dataset.ann_file: '
        f'{tmp_path / "a.json"} does not exist'
    )


def test_pure_python_configs(tmp_path):
    good = tmp_path / 'good.py'
    good.write_text(
        'from toybox.parts import BoxHead, BoxLoss\n'
        'model = dict(type=BoxHead, num_classes=3,'
        ' loss=dict(type=BoxLoss, sacle=1))\n'
    )
    bad = tmp_path / 'bad.py'
    bad.write_text(
        'from toybox.parts import BoxHat\nmodel = dict(type=BoxHat)\n'
    )
    (problem,) = check_file(str(good))
    assert (problem.path, problem.message) == (
        'model.loss.sacle',
        'BoxLoss takes no `sacle`; did you mean `scale`?',
    )
    (problem,) = check_file(str(bad))
    assert problem.path == 'model.type'
    assert 'Failed to import BoxHat from toybox.parts' in problem.message


def test_scope_of_an_inherited_part():
    cfg = broken(('model', 'head', 'type'), 'BoxHead')
    cfg['model']['head']['_scope_'] = 'toybox'
    cfg['model']['head']['loss']['type'] = 'BoxLoss'
    assert problems_of(cfg) == []


@pytest.fixture
def run_tool(tools, monkeypatch, capsys):
    """`run_tool(config, ...)` returns the exit code and what is printed."""
    path = tools / 'check_config.py'
    spec = importlib.util.spec_from_file_location('check_config', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(*configs):
        argv = ['check_config.py', *map(str, configs)]
        monkeypatch.setattr(sys, 'argv', argv)
        return module.main(), capsys.readouterr().out.splitlines()

    return run


def test_the_tool_ends_with_1_if_there_is_a_problem(tmp_path, run_tool):
    good, bad = tmp_path / 'good.py', tmp_path / 'bad.py'
    good.write_text('train_cfg = dict(by_epoch=True, max_epochs=1)\n')
    bad.write_text('train_cfg = dict(by_epoch=True, max_epoch=1)\n')
    code, lines = run_tool(good)
    assert (code, lines) == (0, ['1 config checked: 0 problems, 0 warnings'])
    code, lines = run_tool(good, bad, tmp_path / 'none.py')
    assert code == 1
    assert lines == [
        f'error: {bad}: train_cfg.max_epoch: EpochBasedTrainLoop takes no '
        '`max_epoch`; did you mean `max_epochs`?',
        f'error: {bad}: train_cfg: EpochBasedTrainLoop needs `max_epochs`',
        f'error: {tmp_path / "none.py"}: cannot be read: FileNotFoundError: '
        'does not exist, expected a config file',
        '3 configs checked: 3 problems, 0 warnings',
    ]


def test_a_placeholder_says_what_it_needs():
    registry = importlib.import_module('toybox.registry')
    register_missing(registry.MODELS, 'mmpretrain', ['BoxNet'])
    (problem,) = check_config(
        Config(broken(('model', 'head', 'type'), 'toybox.BoxNet')), 'c.py'
    )
    assert problem.path == 'model.head.type'
    assert problem.message.startswith(
        'toybox.BoxNet needs mmpretrain, which is not installed. Run: pip'
    )
