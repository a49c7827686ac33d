"""Draw what a data set hands to the network, after all transforms.

    python tools/analysis_tools/browse_dataset.py CONFIG --output-dir DIR

Dense pose: one picture an image, with boxes, masks, parts, U and V beside
each other. Recognition: the image, with its label in the file name. Needs no
display.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from rich.progress import track

from mmdense.apis.config_file import load_config
from mmdense.registry import DATASETS, VISUALIZERS


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--output-dir', type=Path, required=True, help='folder for pictures'
    )
    parser.add_argument(
        '--split',
        choices=('train', 'val', 'test'),
        default='train',
        help='whose dataloader to use (default: train)',
    )
    parser.add_argument(
        '--number', type=int, default=20, help='images (default: 20)'
    )
    parser.add_argument(
        '--shuffle',
        action='store_true',
        help='images at random instead of the first',
    )
    parser.add_argument('--seed', type=int, default=0, help='default: 0')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        help='settings to change, as train_dataloader.dataset.data_root=data',
    )
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    try:
        pictures = browse(args)
    except (FileNotFoundError, ImportError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    print(f'{pictures} pictures in {args.output_dir}')
    return 0


def browse(args: argparse.Namespace) -> int:
    """Write the pictures.

    Returns:
        How many.

    Raises:
        ValueError: The config has no such dataloader.
    """
    cfg = load_config(args.config)
    cfg.merge_from_dict(args.cfg_options)
    loader = cfg.get(f'{args.split}_dataloader')
    if not loader:
        raise ValueError(f'{args.config} has no {args.split}_dataloader')
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    dataset = DATASETS.build(loader.dataset)
    args.output_dir.mkdir(parents=True, exist_ok=True)

    np.random.seed(args.seed)  # the transforms draw from it
    order = np.arange(len(dataset))
    if args.shuffle:
        np.random.shuffle(order)
    order = order[: args.number]
    painter = None
    for index in track(order.tolist(), description='drawing'):
        packed = dataset[index]
        sample = packed['data_samples']
        image = packed['inputs'].permute(1, 2, 0).numpy()
        name = f'{index:06d}'
        if 'gt_instances' in sample:
            if painter is None:
                painter = build_visualizer(cfg, dataset.metainfo)
            painter.add_datasample(
                name,
                np.ascontiguousarray(image[..., ::-1]),  # BGR to RGB
                sample,
                draw_pred=False,
                out_file=str(args.output_dir / f'{name}.png'),
            )
        else:
            write_labelled(args.output_dir, name, image, sample)
    return len(order)


def build_visualizer(cfg: Config, metainfo: dict) -> Any:
    """The visualizer of the config if it knows dense pose, else the plain."""
    from mmdense.densepose.visualization import DensePoseVisualizer

    settings = dict(cfg.get('visualizer', {'type': DensePoseVisualizer}))
    kind = settings['type']
    if isinstance(kind, str):
        kind = VISUALIZERS.get(kind)
    if kind is None or not issubclass(kind, DensePoseVisualizer):
        settings = {'type': DensePoseVisualizer}
    # Pictures go to the output folder, nothing to the usual backends.
    settings.update(name='browse_dataset', vis_backends=None)
    painter = VISUALIZERS.build(settings)
    painter.dataset_meta = metainfo
    return painter


def write_labelled(
    folder: Path, name: str, image: np.ndarray, sample: Any
) -> None:
    """Write an image of a recognition data set."""
    if 'gt_label' in sample:
        labels = sample.gt_label.flatten().tolist()
        name = f'{name}_label-{"-".join(map(str, labels))}'
    image = image.clip(0, 255).astype(np.uint8)
    cv2.imwrite(str(folder / f'{name}.png'), image)


if __name__ == '__main__':
    sys.exit(main())
