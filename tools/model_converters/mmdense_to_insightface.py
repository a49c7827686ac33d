"""Convert a checkpoint to the files of insightface's arcface_torch.

    python tools/model_converters/mmdense_to_insightface.py IN.pth OUT_DIR

IN.pth is of a network that arcface_torch has: `mmdense.IResNet` with
`mmdense.EmbeddingNeck`, `mmdense.MobileFaceNet` with
`mmdense.DepthwiseEmbeddingNeck`, or `mmdense.FaceViT` with
`mmdense.BottleneckEmbeddingNeck`. OUT_DIR gets `model.pt` and, if there are
class centers, `checkpoint_gpu_{rank}.pt` for --num-ranks ranks. These have the
network and the centers, but no optimizer and schedule: arcface_torch can start
from them, not resume.
"""

import argparse
from pathlib import Path

from mmdense.recognition.insightface import to_insightface


def main() -> None:
    """Convert."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('checkpoint', type=Path, help='our .pth file')
    parser.add_argument('out_dir', type=Path, help='folder to write to')
    parser.add_argument(
        '--num-ranks', type=int, default=1, help='GPUs to shard for'
    )
    args = parser.parse_args()
    if args.num_ranks < 1:
        parser.error(f'--num-ranks is {args.num_ranks}, expected at least 1')
    for path in to_insightface(args.checkpoint, args.out_dir, args.num_ranks):
        print(path)


if __name__ == '__main__':
    main()
