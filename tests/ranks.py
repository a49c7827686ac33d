"""A pool of processes that tests use as the ranks of a process group.

Importing torch and mmengine takes seconds, so the processes stay alive
between tests; each call joins as many of them as it needs in a fresh gloo
group, so that nothing of the last test is left in it.
"""

import contextlib
import itertools
import multiprocessing
import os
import pickle
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import wait
from pathlib import Path

# A rank whose peer never joins a collective gives up after this long, ...
_COLLECTIVE_SECONDS = 60
# ... and a call that has not answered after this long is hanging.
_CALL_SECONDS = 150


class RankError(AssertionError):
    """A rank hung or died; the pool has been replaced."""


def _serve(pipe) -> None:
    """What a process of the pool runs: one task after the other."""
    # By default gloo takes the interface of the host's name, which a laptop
    # or a container may not be able to reach.
    loopback = 'lo0' if sys.platform == 'darwin' else 'lo'
    os.environ.setdefault('GLOO_SOCKET_IFNAME', loopback)

    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    pipe.send('ready')
    while True:
        try:
            rank, size, store, call = pickle.loads(pipe.recv_bytes())
        except EOFError:
            return
        os.environ['LOCAL_RANK'] = str(rank)
        # What this raises ends the process, and so replaces the pool: torch
        # cannot undo half of it, and later groups would not find together.
        dist.init_process_group(
            'gloo',
            init_method=f'file://{store}',
            rank=rank,
            world_size=size,
            timeout=timedelta(seconds=_COLLECTIVE_SECONDS),
        )
        # A function without collectives could end, and leave, before its
        # peers are connected.
        dist.barrier()
        try:
            function, args = pickle.loads(call)
            answer = (True, function(*args))
        except Exception as error:
            error.add_note(traceback.format_exc())
            answer = (False, _picklable(error))
            # Wakes peers that wait for this rank in a collective.
            with contextlib.suppress(Exception):
                dist.destroy_process_group()
        try:
            pipe.send(answer)
        except Exception as error:
            pipe.send((False, RuntimeError(f'cannot pickle: {error}')))
        pipe.recv_bytes()  # all ranks have answered
        if dist.is_initialized():
            dist.destroy_process_group()


def _picklable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f'{type(error).__name__}: {error}')
    return error


class RankPool:
    """Processes that act as ranks; see the module."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context('spawn')
        self._members: list = []
        self._folder = tempfile.TemporaryDirectory()
        self._calls = itertools.count()

    def outcomes(self, size: int, function: Callable, *args) -> list:
        """Run `function(*args)` on `size` ranks.

        Args:
            size: Ranks in the group.
            function: A function of a module, so that it can be pickled. It
                asks torch.distributed which rank it is.
            *args: The same on all ranks.

        Returns:
            For each rank what it returned, or the exception it raised.

        Raises:
            RankError: A rank hung or died.
        """
        self._grow(size)
        store = Path(self._folder.name) / f'store{next(self._calls)}'
        members = self._members[:size]
        call = pickle.dumps((function, args))
        for rank, (_, pipe) in enumerate(members):
            pipe.send_bytes(pickle.dumps((rank, size, str(store), call)))
        answers = self._receive(members, function.__qualname__)
        for _, pipe in members:
            pipe.send_bytes(b'leave')
        return [value for _, value in answers]

    def close(self) -> None:
        """End all processes."""
        for process, pipe in self._members:
            pipe.close()
            process.kill()
            process.join()
        self._members = []

    def _grow(self, size: int) -> None:
        new = []
        while len(self._members) < size:
            ours, theirs = self._context.Pipe()
            process = self._context.Process(
                target=_serve, args=(theirs,), daemon=True
            )
            process.start()
            theirs.close()
            self._members.append((process, ours))
            new.append(self._members[-1])
        self._receive(new, 'start')

    def _receive(self, members: list, what: str) -> list:
        """One answer of each member, in their order."""
        pipes = [pipe for _, pipe in members]
        answers = {}
        deadline = time.monotonic() + _CALL_SECONDS
        while len(answers) < len(pipes):
            left = [pipe for pipe in pipes if pipe not in answers]
            ready = wait(left, max(deadline - time.monotonic(), 0))
            problem = None if ready else f'no answer in {_CALL_SECONDS} s'
            for pipe in ready:
                try:
                    answers[pipe] = pipe.recv()
                except (EOFError, ConnectionError):
                    left, problem = [pipe], 'died'
                    break
            if problem:
                self.close()
                who = ', '.join(str(pipes.index(pipe)) for pipe in left)
                raise RankError(
                    f'{what}: rank {who} of {len(pipes)} {problem}'
                )
        return [answers[pipe] for pipe in pipes]


class Ranks:
    """`k` ranks of a pool, as the fixture `ranks` hands them to tests."""

    def __init__(self, pool: RankPool, size: int) -> None:
        self.pool, self.size = pool, size

    def __call__(self, function: Callable, *args) -> list:
        """The results of all ranks; raises what the first failing raised."""
        outcomes = self.outcomes(function, *args)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
        return outcomes

    def outcomes(self, function: Callable, *args) -> list:
        """The results of all ranks, or the exceptions they raised."""
        return self.pool.outcomes(self.size, function, *args)
