"""Saving and resuming sharded tables beside mmengine's checkpoints.

`epoch_3.pth` holds what is the same on all ranks. Beside it,
`epoch_3.shards/` holds one safetensors file per rank and `manifest.json`,
which says what rows each file has. Any number of ranks can read it.
"""

import shutil
from pathlib import Path

import torch
from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ..registry import HOOKS
from .collectives import raise_on_all_ranks, rank, world_size
from .model_wrapper import check_model_wrapper
from .shard_files import read_manifest, read_rows, row_slots, write_shards
from .sharding import ShardedTable, named_sharded_tables


@HOOKS.register_module()
class ShardedCheckpointHook(CheckpointHook):
    """mmengine's checkpoint hook for models with sharded tables.

    Beside each periodic `epoch_N.pth` (or `iter_N.pth`) it writes
    `epoch_N.shards/` with the rows of all ranks and their optimizer state,
    and on resume gives every rank its rows back, also when the number of
    ranks has changed. Checkpoints of the best score hold the network alone.
    Use it as `default_hooks.checkpoint`; it takes the arguments of mmengine's.
    """

    _shards: str | None = None

    def before_train(self, runner: Runner) -> None:
        """Refuse what would not work: wrappers, storage without folders."""
        super().before_train(runner)
        check_model_wrapper(runner.model)
        if _tables(runner) and any(
            isinstance(h, EMAHook) for h in runner.hooks
        ):
            _check_averaging(runner)
        if '://' in str(self.out_dir):
            raise ValueError(
                f'got out_dir={self.out_dir!r}; shards are written to a '
                'local or mounted folder only'
            )

    def _save_checkpoint_with_step(self, runner, step, meta) -> None:
        tables = _tables(runner)
        if tables:
            name = Path(self.filename_tmpl.format(step)).stem + '.shards'
            flush = getattr(runner.optim_wrapper.optimizer, 'flush', None)
            if flush is not None:
                flush()
            states = _optimizer_states(runner, tables)
            slots = {
                key: row_slots(states[key], table)
                for key, table in tables.items()
            }
            write_shards(Path(self.out_dir) / name, tables, slots, meta)
            self._shards = name
        error = None
        try:
            super()._save_checkpoint_with_step(runner, step, meta)
            if rank() == 0:
                self._prune()
        except OSError as e:  # on rank 0, which alone writes the .pth
            error = e
        finally:
            self._shards = None
        raise_on_all_ranks(error)

    def _prune(self) -> None:
        """Remove shards whose checkpoint the parent has removed."""
        suffix = Path(self.filename_tmpl).suffix
        for folder in Path(self.out_dir).glob('*.shards'):
            if not folder.with_suffix(suffix).exists():
                shutil.rmtree(folder)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Name the shards and drop rank 0's rows from the optimizer state.

        Runs on rank 0 alone, for best checkpoints too.
        """
        if self._shards:
            checkpoint['meta']['shards'] = self._shards
        if 'optimizer' in checkpoint:
            tables = _tables(runner)
            places = _optimizer_places(runner, tables)
            for name, table in tables.items():
                state = checkpoint['optimizer']['state'].get(places[name], {})
                for slot in row_slots(state, table):
                    del state[slot]

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """On resume, give this rank its rows and their optimizer state."""
        tables = _tables(runner)
        if not tables:
            return
        if not runner._resume:
            runner.logger.warning(
                'only the network is loaded: the class centers are read on '
                'resume alone'
            )
            return
        error = None
        try:
            name = checkpoint['meta'].get('shards')
            if name is None:
                raise ValueError(
                    'the checkpoint names no shards, so its class centers '
                    'were not saved; resume from an epoch_N.pth or '
                    'iter_N.pth that ShardedCheckpointHook wrote'
                )
            folder = _folder_of(runner, name)
            manifest = read_manifest(folder)
            rows = {
                key: read_rows(folder, manifest, key, table)
                for key, table in tables.items()
            }
        except Exception as e:
            error = e
        raise_on_all_ranks(error)

        places = _optimizer_places(runner, tables)
        states = checkpoint.get('optimizer', {}).get('state', {})
        for key, table in tables.items():
            with torch.no_grad():
                table.weight.copy_(rows[key].pop('weight'))
            states.setdefault(places[key], {}).update(rows[key])
        runner.logger.info(
            f'{folder.name}: read rows of {manifest["world_size"]} rank(s) '
            f'into {world_size()}'
        )


def _check_averaging(runner: Runner) -> None:
    if getattr(runner.optim_wrapper.optimizer, 'is_lazy', False):
        raise ValueError(
            "EMAHook swaps weights under an optimizer with update='all', "
            "which tracks the age of their rows; use update='rows', or no "
            'EMAHook'
        )
    runner.logger.warning(
        'EMAHook averages the network and copies the sharded tables along, '
        'which takes twice their memory; their average is not saved'
    )


def _tables(runner: Runner) -> dict[str, ShardedTable]:
    model = runner.model
    if is_model_wrapper(model):
        model = model.module
    return dict(named_sharded_tables(model))


def _optimizer_places(
    runner: Runner, tables: dict[str, ShardedTable]
) -> dict[str, int]:
    """Number of each table's weight in the optimizer's state_dict."""
    order = {}
    for group in runner.optim_wrapper.optimizer.param_groups:
        for param in group['params']:
            order[id(param)] = len(order)
    return {name: order[id(table.weight)] for name, table in tables.items()}


def _optimizer_states(
    runner: Runner, tables: dict[str, ShardedTable]
) -> dict[str, dict]:
    state = runner.optim_wrapper.optimizer.state
    return {
        name: state.get(table.weight, {}) for name, table in tables.items()
    }


def _folder_of(runner: Runner, name: str) -> Path:
    """The folder of shards, beside the checkpoint that is being resumed."""
    if runner._load_from:
        return Path(runner._load_from).parent / name
    # Resumed from work_dir/last_checkpoint, which holds the file's path.
    last = Path(runner.work_dir) / 'last_checkpoint'
    return Path(last.read_text().strip()).parent / name
