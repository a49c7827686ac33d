"""Train a model: `python tools/train.py CONFIG [options]`."""

import argparse

from mmengine.config import Config

from mmdense.apis.config_file import load_config
from mmdense.apis.launch import build_runner, init_distributed, run
from mmdense.apis.libraries import require_libraries
from mmdense.apis.options import (
    LOADERS,
    add_common_options,
    set_launcher,
    set_loader_options,
    set_work_dir,
)
from mmdense.registry import plain_name


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a model.')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir',
        help='folder for logs and checkpoints '
        '(default: work_dir of the config, else ./work_dirs/CONFIG_NAME)',
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from a checkpoint; without a path, from the latest in '
        'the work dir',
    )
    parser.add_argument(
        '--amp',
        action='store_true',
        help='train with automatic mixed precision',
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by the actual batch size over '
        'auto_scale_lr.base_batch_size',
    )
    parser.add_argument(
        '--no-validate',
        action='store_true',
        help='do not evaluate while training',
    )
    parser.add_argument(
        '--no-persistent-workers',
        action='store_true',
        help='set persistent_workers=False in all dataloaders',
    )
    add_common_options(parser)
    return parser.parse_args()


def apply_options(cfg: Config, args: argparse.Namespace) -> None:
    """Write the options into the config, `--cfg-options` last."""
    set_launcher(cfg, args.launcher, args.local_rank)
    set_work_dir(cfg, args.work_dir, args.config)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.amp:
        enable_amp(cfg)
    if args.auto_scale_lr:
        enable_auto_scale_lr(cfg)
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    set_loader_options(
        cfg, LOADERS, not args.no_pin_memory, not args.no_persistent_workers
    )
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)


def enable_amp(cfg: Config) -> None:
    name = plain_name(cfg.optim_wrapper.get('type', 'OptimWrapper'))
    if name not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise ValueError(
            f'--amp would replace optim_wrapper.type, got {name}, expected '
            'OptimWrapper. Leave --amp out and choose a wrapper with mixed '
            'precision in the config'
        )
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def enable_auto_scale_lr(cfg: Config) -> None:
    if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
        raise ValueError(
            '--auto-scale-lr needs the batch size that the learning rate is '
            'for: set auto_scale_lr=dict(base_batch_size=...) in the config'
        )
    cfg.auto_scale_lr.enable = True


def main() -> None:
    args = parse_args()
    cfg = load_config(args.config)
    apply_options(cfg, args)
    # On every rank, before any waits for another.
    require_libraries(cfg, args.config)
    init_distributed(cfg)
    build_runner(cfg).train()


if __name__ == '__main__':
    run(main)
