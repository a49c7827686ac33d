"""Start a run: processes, devices, Runner, and how it fails."""

import datetime
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import init_dist
from mmengine.registry import MODEL_WRAPPERS, RUNNERS, init_default_scope
from mmengine.runner import Runner
from torch.distributed.elastic.multiprocessing.errors import record
from torch.nn.parallel import DistributedDataParallel

# What each launcher calls (rank, world size, local rank).
_RANK_VARIABLES = {
    'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    'mpi': (
        'OMPI_COMM_WORLD_RANK',
        'OMPI_COMM_WORLD_SIZE',
        'OMPI_COMM_WORLD_LOCAL_RANK',
    ),
}


def init_distributed(cfg: Config) -> None:
    """Start the process group that `cfg.launcher` and `cfg.env_cfg` ask for.

    mmengine starts it only with a GPU per process. Here gloo is used without
    CUDA, whatever backend is configured, and with CUDA if it is configured;
    the processes may then share a GPU. The Runner uses the group it finds.

    Args:
        cfg: The config; `launcher='none'` starts nothing. `env_cfg.dist_cfg`
            has `backend`, `timeout` in seconds, and what
            `init_process_group` takes.

    Raises:
        RuntimeError: The variables that the launcher sets are missing.
        TypeError: `timeout` is not a number.
        ValueError: There are more processes than GPUs.
    """
    launcher = cfg.get('launcher', 'none')
    if launcher == 'none':
        return
    dist_cfg = dict((cfg.get('env_cfg') or {}).get('dist_cfg') or {})
    timeout = dist_cfg.get('timeout')
    if timeout is not None and not isinstance(timeout, int | float):
        raise TypeError(
            'env_cfg.dist_cfg.timeout must be a number of seconds, '
            f'got {timeout!r}'
        )
    local_rank = _export_ranks(launcher)
    on_cpu = get_device() == 'cpu'
    if not on_cpu and dist_cfg.get('backend', 'nccl') != 'gloo':
        _check_enough_gpus(local_rank)
        init_dist(launcher, **dist_cfg)
        return
    _export_address(launcher, dist_cfg.pop('port', None))
    if not on_cpu:
        torch.cuda.set_device(local_rank % torch.cuda.device_count())
    if timeout is not None:
        dist_cfg['timeout'] = datetime.timedelta(seconds=timeout)
    dist_cfg.pop('init_backend', None)
    dist_cfg['backend'] = 'gloo'
    dist.init_process_group(**dist_cfg)
    _set_device_ids(cfg, None if on_cpu else [torch.cuda.current_device()])


def _export_ranks(launcher: str) -> int:
    """Set the variables that torch reads; return the local rank."""
    names = _RANK_VARIABLES[launcher]
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise RuntimeError(
            f'--launcher {launcher} expects {", ".join(missing)} in the '
            'environment. Start with tools/dist_*.sh (torchrun), '
            'tools/slurm_*.sh or mpirun; a single process needs no --launcher'
        )
    for target, name in zip(_RANK_VARIABLES['pytorch'], names, strict=True):
        os.environ[target] = os.environ[name]
    return int(os.environ['LOCAL_RANK'])


def _export_address(launcher: str, port: int | None) -> None:
    if port is not None:
        os.environ['MASTER_PORT'] = str(port)
    os.environ.setdefault('MASTER_PORT', '29500')
    if 'MASTER_ADDR' in os.environ:
        return
    if launcher != 'slurm':
        raise RuntimeError(
            f'--launcher {launcher} expects MASTER_ADDR in the environment: '
            'the address of the machine of rank 0'
        )
    nodes = os.environ['SLURM_NODELIST']
    hosts = subprocess.run(
        ['scontrol', 'show', 'hostnames', nodes],
        check=True,
        capture_output=True,
        text=True,
    )
    os.environ['MASTER_ADDR'] = hosts.stdout.split()[0]


def _check_enough_gpus(local_rank: int) -> None:
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else None
    if gpus is not None and local_rank >= gpus:
        raise ValueError(
            f'got local rank {local_rank} on a machine with {gpus} visible '
            'GPU(s), expected one process per GPU. Start fewer processes, or '
            "share GPUs with env_cfg.dist_cfg.backend='gloo'"
        )


def _set_device_ids(cfg: Config, device_ids: list[int] | None) -> None:
    """Say which device DDP is on; the Runner would say `[LOCAL_RANK]`."""
    wrapper = cfg.get('model_wrapper_cfg')
    if wrapper is None:
        # What the Runner uses without a `model_wrapper_cfg`.
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel',
            broadcast_buffers=False,
            find_unused_parameters=cfg.get('find_unused_parameters', False),
            device_ids=device_ids,
        )
        return
    type_ = wrapper.get('type', 'MMDistributedDataParallel')
    if isinstance(type_, str):
        type_ = MODEL_WRAPPERS.get(type_)
    if issubclass(type_, DistributedDataParallel):
        wrapper.setdefault('device_ids', device_ids)


def build_runner(cfg: Config) -> Runner:
    """Build the Runner, or the registered one that `runner_type` names."""
    if 'runner_type' not in cfg:
        return Runner.from_cfg(cfg)
    if cfg.get('default_scope'):
        init_default_scope(cfg.default_scope)
    return RUNNERS.build(cfg)


def process_label(environ: Mapping[str, str]) -> str | None:
    """`'rank 1 of 8'`, or None for a process on its own.

    Args:
        environ: The environment, where launchers leave the ranks.
    """
    for rank, world_size, _ in _RANK_VARIABLES.values():
        if environ.get(world_size, '1') != '1' and rank in environ:
            return f'rank {environ[rank]} of {environ[world_size]}'
    return None


def run(main: Callable[[], Any]) -> None:
    """Run a tool so that a failing rank says which it is and ends at once.

    Args:
        main: The tool.
    """
    label = process_label(os.environ)
    if label is None:
        main()
        return
    try:
        record(main)()
    except Exception as error:
        # In one write, so that the text of other ranks does not come between.
        message = f'{type(error).__name__}: {error}'
        sys.stderr.write(f'{traceback.format_exc()}[{label}] {message}\n')
        sys.stdout.flush()
        sys.stderr.flush()
        # Not sys.exit: shutting down the process group while the peers wait
        # in a collective may take until the timeout, and only when this
        # process is gone does the launcher end the peers.
        os._exit(1)
    if dist.is_initialized():
        dist.destroy_process_group()
