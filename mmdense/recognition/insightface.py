"""Checkpoints of insightface's arcface_torch, to and from ours.

Theirs: `model.pt`, the state of the network alone, and, with
`save_all_states`, `checkpoint_gpu_{rank}.pt` of each rank, with the network
again and the rank's centers. They shard as we do: contiguous ranges, the first
C % k ranks one class longer (`partial_fc_v2.py`).
"""

import re
from pathlib import Path
from typing import Any

from mmdense.distributed.checkpoint_checks import shards_beside
from mmdense.distributed.checkpoint_files import load_plain, save_plain
from mmdense.distributed.lazy_tables import ConcatenatedRows, SavedRows
from mmdense.distributed.shard_files import write_table_files
from mmdense.distributed.shard_reading import check_files, read_manifest
from mmdense.distributed.sharding import shard_range

from .insightface_keys import (
    keys_to_insightface,
    keys_to_mmdense,
    network_configs,
)

TABLE = 'head.centers'
_RANK_FILE = re.compile(r'checkpoint_gpu_(\d+)\.pt')


def find_files(sources: list[Path]) -> tuple[Path | None, list[Path]]:
    """`model.pt`, if any, and the files of all ranks in rank order.

    Args:
        sources: Files, or folders that have them.

    Raises:
        FileNotFoundError: There is neither, or a rank's file is missing.
    """
    files = []
    for source in sources:
        files += sorted(source.glob('*.pt')) if source.is_dir() else [source]
    ranks = {}
    model = None
    for path in files:
        match = _RANK_FILE.fullmatch(path.name)
        if match:
            ranks[int(match[1])] = path
        elif path.is_file():
            model = path
    if not ranks and model is None:
        raise FileNotFoundError(
            f'found no .pt file in {", ".join(map(str, sources))}, expected '
            'model.pt or checkpoint_gpu_0.pt, checkpoint_gpu_1.pt ... of '
            'arcface_torch'
        )
    gaps = set(range(len(ranks))) - set(ranks)
    if gaps:
        raise FileNotFoundError(
            f'checkpoint_gpu_{min(gaps)}.pt is missing: got those of ranks '
            f'{sorted(ranks)}, and each has other classes; give all'
        )
    return model, [ranks[rank] for rank in range(len(ranks))]


def from_insightface(
    sources: list[Path], out: Path, num_files: int | None = None
) -> dict[str, Any]:
    """Convert to a checkpoint for `load_from`.

    Args:
        sources: Files, or folders that have them; see :func:`find_files`.
        out: The `.pth` to write; centers go to the folder `.shards` beside.
        num_files: Files of centers; None for as many as there were.

    Returns:
        What was found: the configs `backbone` and `neck`, and `num_classes`
        or None.

    Raises:
        FileNotFoundError: Files are missing.
        ValueError: They are not what they should be.
    """
    model, ranks = find_files(sources)
    states = [load_plain(path) for path in ranks]
    network = states[0].get('state_dict_backbone') if states else None
    if network is None:
        network = load_plain(model or ranks[0])
    configs = network_configs(network)
    state = keys_to_mmdense(network)
    meta: dict[str, Any] = {'converted_from': 'insightface arcface_torch'}
    num_classes = None
    if states:
        weights = _centers(ranks, states)
        num_classes = len(weights)
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = out.with_suffix('.shards')
        sha256 = write_table_files(
            folder,
            {TABLE: {'weight': weights}},
            dict(
                epoch=states[0].get('epoch', 0),
                iter=states[0].get('global_step', 0),
            ),
            num_files or len(ranks),
        )
        meta['shards'] = dict(folder=folder.name, manifest_sha256=sha256)
    save_plain(dict(meta=meta, state_dict=state), out)
    return dict(**configs, num_classes=num_classes)


def _centers(ranks: list[Path], states: list[dict]) -> ConcatenatedRows:
    parts = []
    for path, state in zip(ranks, states, strict=True):
        weight = state.get('state_dict_softmax_fc', {}).get('weight')
        if weight is None:
            raise ValueError(
                f"{path} has no state_dict_softmax_fc['weight'], expected a "
                'file that arcface_torch wrote with save_all_states'
            )
        parts.append(weight)
    rows = ConcatenatedRows(parts)
    for rank, (path, part) in enumerate(zip(ranks, parts, strict=True)):
        start, stop = shard_range(len(rows), rank, len(ranks))
        if len(part) != stop - start or part.shape[1:] != parts[0].shape[1:]:
            raise ValueError(
                f'{path} has centers {tuple(part.shape)}, expected '
                f'{(stop - start, *parts[0].shape[1:])} of {len(rows)} '
                f'classes on {len(ranks)} ranks; the files are of different '
                'runs, or some are missing'
            )
    return rows


def to_insightface(source: Path, out: Path, num_ranks: int) -> list[Path]:
    """Convert a checkpoint of ours.

    Args:
        source: Our `.pth`, of a network that arcface_torch has.
        out: Folder for `model.pt` and, if the checkpoint has shards,
            `checkpoint_gpu_{rank}.pt`.
        num_ranks: Ranks to shard the centers for.

    Returns:
        The files written. They have no optimizer state.

    Raises:
        ValueError: The network is another, or shards are damaged.
        FileNotFoundError: The shards are missing.
    """
    checkpoint = load_plain(source)
    network = keys_to_insightface(checkpoint['state_dict'])
    dim = network_configs(network)['neck']['out_channels']
    out.mkdir(parents=True, exist_ok=True)
    written = [out / 'model.pt']
    save_plain(network, written[0])
    shards = checkpoint.get('meta', {}).get('shards')
    if shards is None:
        return written
    folder = shards_beside(source, shards['folder'])
    manifest = read_manifest(folder, shards['manifest_sha256'])
    check_files(folder, manifest)
    rows = SavedRows(folder, manifest, TABLE)
    if rows.shape[1] != dim:
        raise ValueError(
            f'the centers have length {rows.shape[1]}, the embeddings {dim}; '
            'arcface_torch has no sub-centers'
        )
    for rank in range(num_ranks):
        start, stop = shard_range(len(rows), rank, num_ranks)
        written.append(out / f'checkpoint_gpu_{rank}.pt')
        save_plain(
            dict(
                epoch=manifest.get('epoch', 0),
                global_step=manifest.get('iter', 0),
                state_dict_backbone=network,
                state_dict_softmax_fc=dict(weight=rows[start:stop]),
            ),
            written[-1],
        )
    return written
