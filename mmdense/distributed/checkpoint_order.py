"""The order in which files appear and disappear while saving."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmengine.runner import Runner

from .collectives import raise_on_all_ranks


class RemovesLater:
    """A file backend that only notes what mmengine wants to remove.

    It removes an old checkpoint before it has written the new one.
    """

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.paths: list[Path] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def remove(self, path: str | Path) -> None:
        """Note that `path` is to be removed."""
        self.paths.append(Path(path))

    rmtree = remove

    def take(self) -> list[Path]:
        """What was to be removed; none of it is pending any more."""
        paths, self.paths = self.paths, []
        return paths


class ShardsFirst:
    """A runner whose checkpoints come after their shards.

    mmengine's hook calls `runner.save_checkpoint` on all ranks, for periodic
    checkpoints and for the best, with the name it has chosen.
    """

    def __init__(self, runner: Runner, write_shards: Callable) -> None:
        self._runner = runner
        self._write_shards = write_shards
        #: The checkpoints saved so far.
        self.saved: list[Path] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    def save_checkpoint(
        self, out_dir: str, filename: str, *args: Any, **kwargs: Any
    ) -> None:
        """Write the shards, then the `.pth`; errors on all ranks."""
        path = Path(out_dir) / filename
        self._write_shards(self._runner, path, kwargs['meta'])
        self.saved.append(path)
        error = None
        try:
            self._runner.save_checkpoint(out_dir, filename, *args, **kwargs)
        except Exception as e:
            error = e
        raise_on_all_ranks(error)


def remove_checkpoint(path: Path) -> None:
    """Remove a `.pth` and its shards."""
    path.unlink(missing_ok=True)
    shutil.rmtree(path.with_suffix('.shards'), ignore_errors=True)
