"""Test a checkpoint: `python tools/test.py CONFIG CHECKPOINT [options]`."""

import argparse
import os
from typing import Any

import mmengine
from mmengine.config import Config
from mmengine.evaluator import DumpResults

from mmdense.apis.config_file import load_config
from mmdense.apis.evaluation_options import (
    enable_tta,
    enable_visualization,
    host_of,
)
from mmdense.apis.launch import build_runner, init_distributed, run
from mmdense.apis.libraries import require_libraries
from mmdense.apis.options import (
    add_common_options,
    set_launcher,
    set_loader_options,
    set_work_dir,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Test a model.')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--work-dir',
        help='folder for logs and metrics '
        '(default: work_dir of the config, else ./work_dirs/CONFIG_NAME)',
    )
    parser.add_argument(
        '--out',
        metavar='FILE',
        help='write predictions to a .pkl file, or metrics (--out-item) to '
        'a .json, .yaml or .pkl file',
    )
    parser.add_argument(
        '--out-item',
        choices=['metrics', 'pred'],
        default='pred',
        help='what --out writes (default: pred)',
    )
    parser.add_argument(
        '--show', action='store_true', help='show predictions in a window'
    )
    parser.add_argument(
        '--show-dir',
        metavar='DIR',
        help='paint predictions to this folder',
    )
    parser.add_argument(
        '--wait-time',
        type=float,
        default=2,
        metavar='SECONDS',
        help='how long a window stays (default: 2)',
    )
    parser.add_argument(
        '--tta',
        action='store_true',
        help='test-time augmentation by tta_model and tta_pipeline of the '
        'config, else by flips',
    )
    parser.add_argument(
        '--amp',
        action='store_true',
        help='test with automatic mixed precision',
    )
    add_common_options(parser)
    return parser.parse_args()


def check_paths(args: argparse.Namespace) -> None:
    is_local = '://' not in args.checkpoint
    if is_local and not os.path.isfile(args.checkpoint):
        raise FileNotFoundError(
            f'{args.checkpoint} does not exist, expected a checkpoint file'
        )
    endings = ('.pkl', '.pickle')
    if args.out_item == 'metrics':
        endings = ('.json', '.yaml', '.yml', *endings)
    if args.out is not None and not args.out.endswith(endings):
        raise ValueError(
            f'--out is {args.out}, expected a file that ends in '
            f'{" or ".join(endings)}'
        )


def apply_options(cfg: Config, args: argparse.Namespace) -> None:
    """Write the options into the config, `--cfg-options` last."""
    set_launcher(cfg, args.launcher, args.local_rank)
    set_work_dir(cfg, args.work_dir, args.config)
    cfg.load_from = args.checkpoint
    cfg.resume = False
    if args.amp:
        cfg.test_cfg.fp16 = True
    if args.show or args.show_dir is not None:
        enable_visualization(cfg, args.show, args.show_dir, args.wait_time)
    if args.tta:
        enable_tta(cfg)
    set_loader_options(cfg, ['test_dataloader'], not args.no_pin_memory, True)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)


def dump_metric(cfg: Config, path: str) -> Any:
    """The metric that writes predictions to `path`."""
    if host_of(cfg) == 'mmdet':
        # Encodes masks, which would be huge otherwise.
        from mmdet.evaluation import DumpDetResults

        return DumpDetResults(out_file_path=path)
    return DumpResults(out_file_path=path)


def main() -> None:
    args = parse_args()
    check_paths(args)
    cfg = load_config(args.config)
    # On every rank, before any waits for another; and again, since
    # --cfg-options may name types, too.
    require_libraries(cfg, args.config)
    apply_options(cfg, args)
    require_libraries(cfg, args.config)
    init_distributed(cfg)
    runner = build_runner(cfg)
    if args.out is not None and args.out_item == 'pred':
        runner.test_evaluator.metrics.append(dump_metric(cfg, args.out))
    metrics = runner.test()
    writes_metrics = args.out is not None and args.out_item == 'metrics'
    if writes_metrics and runner.rank == 0:
        mmengine.dump(metrics, args.out)


if __name__ == '__main__':
    run(main)
