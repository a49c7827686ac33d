"""A training in processes of their own, to be killed and resumed.

Torch is imported once: each process is forked from one that has it, so that
fifty restarts take minutes.
"""

import json
import multiprocessing
import os
import resource
import sys
import time
import uuid
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from mmengine.hooks import Hook

from mmdense.apis.launch import run
from mmdense.distributed.shard_reading import check_files, read_manifest
from mmdense.registry import HOOKS
from tests.toy_training import final_state, train

_EPOCH_STEPS = 12


@HOOKS.register_module(force=True)
class FaultHook(Hook):
    """Does something to its process at an iteration, before saving."""

    priority = 'HIGHEST'

    def __init__(self, iteration, kind, limit=None):
        self.iteration, self.kind, self.limit = iteration, kind, limit

    def after_train_iter(self, runner, *args, **kwargs):
        if runner.iter + 1 != self.iteration:
            return
        if self.kind == 'no space':
            # Files may not grow beyond it: the next save fails as on a full
            # disk, after some bytes.
            _limit_files(self.limit)
        elif runner.rank == 1 and self.kind == 'kill':
            os.kill(os.getpid(), 9)
        elif runner.rank == 1 and self.kind == 'raise':
            raise ValueError('a broken image')


def _limit_files(size):
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))


def _train(work_dir, size, epochs, resume, options):
    """What a rank does; ends in files for its final state."""
    work_dir = Path(work_dir)
    try:
        runner = _run(work_dir, size, epochs, resume, options)
    finally:
        # The message has to fit into a file, too.
        _limit_files(resource.RLIM_INFINITY)
    history = runner.message_hub.get_scalar('train/loss').data[0]
    np.savez(
        work_dir / f'final_{runner.rank}.npz',
        losses=np.asarray(history),
        **final_state(runner),
    )


def _run(work_dir, size, epochs, resume, options):
    return train(
        work_dir,
        epochs,
        uuid.uuid4().hex,
        resume=resume,
        launcher='pytorch' if size > 1 else 'none',
        model_wrapper_cfg=dict(type='mmdense.ShardedDistributedDataParallel'),
        train_dataloader=dict(
            batch_size=24 // _EPOCH_STEPS // size or 1,
            num_workers=0,
            collate_fn=dict(type='default_collate'),
            dataset=dict(type='mmdense.ToyVectors'),
            sampler=dict(type='DefaultSampler', shuffle=True),
        ),
        train_cfg=dict(type='mmdense.ResumableEpochLoop', max_epochs=epochs),
        **options,
    )


def _rank(rank, size, store, work_dir, *args):
    torch.set_num_threads(1)
    os.environ.update(
        RANK=str(rank), WORLD_SIZE=str(size), LOCAL_RANK=str(rank)
    )
    os.environ.setdefault('GLOO_SOCKET_IFNAME', 'lo')
    os.makedirs(work_dir, exist_ok=True)
    log = open(f'{work_dir}/stderr_{rank}.txt', 'w')
    os.dup2(log.fileno(), 2)
    sys.stdout = log
    if size > 1:
        dist.init_process_group(
            'gloo',
            init_method=f'file://{store}',
            rank=rank,
            world_size=size,
            timeout=timedelta(seconds=60),
        )
    run(lambda: _train(work_dir, size, *args))


class Processes:
    """The ranks of one attempt.

    Args:
        work_dir: Its folder.
        size: Number of ranks.
        epochs: Where training ends.
        resume: Whether to go on from what is there.
        checkpoint: Of the checkpoint hook.
        **options: Further entries of the config.
    """

    def __init__(
        self, work_dir, size, epochs, resume, checkpoint=None, **options
    ):
        self.work_dir = Path(work_dir)
        checkpoint = dict(by_epoch=False, interval=3, max_keep_ckpts=1) | (
            checkpoint or {}
        )
        options['checkpoint'] = checkpoint
        store = f'{work_dir}.store.{uuid.uuid4().hex}'
        context = multiprocessing.get_context('fork')
        self.members = [
            context.Process(
                target=_rank,
                args=(rank, size, store, work_dir, epochs, resume, options),
            )
            for rank in range(size)
        ]
        for process in self.members:
            process.start()

    def alive(self):
        """Whether any rank runs."""
        return any(process.is_alive() for process in self.members)

    def kill(self):
        """SIGKILL to all ranks."""
        for process in self.members:
            process.kill()
        self.wait()

    def wait(self, seconds=120):
        """Exit codes; ranks that hang are killed and have -9."""
        deadline = time.monotonic() + seconds
        for process in self.members:
            process.join(max(deadline - time.monotonic(), 0.01))
            if process.is_alive():
                process.kill()
                process.join()
        return [process.exitcode for process in self.members]

    def errors(self):
        """What each rank wrote to standard error."""
        return [
            (self.work_dir / f'stderr_{rank}.txt').read_text()
            for rank in range(len(self.members))
        ]


def final(work_dir):
    """The final state of all ranks, by array name."""
    found = {}
    for path in sorted(Path(work_dir).glob('final_*.npz')):
        with np.load(path) as file:
            for name in file.files:
                found[f'{path.stem} {name}'] = file[name]
    return found


def equal(a, b):
    """Whether two final states are equal bit for bit."""
    return a.keys() == b.keys() and all(
        np.array_equal(a[name], b[name]) for name in a
    )


def complete_checkpoints(work_dir):
    """The checkpoints that are whole, with shards of their own."""
    found = []
    for path in Path(work_dir).glob('*.pth'):
        checkpoint = torch.load(path, weights_only=True, map_location='cpu')
        shards = checkpoint['meta']['shards']
        folder = path.with_name(shards['folder'])
        manifest = read_manifest(folder, shards['manifest_sha256'])
        check_files(folder, manifest)
        found.append(path)
    return found


def flip_a_bit(path, share=0.6):
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[int(len(content) * share)] ^= 4
    path.write_bytes(content)


def rewrite_manifest(folder, **entries):
    """Change entries of the table, as of another model."""
    path = folder / 'manifest.json'
    manifest = json.loads(path.read_text())
    manifest['tables']['head.centers'].update(entries)
    path.write_text(json.dumps(manifest))
