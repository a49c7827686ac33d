"""The real train.py, test.py and dist_train.sh on a tiny run."""

import importlib.util
import json
import pickle
import re
import sys
from argparse import Namespace

import pytest
import torch
from mmengine.config import Config

# Left to right, the 12 images as a sampler without shuffling sees them.
IMAGES = [f'{name}{i}' for name in ('dark', 'grey', 'light') for i in range(4)]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('toy run')


@pytest.fixture(scope='module')
def config(folder, toy_run):
    return toy_run(folder)


@pytest.fixture(scope='module')
def trained(folder, config, start, tools):
    """Two epochs by one process; --cfg-options contradict --work-dir."""
    options = ['--work-dir', 'not_here', '--no-validate']
    options += ['--cfg-options', 'work_dir=single']
    return start(
        [sys.executable, tools / 'train.py', config, *options], folder
    )


@pytest.fixture(scope='module')
def single_weights(trained, folder):
    """Loaded at once: --resume writes the same file again."""
    return load(folder / 'single' / 'rank0.pt')


def batches_of(work_dir, rank):
    return json.loads((work_dir / f'rank{rank}.json').read_text())


def images_of(work_dir, rank):
    return [x for _, names in batches_of(work_dir, rank) for x in names]


def load(path):
    return torch.load(path, weights_only=True)


def test_train_runs_and_cfg_options_come_last(trained, single_weights, folder):
    assert trained.returncode == 0, trained.stderr
    assert not (folder / 'not_here').exists()
    assert (folder / 'single' / 'epoch_2.pth').exists()
    assert 'Epoch(val)' not in trained.stdout
    assert images_of(folder / 'single', 0) == IMAGES * 2


def test_test_reports_the_accuracy_of_the_checkpoint(
    trained, folder, config, start, tools
):
    command = [sys.executable, tools / 'test.py', config]
    options = ['--work-dir', 'tested', '--out', 'pred.pkl']
    done = start([*command, 'single/epoch_2.pth', *options], folder)
    assert done.returncode == 0, done.stderr
    predictions = pickle.loads((folder / 'pred.pkl').read_bytes())
    # The predictions are images 0..11 in order, four of each class.
    labels = torch.tensor([int(p['pred_label']) for p in predictions])
    truth = torch.arange(3).repeat_interleave(4)
    accuracy = 100 * (labels == truth).float().mean()
    printed = re.findall(r'accuracy/top1: ([\d.]+)', done.stdout)
    assert float(printed[-1]) == pytest.approx(accuracy.item(), abs=1e-3)


def test_resume_goes_on_with_the_third_epoch(
    single_weights, folder, config, start, tools
):
    options = ['--work-dir', 'single', '--no-validate', '--resume']
    options += ['--cfg-options', 'train_cfg.max_epochs=3']
    done = start(
        [sys.executable, tools / 'train.py', config, *options], folder
    )
    assert done.returncode == 0, done.stderr
    # Epochs count from 0: only the third one was run.
    assert [epoch for epoch, _ in batches_of(folder / 'single', 0)] == [
        2,
        2,
        2,
    ]
    assert (folder / 'single' / 'epoch_3.pth').exists()


def test_two_processes_equal_one_with_the_double_batch(
    single_weights, folder, config, start, tools
):
    options = ['--work-dir', 'pair', '--no-validate']
    options += ['--cfg-options', 'train_dataloader.batch_size=2']
    done = start(
        ['bash', tools / 'dist_train.sh', config, 2, *options],
        folder,
        PORT='29617',
    )
    assert done.returncode == 0, done.stderr
    pair = folder / 'pair'
    for rank in range(2):
        assert images_of(pair, rank) == IMAGES[rank::2] * 2
    one, two = load(pair / 'rank0.pt'), load(pair / 'rank1.pt')
    assert one.keys() == two.keys() == single_weights.keys()
    for key, value in one.items():
        assert torch.equal(value, two[key])
        torch.testing.assert_close(value, single_weights[key])


def test_missing_libraries_are_one_error_on_a_rank(
    folder, config, start, tools
):
    options = ['--cfg-options', 'model.head.type=mmfoo.Head']
    options += ['default_hooks.logger.type=mmbar.Hook']
    done = start(
        ['bash', tools / 'dist_train.sh', config, 2, *options],
        folder,
        PORT='29618',
    )
    assert done.returncode != 0
    labelled = re.search(
        r'\[rank [01] of 2\] ImportError: (.*\n.*\n.*)\n', done.stderr
    )
    assert labelled[1].splitlines() == [
        f'{config} needs libraries that are not installed:',
        '  mmfoo, for mmfoo.Head (`model.head`). Run: pip install mmfoo',
        '  mmbar, for mmbar.Hook (`default_hooks.logger`). '
        'Run: pip install mmbar',
    ]


def test_config_that_does_not_exist(folder, start, tools):
    (folder / 'configs' / 'toys').mkdir(parents=True)
    (folder / 'configs' / 'toys' / 'toy_r50.py').write_text('')
    done = start(
        [sys.executable, tools / 'train.py', 'configs/toys/toy_r5O.py'], folder
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        'FileNotFoundError: configs/toys/toy_r5O.py does not exist, expected '
        'a config file; did you mean configs/toys/toy_r50.py?'
    )


@pytest.fixture
def train_tool(tools, monkeypatch):
    spec = importlib.util.spec_from_file_location('t', tools / 'train.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # The options set LOCAL_RANK; this takes it back afterwards.
    monkeypatch.setenv('LOCAL_RANK', '0')
    return module


def options_of(**changes):
    options = dict(
        config='configs/a/b.py',
        work_dir=None,
        resume=None,
        amp=False,
        auto_scale_lr=False,
        no_validate=False,
        no_pin_memory=False,
        no_persistent_workers=False,
        cfg_options=None,
        launcher='none',
        local_rank=0,
    )
    return Namespace(**{**options, **changes})


def test_work_dir_is_named_after_the_config(train_tool):
    cfg = Config(dict())
    train_tool.apply_options(cfg, options_of())
    assert cfg.work_dir == './work_dirs/b'
    assert 'resume' not in cfg


def test_resume_from_a_path(train_tool):
    cfg = Config(dict(work_dir='kept'))
    train_tool.apply_options(cfg, options_of(resume='a.pth'))
    assert (cfg.work_dir, cfg.resume, cfg.load_from) == ('kept', True, 'a.pth')


def test_amp_keeps_a_given_loss_scale(train_tool):
    cfg = Config(dict(optim_wrapper=dict(loss_scale=128.0)))
    train_tool.apply_options(cfg, options_of(amp=True))
    assert cfg.optim_wrapper == dict(type='AmpOptimWrapper', loss_scale=128.0)


def test_amp_refuses_to_replace_another_wrapper(train_tool):
    cfg = Config(dict(optim_wrapper=dict(type='mmfoo.MyWrapper')))
    with pytest.raises(ValueError, match='got MyWrapper, expected OptimWra'):
        train_tool.apply_options(cfg, options_of(amp=True))


def test_auto_scale_lr_needs_a_base_batch_size(train_tool):
    cfg = Config(dict(auto_scale_lr=dict(base_batch_size=512)))
    train_tool.apply_options(cfg, options_of(auto_scale_lr=True))
    assert cfg.auto_scale_lr.enable is True
    with pytest.raises(ValueError, match='base_batch_size'):
        train_tool.apply_options(Config(), options_of(auto_scale_lr=True))


def test_loader_options(train_tool):
    loader = dict(num_workers=2, pin_memory=True, persistent_workers=True)
    cfg = Config(dict(train_dataloader=loader, val_dataloader=None))
    flags = options_of(no_pin_memory=True, no_persistent_workers=True)
    train_tool.apply_options(cfg, flags)
    assert cfg.train_dataloader == dict(
        num_workers=2, pin_memory=False, persistent_workers=False
    )
