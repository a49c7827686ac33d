"""Make a checkpoint ready to be published.

    python tools/model_converters/publish_model.py IN.pth OUT.pth [--half]

Optimizer, schedules and log history are taken out; eight digits of the
SHA-256 are added to the name, as in OUT-1a2b3c4d.pth. The class centers are
left behind: whoever uses the embeddings needs none. With --with-centers they
go to OUT-1a2b3c4d.shards, without their optimizer state. --half saves weights
in 16 bits, half the size; they are widened again when they are loaded.
"""

import argparse
import os
from pathlib import Path

from torch import Tensor

from mmdense.distributed.atomic_files import sha256_of
from mmdense.distributed.checkpoint_checks import shards_beside
from mmdense.distributed.checkpoint_files import load_plain, save_plain
from mmdense.distributed.lazy_tables import SavedRows
from mmdense.distributed.shard_files import write_table_files
from mmdense.distributed.shard_reading import check_files, read_manifest

_KEPT_META = ('cfg', 'dataset_meta', 'epoch', 'iter', 'mmengine_version')


def publish(
    source: Path, out: Path, with_centers: bool, half: bool = False
) -> Path:
    """Write the published files.

    Args:
        source: The checkpoint.
        out: The file to write, without the digits.
        with_centers: Whether to publish the class centers, too.
        half: Whether to save weights as float16; centers stay as they are.

    Returns:
        The file written.

    Raises:
        FileNotFoundError: The checkpoint or its shards do not exist.
        ValueError: They are damaged, there are no centers to publish, or a
            weight is too large for float16.
    """
    checkpoint = load_plain(source)
    if 'state_dict' not in checkpoint:
        raise ValueError(
            f'{source} has {sorted(checkpoint)}, expected state_dict: a '
            'checkpoint that training wrote'
        )
    weights = checkpoint['state_dict']
    if half:
        weights = {name: _to_half(name, x) for name, x in weights.items()}
    meta = checkpoint.get('meta', {})
    shards = meta.get('shards')
    kept = {key: meta[key] for key in _KEPT_META if key in meta}
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = out.with_suffix('.shards')
    if with_centers:
        if shards is None:
            raise ValueError(
                f'{source} has no class centers; leave out --with-centers'
            )
        old = shards_beside(source, shards['folder'])
        manifest = read_manifest(old, shards['manifest_sha256'])
        check_files(old, manifest)
        sha256 = write_table_files(
            folder,
            {
                name: {'weight': SavedRows(old, manifest, name)}
                for name in manifest['tables']
            },
            kept,
            manifest['world_size'],
        )
        kept['shards'] = dict(folder=folder.name, manifest_sha256=sha256)
    save_plain(dict(meta=kept, state_dict=weights), out)
    final = out.with_name(f'{out.stem}-{sha256_of(out)[:8]}.pth')
    if with_centers:
        # Found by its new name: it is that of the checkpoint.
        os.replace(folder, final.with_suffix('.shards'))
    os.replace(out, final)
    return final


def _to_half(name: str, weight: Tensor) -> Tensor:
    if not weight.is_floating_point():
        return weight
    result = weight.half()
    if result.isinf().any():
        raise ValueError(
            f'{name} has a value of {weight.abs().max():.3g}, which is too '
            'large for 16 bits; leave out --half'
        )
    return result


def main() -> None:
    """Publish."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('checkpoint', type=Path, help='the .pth file')
    parser.add_argument('out', type=Path, help='the .pth file to write')
    parser.add_argument(
        '--with-centers', action='store_true', help='publish them, too'
    )
    parser.add_argument(
        '--half', action='store_true', help='save weights in 16 bits'
    )
    args = parser.parse_args()
    if args.out.suffix != '.pth':
        parser.error(f'OUT is {args.out}, expected a file ending in .pth')
    print(publish(args.checkpoint, args.out, args.with_centers, args.half))


if __name__ == '__main__':
    main()
