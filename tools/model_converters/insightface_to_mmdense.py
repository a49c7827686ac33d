"""Convert a checkpoint of insightface's arcface_torch.

    python tools/model_converters/insightface_to_mmdense.py WORK_DIR OUT.pth

WORK_DIR has `model.pt`, and, if it was trained with `save_all_states`,
`checkpoint_gpu_{rank}.pt` of all ranks. With the latter, the class centers go
to `OUT.shards` beside OUT.pth. Optimizer state is left behind: the result is
for `load_from` and `tools/test.py`, not for `--resume`.

The network (iresnet, MobileFaceNet or ViT) is known by the names and sizes of
its parameters; the config of it is printed.
"""

import argparse
from pathlib import Path

from mmdense.recognition.insightface import from_insightface


def main() -> None:
    """Convert, and print the config that goes with it."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'sources', nargs='+', type=Path, help='folder, or single files'
    )
    parser.add_argument('out', type=Path, help='the .pth file to write')
    parser.add_argument(
        '--num-files',
        type=int,
        help='files of class centers (default: as many as there were)',
    )
    args = parser.parse_args()
    if args.out.suffix != '.pth':
        parser.error(f'OUT is {args.out}, expected a file ending in .pth')
    found = from_insightface(args.sources, args.out, args.num_files)
    classes = found['num_classes']
    print(f'# {args.out}')
    for part in ('backbone', 'neck'):
        print(f'{part}={_dict_call(found[part])},')
    if classes is None:
        print('# no class centers: only model.pt was given')
    else:
        print(
            "head=dict(type='mmdense.PartialFCHead', "
            f'num_classes={classes}, '
            f'in_channels={found["neck"]["out_channels"]}, ...),'
        )


def _dict_call(config: dict) -> str:
    items = ', '.join(f'{key}={value!r}' for key, value in config.items())
    return f'dict({items})'


if __name__ == '__main__':
    main()
