"""Evaluate on IJB-B or IJB-C, from a checkpoint or from saved embeddings.

python tools/analysis_tools/eval_ijb.py IJBC --config CONFIG --checkpoint FILE
python tools/analysis_tools/eval_ijb.py IJBC --embeddings ijbc.npy
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device

from mmdense.apis.config_file import load_config
from mmdense.apis.launch import build_runner, init_distributed, run
from mmdense.apis.libraries import require_libraries
from mmdense.apis.options import (
    add_common_options,
    set_launcher,
    set_loader_options,
)
from mmdense.recognition.evaluation.ijb_metric import ijb_tables
from mmdense.recognition.evaluation.ijb_protocol import (
    IJBProtocol,
    IJBResult,
    evaluate_ijb,
)
from mmdense.recognition.functional.templates import TemplateVariant
from mmdense.recognition.visualization.curves_hook import draw_ijb

_FARS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
_RANKS = (1, 5, 10)
_FPIRS = (1e-1, 1e-2)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Evaluate on IJB-B or IJB-C.')
    parser.add_argument('root', help='folder with meta/ and loose_crop/')
    parser.add_argument(
        '--name',
        choices=['ijbb', 'ijbc'],
        default='ijbc',
        help='how the files in meta/ are named (default: ijbc)',
    )
    parser.add_argument('--config', help='config of the model')
    parser.add_argument('--checkpoint', help='its checkpoint')
    parser.add_argument(
        '--embeddings',
        metavar='FILE',
        help='.npy instead of a model: (N, d), or (N, 2, d) with the '
        'embeddings of mirror images, in the order of '
        'meta/NAME_name_5pts_score.txt',
    )
    parser.add_argument(
        '--variants',
        nargs='+',
        default=['N1D1F1'],
        metavar='NxDxFx',
        help='N1: norms kept, D1: weighted by detector score, F1: with '
        'mirror image (default: N1D1F1)',
    )
    parser.add_argument(
        '--out-dir',
        help='folder for metrics.json and pictures (default: work_dirs/NAME)',
    )
    parser.add_argument(
        '--save-embeddings',
        metavar='FILE',
        help='write the embeddings of a model to this .npy file',
    )
    parser.add_argument(
        '--image-size',
        type=int,
        default=112,
        help='height and width of an aligned face (default: 112)',
    )
    parser.add_argument('--batch-size', type=int, default=256)
    parser.add_argument(
        '--num-workers',
        type=int,
        default=4,
        help='processes that read images, for each rank (default: 4)',
    )
    add_common_options(parser)
    return parser.parse_args()


def check_args(args: argparse.Namespace) -> None:
    has_model = args.config is not None and args.checkpoint is not None
    if has_model == (args.embeddings is not None):
        raise ValueError(
            'give either --config and --checkpoint, or --embeddings'
        )
    files = [args.checkpoint if has_model else args.embeddings]
    if args.save_embeddings is not None:
        if not has_model:
            raise ValueError('--save-embeddings needs a model')
        if not args.save_embeddings.endswith('.npy'):
            raise ValueError(
                f'--save-embeddings is {args.save_embeddings}, expected a '
                'file that ends in .npy'
            )
    for file in files:
        if not Path(file).is_file():
            raise FileNotFoundError(f'{file} does not exist')
    for name in args.variants:
        TemplateVariant.parse(name)


def make_config(args: argparse.Namespace) -> Config:
    """The config of the model, with IJB in place of its test."""
    cfg = load_config(args.config)
    require_libraries(cfg, args.config)
    set_launcher(cfg, args.launcher, args.local_rank)
    cfg.work_dir, cfg.load_from, cfg.resume = (
        args.out_dir,
        args.checkpoint,
        False,
    )
    views = any(TemplateVariant.parse(name).flip for name in args.variants)
    cfg.test_dataloader = ConfigDict(
        batch_size=args.batch_size,
        num_workers=args.num_workers,
        persistent_workers=args.num_workers > 0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type='mmdense.IJBImages',
            name=args.name,
            data_root=args.root,
            flip=views,
            image_size=args.image_size,
            pipeline=[dict(type='mmpretrain.PackInputs')],
        ),
    )
    cfg.test_evaluator = ConfigDict(
        type='mmdense.IJBMetric',
        variants=args.variants,
        fars=_FARS,
        ranks=_RANKS,
        fpirs=_FPIRS,
        save_embeddings=args.save_embeddings,
    )
    cfg.test_cfg = ConfigDict()
    # The pictures of the config's own test are not wanted.
    hooks = [
        hook
        for hook in cfg.get('custom_hooks') or []
        if 'VisualizationHook' not in str(hook.type)
    ]
    hooks.append(dict(type='mmdense.CurvesVisualizationHook', out_dir=''))
    cfg.custom_hooks = hooks
    set_loader_options(cfg, ['test_dataloader'], not args.no_pin_memory, True)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    return cfg


def read_views(path: str) -> torch.Tensor:
    """The embeddings of a file, as (V, N, d) float32."""
    embeddings = np.load(path, allow_pickle=False)
    if embeddings.ndim == 2:
        embeddings = embeddings[:, None]
    if embeddings.ndim != 3 or embeddings.shape[1] > 2:
        raise ValueError(
            f'{path} has shape {embeddings.shape}, expected (N, d) or '
            '(N, 2, d)'
        )
    return torch.from_numpy(embeddings.astype('f4')).transpose(0, 1)


def evaluate_embeddings(args: argparse.Namespace) -> dict[str, float]:
    views = read_views(args.embeddings)
    protocol = IJBProtocol(Path(args.root) / 'meta', args.name)
    results: dict[str, IJBResult] = {
        name: evaluate_ijb(
            views,
            protocol,
            TemplateVariant.parse(name),
            _FARS,
            _RANKS,
            _FPIRS,
            get_device(),
        )
        for name in args.variants
    }
    print(ijb_tables({name: r.metrics for name, r in results.items()}))
    draw_ijb(results, protocol.pairs.issame, Path(args.out_dir))
    many = len(results) > 1
    return {
        f'{args.name}/{name}/{key}' if many else f'{args.name}/{key}': value
        for name, result in results.items()
        for key, value in result.metrics.items()
    }


def main() -> None:
    args = parse_args()
    check_args(args)
    args.out_dir = args.out_dir or f'work_dirs/{args.name}'
    is_first = True
    if args.embeddings is not None:
        metrics = evaluate_embeddings(args)
    else:
        cfg = make_config(args)
        init_distributed(cfg)
        runner = build_runner(cfg)
        metrics = runner.test()
        is_first = runner.rank == 0
    if is_first:
        out = Path(args.out_dir, 'metrics.json')
        out.write_text(json.dumps(metrics, indent=2) + '\n')
        print(f'wrote {out} and pictures beside it')


if __name__ == '__main__':
    run(main)
