"""Write the embeddings of many images to a file.

    python tools/extract_features.py CONFIG CHECKPOINT INPUT --out FILE

INPUT is a folder, searched recursively, or a .txt or .lst file with a path
per line. `--out x.npy` writes the embeddings, and the names of the images, in
the same order, to x.txt; `--out x.parquet` both in one table. CHECKPOINT may
be a file that tools/deployment/export_onnx.py has exported.

With several GPUs, or several processes without:

    torchrun --nproc_per_node 8 tools/extract_features.py
        CONFIG CHECKPOINT INPUT --out FILE --launcher pytorch
"""

import argparse
import time

from mmdense.apis.embedding_model import as_config
from mmdense.apis.feature_extraction import extract_features
from mmdense.apis.launch import init_distributed, run
from mmdense.apis.options import add_common_options, set_launcher

# A rank with a slow disk is waited for; one that failed ends the others.
_TIMEOUT_SECONDS = 24 * 3600


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='.pth or .onnx file')
    parser.add_argument('input', help='folder or list of images')
    parser.add_argument(
        '--out', required=True, metavar='FILE', help='.npy or .parquet file'
    )
    parser.add_argument(
        '--batch-size', type=int, default=64, help='per process (default: 64)'
    )
    parser.add_argument(
        '--num-workers',
        type=int,
        default=2,
        help='processes that read images, per process (default: 2)',
    )
    parser.add_argument(
        '--device', help='cpu, cuda:0 ... (default: the accelerator, if any)'
    )
    parser.add_argument('--amp', action='store_true', help='mixed precision')
    parser.add_argument(
        '--flip',
        action='store_true',
        help='add the embedding of the mirror image',
    )
    parser.add_argument(
        '--normalize',
        action='store_true',
        help='scale embeddings to length 1',
    )
    parser.add_argument(
        '--skip-unreadable',
        action='store_true',
        help='name and leave out images that cannot be read, instead of '
        'stopping at the first',
    )
    parser.add_argument(
        '--label-by-folder',
        action='store_true',
        help="write the name of each image's folder to the column label of "
        'a .parquet file',
    )
    parser.add_argument(
        '--resume',
        action='store_true',
        help='go on where a run with the same options was stopped',
    )
    add_common_options(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = as_config(args.config)
    set_launcher(cfg, args.launcher, args.local_rank)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    # Ranks talk when they are done, and of no tensors.
    cfg.merge_from_dict(
        dict(
            env_cfg=dict(
                dist_cfg=dict(backend='gloo', timeout=_TIMEOUT_SECONDS)
            )
        )
    )
    init_distributed(cfg)
    started = time.monotonic()
    result = extract_features(
        cfg,
        args.checkpoint,
        args.input,
        args.out,
        batch_size=args.batch_size,
        num_workers=args.num_workers,
        device=args.device,
        amp=args.amp,
        flip=args.flip,
        normalize=args.normalize,
        skip_unreadable=args.skip_unreadable,
        label_by_folder=args.label_by_folder,
        resume=args.resume,
    )
    if result is not None:
        rows, length, skipped = result
        seconds = time.monotonic() - started
        print(
            f'{args.out}: {rows} embeddings of length {length} in '
            f'{seconds:.0f} s, {skipped} unreadable images left out'
        )


if __name__ == '__main__':
    run(main)
