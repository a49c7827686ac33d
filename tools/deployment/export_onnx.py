"""Export an embedding network to ONNX, and check it in ONNX Runtime.

    python tools/deployment/export_onnx.py CONFIG CHECKPOINT OUT.onnx

The head and its class centers are left out. The file is written only if ONNX
Runtime gives the embeddings that PyTorch gives.
"""

import argparse
from pathlib import Path

from mmengine.config import DictAction

from mmdense.apis.embedding_model import as_config
from mmdense.apis.onnx_export import INPUT, OPSET, OUTPUT, export_onnx


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', type=Path, help='the .pth file')
    parser.add_argument('out', type=Path, help='the .onnx file to write')
    parser.add_argument(
        '--normalize',
        action='store_true',
        help='scale embeddings to length 1 in the graph',
    )
    parser.add_argument(
        '--with-preprocessing',
        action='store_true',
        help='put mean, std and channel order into the graph: raw RGB pixels '
        'in [0, 255] go in',
    )
    parser.add_argument(
        '--input-dtype',
        choices=['float32', 'uint8'],
        default='float32',
        help='uint8 needs --with-preprocessing (default: float32)',
    )
    parser.add_argument(
        '--input-size',
        type=int,
        nargs='+',
        metavar='PIXELS',
        help='height and width, or one number for a square (default: of the '
        'test pipeline, else of the first test image)',
    )
    parser.add_argument(
        '--batch-size',
        type=int,
        help='fix the batch size (default: any goes in)',
    )
    parser.add_argument(
        '--images',
        nargs='+',
        default=[],
        metavar='FILE',
        help='images to check with, beside random pixels',
    )
    parser.add_argument(
        '--tolerance',
        type=float,
        default=1e-4,
        help='largest difference to PyTorch, relative to the largest entry '
        'of the embeddings (default: 1e-4)',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config',
    )
    args = parser.parse_args()
    if args.out.suffix != '.onnx':
        parser.error(f'OUT is {args.out}, expected a file ending in .onnx')
    if args.input_size is not None:
        if len(args.input_size) > 2 or min(args.input_size) < 1:
            parser.error('--input-size takes one or two positive numbers')
        args.input_size = (args.input_size[0], args.input_size[-1])
    return args


def main() -> None:
    args = parse_args()
    cfg = as_config(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    metadata, differences = export_onnx(
        cfg,
        args.checkpoint,
        args.out,
        normalize=args.normalize,
        with_preprocessing=args.with_preprocessing,
        input_size=args.input_size,
        input_dtype=args.input_dtype,
        batch_size=args.batch_size,
        images=args.images,
        tolerance=args.tolerance,
    )
    batch = args.batch_size or 'batch'
    height, width = metadata.input_size
    channels = len(metadata.mean)
    print(f'{args.out}: {args.out.stat().st_size / 1e6:.1f} MB, opset {OPSET}')
    print(
        f'  {INPUT}: {args.input_dtype} ({batch}, {channels}, {height}, '
        f'{width}), {metadata.channel_order}, '
        + (
            'raw pixels'
            if metadata.preprocessing_in_graph
            else f'(x - {metadata.mean}) / {metadata.std}'
        )
    )
    print(
        f'  {OUTPUT}: float32 ({batch}, {metadata.embedding_length}), '
        + ('of length 1' if metadata.normalized else 'not normalised')
    )
    print('Largest difference to PyTorch, of the largest entry:')
    for name, difference in differences.items():
        print(f'  {difference:.1e}  {name}')


if __name__ == '__main__':
    main()
