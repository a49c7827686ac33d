"""The command line options that train.py and test.py share."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.config import Config, DictAction

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of OpenMMLab's launch tools to `parser`."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config, after all other options: '
        'a.b=1 a.0.b=x a=[1,2] a="[(1,2),(3,4)]" (no white space)',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what started this process (default: none)',
    )
    parser.add_argument(
        '--no-pin-memory',
        action='store_true',
        help='set pin_memory=False in all dataloaders',
    )
    # For launchers that pass it rather than set the variable.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def set_work_dir(cfg: Config, work_dir: str | None, config: str) -> None:
    """Set `cfg.work_dir`: the option, else the config's, else by its name.

    Args:
        cfg: The config.
        work_dir: The option; None if not given.
        config: Path of the config file.
    """
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = f'./work_dirs/{Path(config).stem}'


def set_launcher(cfg: Config, launcher: str, local_rank: int) -> None:
    """Set `cfg.launcher`, and LOCAL_RANK unless the launcher did."""
    cfg.launcher = launcher
    os.environ.setdefault('LOCAL_RANK', str(local_rank))


def set_loader_options(
    cfg: Config,
    loaders: Sequence[str],
    pin_memory: bool,
    persistent_workers: bool,
) -> None:
    """Make dataloaders behave as the host's own tools make them.

    Args:
        cfg: The config.
        loaders: Which dataloaders.
        pin_memory: Whether to leave `pin_memory` as it is.
        persistent_workers: The same for `persistent_workers`.
    """
    for name in loaders:
        loader = cfg.get(name)
        if loader is None:
            continue
        if cfg.get('default_scope') == 'mmpretrain':
            # mmpretrain's tools fill these in, and its configs rely on it.
            loader.setdefault('collate_fn', dict(type='default_collate'))
            loader.setdefault('pin_memory', torch.cuda.is_available())
            has_workers = loader.get('num_workers', 0) > 0
            loader.setdefault('persistent_workers', has_workers)
        if not pin_memory:
            loader.pin_memory = False
        if not persistent_workers:
            loader.persistent_workers = False
