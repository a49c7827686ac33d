"""Convert a model of detectron2's DensePose.

    python tools/model_converters/detectron2_densepose.py MODEL.pkl OUT.pth

MODEL.pkl is of its model zoo (`model_final_*.pkl`; a `.pth` of a training is
taken too), of charts on a ResNet with FPN: the variants s1x, DL, WC1, WC2,
WC1M, WC2M and s1x_legacy. OUT.pth gives the same numbers with the config
that is printed; it is for `load_from` and `tools/test.py`.
"""

import argparse
from pathlib import Path

from mmdense.densepose.detectron2_checkpoint import from_detectron2
from mmdense.densepose.detectron2_keys import config_name


def main() -> None:
    """Convert, and print the config that goes with it."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('model', type=Path, help='the .pkl or .pth file')
    parser.add_argument('out', type=Path, help='the .pth file to write')
    args = parser.parse_args()
    if args.out.suffix != '.pth':
        parser.error(f'OUT is {args.out}, expected a file ending in .pth')
    options = from_detectron2(args.model, args.out)
    print(f'# {args.out}')
    print(f'configs/densepose_rcnn/{config_name(options)}.py')


if __name__ == '__main__':
    main()
