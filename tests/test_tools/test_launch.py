"""What launch.py asks of torch, by launcher and configuration."""

import datetime

import pytest
import torch.distributed as dist
from mmengine.config import Config

from mmdense.apis import launch

SLURM = dict(
    SLURM_PROCID='5',
    SLURM_NTASKS='8',
    SLURM_LOCALID='1',
    MASTER_ADDR='10.0.0.7',
)
VARIABLES = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')


@pytest.fixture
def asked(monkeypatch):
    """What `init_process_group` was called with, on a machine without GPU."""
    calls = []
    monkeypatch.setattr(launch, 'get_device', lambda: 'cpu')
    monkeypatch.setattr(
        dist, 'init_process_group', lambda **kwargs: calls.append(kwargs)
    )
    for name in VARIABLES:
        # Set, then deleted: so that what launch.py sets is undone afterwards.
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)
    return calls


def set_all(monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_no_launcher_starts_nothing(asked):
    launch.init_distributed(Config(dict(launcher='none')))
    assert asked == []


def test_slurm_on_cpu(asked, monkeypatch):
    set_all(monkeypatch, SLURM)
    dist_cfg = dict(backend='nccl', timeout=90, port=29700)
    cfg = Config(dict(launcher='slurm', env_cfg=dict(dist_cfg=dist_cfg)))
    launch.init_distributed(cfg)
    timeout = datetime.timedelta(seconds=90)
    assert asked == [dict(backend='gloo', timeout=timeout)]
    environ = {name: launch.os.environ[name] for name in VARIABLES}
    assert environ == dict(
        RANK='5',
        WORLD_SIZE='8',
        LOCAL_RANK='1',
        MASTER_ADDR='10.0.0.7',
        MASTER_PORT='29700',
    )
    # With the Runner's `device_ids=[LOCAL_RANK]` DDP refuses a CPU model.
    assert cfg.model_wrapper_cfg.device_ids is None
    assert cfg.model_wrapper_cfg.broadcast_buffers is False


def test_a_wrapper_of_the_config_is_kept(asked, monkeypatch):
    set_all(monkeypatch, SLURM)
    wrapper = dict(type='MMDistributedDataParallel', static_graph=True)
    cfg = Config(dict(launcher='slurm', model_wrapper_cfg=wrapper))
    launch.init_distributed(cfg)
    assert cfg.model_wrapper_cfg == dict(**wrapper, device_ids=None)


def test_timeout_must_be_seconds(asked):
    dist_cfg = dict(timeout='1h')
    cfg = Config(dict(launcher='mpi', env_cfg=dict(dist_cfg=dist_cfg)))
    with pytest.raises(TypeError, match="number of seconds, got '1h'"):
        launch.init_distributed(cfg)


def test_launcher_without_its_variables(asked):
    with pytest.raises(RuntimeError, match='expects RANK, WORLD_SIZE, LOCAL'):
        launch.init_distributed(Config(dict(launcher='pytorch')))


def test_more_processes_than_gpus(monkeypatch):
    monkeypatch.setattr(launch.torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(launch.torch.cuda, 'device_count', lambda: 2)
    launch._check_enough_gpus(1)
    with pytest.raises(ValueError, match='local rank 2 on a machine with 2'):
        launch._check_enough_gpus(2)


def test_label_of_a_process():
    torchrun = dict(RANK='1', WORLD_SIZE='4', LOCAL_RANK='1')
    assert launch.process_label(torchrun) == 'rank 1 of 4'
    assert launch.process_label(SLURM) == 'rank 5 of 8'
    alone = dict(RANK='0', WORLD_SIZE='1', LOCAL_RANK='0')
    assert launch.process_label(alone) is None
    assert launch.process_label({}) is None
