"""Saving and resuming sharded tables beside mmengine's checkpoints.

`epoch_3.pth` holds what is the same on all ranks. Beside it,
`epoch_3.shards/` holds one safetensors file per rank and `manifest.json`,
which says what rows each file has. Any number of ranks can read it.
"""

import time
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from torch import Tensor

from ..registry import HOOKS
from .atomic_files import ATOMIC_BACKEND, remove_partial
from .averaging import check_averaging, share_tables
from .checkpoint_checks import (
    check_checkpoint_file,
    folder_of,
    repair_last_checkpoint,
)
from .checkpoint_order import RemovesLater, ShardsFirst, remove_checkpoint
from .class_maps import ClassMap
from .collectives import raise_on_all_ranks, rank, world_size
from .fine_tuning import load_tables
from .model_wrapper import check_model_wrapper
from .optim.optim_wrapper import check_optim_wrapper
from .plain_checkpoint import from_plain, to_plain
from .rank_state import (
    collect_rank_state,
    has_gradients,
    restore_gradients,
    saved_buffers,
)
from .shard_files import link_shards, row_slots, write_shards
from .shard_reading import (
    check_files,
    read_manifest,
    read_rank_state,
    read_rows,
)
from .table_state import (
    optimizer_places,
    optimizer_states,
    plain_model,
    tables_of,
)


@HOOKS.register_module()
class ShardedCheckpointHook(CheckpointHook):
    """mmengine's checkpoint hook for models with sharded tables.

    Beside each `epoch_N.pth`, `iter_N.pth` or `best_*.pth` it writes a
    folder `*.shards/` with the rows of all ranks and their optimizer state,
    and on resume gives every rank its rows back, also when the number of
    ranks has changed.

    Every file appears by one rename when it is complete, the `.pth` after
    its shards, and an older checkpoint is removed after the new one is
    there: whenever the run is killed, a consistent checkpoint exists. The
    `.pth` is of plain types, so that `torch.load(..., weights_only=True)`
    reads it. Models without tables are saved this way, too.

    Use it as `default_hooks.checkpoint`; it takes the arguments of mmengine's
    hook and one more.

    Args:
        *args: As in mmengine.
        class_map: Which rows `load_from`, without resume, takes from the
            shards of a checkpoint; see :func:`~mmdense.distributed.
            class_maps.resolve_class_map`.
        **kwargs: As in mmengine.
    """

    def __init__(
        self, *args: Any, class_map: ClassMap = 'auto', **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.class_map = class_map
        if self.backend_args is None and self.file_client_args is None:
            self.backend_args = dict(backend=ATOMIC_BACKEND)
        #: What the `.pth` that is being written says of its shards.
        self._shards: dict | None = None
        #: The last folder written, and for what iteration.
        self._written: tuple[Path, int, str] | None = None
        self._rank_state: dict[str, Tensor] = {}
        self._superseded: list[str] = []

    def before_run(self, runner: Runner) -> None:
        """See that there is something whole to resume from."""
        if not runner._resume:
            return
        error = None
        try:
            if rank() == 0:
                if runner._load_from is None:
                    folder = self._folder(runner)
                    repair_last_checkpoint(runner, folder, self.filename_tmpl)
                check_checkpoint_file(runner)
        except Exception as e:
            error = e
        raise_on_all_ranks(error)

    def before_train(self, runner: Runner) -> None:
        """Refuse what would not work: wrappers, storage without folders."""
        super().before_train(runner)
        check_model_wrapper(runner.model)
        check_optim_wrapper(plain_model(runner), runner.optim_wrapper)
        if tables_of(runner):
            check_averaging(runner)
            share_tables(runner)
        if '://' in str(self.out_dir):
            raise ValueError(
                f'got out_dir={self.out_dir!r}; checkpoints are written to a '
                'local or mounted folder only'
            )
        self.file_backend = RemovesLater(self.file_backend)
        if rank() == 0:
            remove_partial(Path(self.out_dir))
            for name in self._superseded:
                remove_checkpoint(Path(self.out_dir) / name)
        self._superseded = []
        if self._rank_state:
            restored = restore_gradients(plain_model(runner), self._rank_state)
            self._rank_state = {}
            if restored:
                runner.logger.info(
                    'the gradients of the micro-batches before the '
                    'checkpoint are restored; disregard a warning that they '
                    'are lost'
                )

    def before_val(self, runner: Runner) -> None:
        """See that averaged weights meet the centers there are."""
        # EMAHook swaps later, in `before_val_epoch` or `before_test_epoch`.
        share_tables(runner)

    before_test = before_val

    def _folder(self, runner: Runner) -> Path:
        """Where checkpoints are, before :meth:`before_train` has set it."""
        if self.out_dir in (None, runner.work_dir):
            return Path(runner.work_dir)
        return Path(self.out_dir) / Path(runner.work_dir).name

    def _save_checkpoint_with_step(self, runner, step, meta) -> None:
        self._save(runner, super()._save_checkpoint_with_step, step, meta=meta)

    def _save_best_checkpoint(self, runner, metrics) -> None:
        # Of a validation without a training there is nothing to save.
        if hasattr(self, 'file_backend'):
            self._save(runner, super()._save_best_checkpoint, metrics)

    def _save(self, runner, save, *args, **kwargs) -> None:
        """Run mmengine's method such that each `.pth` follows its shards."""
        nested = isinstance(runner, ShardsFirst)
        if not nested:
            runner = ShardsFirst(runner, self._write_shards)
        error = None
        try:
            save(runner, *args, **kwargs)
        except Exception as e:  # maybe on rank 0 alone, which writes files
            error = e
        raise_on_all_ranks(error)
        if not nested and rank() == 0:
            for path in self.file_backend.take():
                if path not in runner.saved:
                    remove_checkpoint(path)

    def _write_shards(self, runner, path: Path, meta: dict) -> None:
        """Write the shards of the checkpoint `path`; on all ranks."""
        self._shards = None
        tables = tables_of(runner)
        folder = path.with_suffix('.shards')
        iteration = meta['iter']
        if self._written and self._written[1] == iteration:
            # Nothing has changed since the checkpoint of this iteration,
            # of which this is the best or a second version.
            source, _, sha256 = self._written
            error = None
            try:
                if rank() == 0 and source != folder:
                    link_shards(source, folder)
            except OSError as e:
                error = e
            raise_on_all_ranks(error)
            self._shards = dict(folder=folder.name, manifest_sha256=sha256)
            return
        flush = getattr(runner.optim_wrapper.optimizer, 'flush', None)
        if flush is not None:
            flush()
        state = collect_rank_state(plain_model(runner), runner.optim_wrapper)
        if not tables and not state:
            return
        states = optimizer_states(runner, tables)
        slots = {
            key: row_slots(states[key], table) for key, table in tables.items()
        }
        size = sum(t.weight.nbytes for t in tables.values()) + sum(
            value.nbytes for s in slots.values() for value in s.values()
        )
        runner.logger.info(
            f'Writing {folder.name}: {size / 2**20:,.1f} MiB on each rank'
        )
        started = time.perf_counter()
        if rank() == 0:
            # Its shards are about to go, should it be there from another
            # run.
            path.unlink(missing_ok=True)
        sha256 = write_shards(folder, tables, slots, meta, state)
        runner.logger.info(
            f'{folder.name} written in {time.perf_counter() - started:.1f} s'
        )
        self._shards = dict(folder=folder.name, manifest_sha256=sha256)
        self._written = folder, iteration, sha256

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Name the shards and drop rank 0's rows from the optimizer state.

        Runs on rank 0 alone, for best checkpoints too.
        """
        if self._shards:
            checkpoint['meta']['shards'] = self._shards
        if isinstance(self.file_backend, RemovesLater):
            checkpoint['meta']['superseded'] = [
                path.name for path in self.file_backend.paths
            ]
        if 'optimizer' in checkpoint:
            tables = tables_of(runner)
            places = optimizer_places(runner, tables)
            for name, table in tables.items():
                state = checkpoint['optimizer']['state'].get(places[name], {})
                for slot in row_slots(state, table):
                    del state[slot]
        for key in checkpoint:
            if key != 'state_dict':
                checkpoint[key] = to_plain(checkpoint[key])

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """On resume, give this rank its rows and their optimizer state."""
        for key in list(checkpoint):
            if key != 'state_dict':
                checkpoint[key] = from_plain(checkpoint[key])
        tables = tables_of(runner)
        # Before any hook that copies the average to the model.
        share_tables(runner)
        if not runner._resume:
            load_tables(runner, checkpoint, self.class_map)
            return
        shards = checkpoint['meta'].get('shards')
        self._superseded = checkpoint['meta'].get('superseded', [])
        here = self._folder(runner).resolve()
        if folder_of(runner, 'x').parent.resolve() != here:
            # Files of these names are of another run.
            self._superseded = []
        if shards is None and not tables:
            return
        error = None
        try:
            if shards is None:
                raise ValueError(
                    'the checkpoint names no shards, so its class centers '
                    'were not saved; resume from an epoch_N.pth or '
                    'iter_N.pth that ShardedCheckpointHook wrote'
                )
            folder = folder_of(runner, shards['folder'])
            manifest = read_manifest(folder, shards['manifest_sha256'])
            check_files(folder, manifest)
            rows = {
                key: read_rows(folder, manifest, key, table)
                for key, table in tables.items()
            }
            state = read_rank_state(folder, manifest)
        except Exception as e:
            error = e
        raise_on_all_ranks(error)

        places = optimizer_places(runner, tables)
        states = checkpoint.get('optimizer', {}).get('state', {})
        for key, table in tables.items():
            with torch.no_grad():
                table.weight.copy_(rows[key].pop('weight'))
            states.setdefault(places[key], {}).update(rows[key])
        runner.logger.info(
            f'{folder.name}: read rows of {manifest["world_size"]} rank(s) '
            f'into {world_size()}'
        )
        self._rank_state = state
        same_size = manifest['world_size'] == world_size()
        self._restore_rank_state(runner, checkpoint, same_size)

    def _restore_rank_state(
        self, runner: Runner, checkpoint: dict, same_size: bool
    ) -> None:
        """Take over buffers now and gradients when training starts."""
        state = self._rank_state
        if same_size:
            checkpoint['state_dict'].update(saved_buffers(state))
            return
        if has_gradients(state):
            runner.logger.warning(
                'the checkpoint was saved between the micro-batches of '
                'gradient accumulation by another number of ranks; their '
                'gradients are lost'
            )
        self._rank_state = {}
