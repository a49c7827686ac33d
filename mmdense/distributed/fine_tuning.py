"""Class centers of a checkpoint as the start of a training with others."""

from pathlib import Path

import torch
from mmengine.runner import Runner
from torch import Tensor

from .checkpoint_checks import folder_of
from .class_maps import NAMED_MAPS, ClassMap, resolve_class_map
from .collectives import raise_on_all_ranks
from .shard_reading import check_files, read_manifest, read_range
from .sharding import ShardedTable
from .table_state import tables_of

# Rows read at a time: 128 MiB at d = 512.
_BLOCK = 65536


def load_tables(
    runner: Runner, checkpoint: dict, class_map: ClassMap = 'auto'
) -> None:
    """Give each table of the model its rows of a checkpoint.

    What a table has been given stays in its attribute `new_rows`.

    Args:
        runner: The runner; it is loading `checkpoint`, not resuming it.
        checkpoint: What the `.pth` has.
        class_map: See :func:`~mmdense.distributed.class_maps.
            resolve_class_map`. It is of a training that starts from other
            classes: validation and test take every class as it is.

    Raises:
        ValueError: The map does not fit, centers are of another length, or
            files are damaged; on all ranks.
        FileNotFoundError: Shards are missing and `class_map` asks for them;
            on all ranks.
    """
    tables = tables_of(runner)
    if not tables:
        return
    for table in tables.values():
        table.new_rows = torch.arange(len(table.weight))
    # Neither validation nor test builds the training data.
    trains = not isinstance(runner._train_loop, dict | None)
    if not trains:
        class_map = 'auto'
    if isinstance(class_map, str) and class_map == 'none':
        runner.logger.info('class_map is none: the class centers are new')
        return
    error: Exception | None = None
    try:
        problem = _load(runner, checkpoint, class_map, tables, trains)
    except Exception as e:
        error = e
    raise_on_all_ranks(error)
    if problem:
        runner.logger.warning(
            f'the class centers are new ones, not of the checkpoint: '
            f'{problem}. Embeddings are not affected; nearest classes (topk) '
            'mean nothing before training'
        )


def _load(
    runner: Runner,
    checkpoint: dict,
    class_map: ClassMap,
    tables: dict[str, ShardedTable],
    trains: bool,
) -> str:
    """Load the rows; returns why not where `'auto'` has nothing to load."""
    is_auto = isinstance(class_map, str) and class_map == 'auto'
    shards = checkpoint.get('meta', {}).get('shards')
    if shards is None:
        if is_auto:
            return 'it has none'
        raise ValueError(
            f'class_map is {_short(class_map)}, but the checkpoint has no '
            'class centers; load one that ShardedCheckpointHook wrote, or '
            "set class_map='none'"
        )
    folder = folder_of(runner, shards['folder'])
    if is_auto and not folder.is_dir():
        return f'{folder} does not exist'
    manifest = read_manifest(folder, shards['manifest_sha256'])
    check_files(folder, manifest)
    old_meta = checkpoint['meta'].get('dataset_meta') or {}
    new_meta = {}
    if trains:
        dataset = runner.train_dataloader.dataset
        new_meta = getattr(dataset, 'metainfo', None) or {}
    for name, table in tables.items():
        entry = manifest['tables'].get(name)
        if entry is None or entry['dim'] != table.dim:
            got = entry and entry['dim']
            raise ValueError(
                f'{folder} has for {name!r} centers of length {got}, the '
                f'model {table.dim}; set in_channels to that, or '
                "class_map='none' of ShardedCheckpointHook for new centers"
            )
        num_old = entry['num_rows']
        if not trains:
            if num_old != table.num_rows:
                return f'it has {num_old} classes, the model {table.num_rows}'
            rows = torch.arange(num_old)
        else:
            rows = resolve_class_map(
                class_map,
                num_old,
                table.num_rows,
                old_meta.get('classes'),
                new_meta.get('classes'),
            )
        _fill(table, rows[table.start : table.stop], folder, manifest, name)
        loaded = int((rows >= 0).sum())
        used = len(rows[rows >= 0].unique())
        runner.logger.info(
            f'{name}: {loaded:,} classes loaded from {folder.name}, '
            f'{len(rows) - loaded:,} new, {num_old - used:,} of the '
            'checkpoint unused'
        )
    return ''


def _short(class_map: ClassMap) -> str:
    if isinstance(class_map, str) and class_map in NAMED_MAPS:
        return repr(class_map)
    return 'given'


@torch.no_grad()
def _fill(
    table: ShardedTable, rows: Tensor, folder: Path, manifest: dict, name: str
) -> None:
    """Copy old `rows` to this rank's; those of -1 stay as they are."""
    table.new_rows = (rows < 0).nonzero().flatten()
    order = rows.argsort()
    wanted = rows[order]
    first = int(torch.searchsorted(wanted, 0))
    while first < len(wanted):
        start = int(wanted[first])
        last = int(torch.searchsorted(wanted, start + _BLOCK))
        stop = int(wanted[last - 1]) + 1
        block = read_range(folder, manifest, name, 'weight', start, stop)
        values = block[wanted[first:last] - start].to(table.weight)
        table.weight[order[first:last].to(table.weight.device)] = values
        first = last
