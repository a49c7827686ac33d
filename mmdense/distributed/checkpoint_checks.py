"""What is checked before a run starts or goes on."""

import zipfile
from pathlib import Path

from mmengine.runner import Runner

from .atomic_files import write_atomically


def last_checkpoint(runner: Runner) -> Path | None:
    """The file that mmengine takes for the latest checkpoint, if any."""
    note = Path(runner.work_dir) / 'last_checkpoint'
    name = note.read_text().strip() if note.is_file() else ''
    return Path(name) if name else None


def repair_last_checkpoint(
    runner: Runner, folder: Path, filename_tmpl: str
) -> None:
    """See that `last_checkpoint` names a file; for rank 0.

    mmengine writes this note in place, after the checkpoint: a process
    killed then leaves it empty, or none. The newest checkpoint is named
    instead.

    Args:
        runner: The runner.
        folder: Where its checkpoints are.
        filename_tmpl: How they are called.
    """
    latest = last_checkpoint(runner)
    if latest is not None and latest.is_file():
        return
    found = [
        path
        for path in folder.glob(filename_tmpl.format('*'))
        if not path.name.startswith(('.', 'best_'))
    ]
    if not found:
        return
    newest = max(found, key=lambda path: path.stat().st_mtime_ns)
    runner.logger.warning(
        f'last_checkpoint names {latest or "no file"}, as after a run that '
        f'was killed while saving; resuming from {newest}'
    )
    note = Path(runner.work_dir) / 'last_checkpoint'
    write_atomically(note, str(newest).encode())


def check_checkpoint_file(runner: Runner) -> None:
    """See that the `.pth` to resume from is whole; for rank 0.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: It is truncated or its content has changed.
    """
    path = runner._load_from or last_checkpoint(runner)
    if path is None or '://' in str(path):
        return
    path = Path(path)
    remedy = (
        'copy it again from where it was saved, or resume from another '
        'checkpoint with --resume PATH'
    )
    if not path.is_file():
        raise FileNotFoundError(f'{path} is missing; {remedy}')
    try:
        with zipfile.ZipFile(path) as file:
            # Each entry has a CRC-32.
            broken = file.testzip()
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise ValueError(f'{path} is damaged ({error}); {remedy}') from error
    if broken is not None:
        raise ValueError(f'{path} is damaged at {broken}; {remedy}')


def folder_of(runner: Runner, name: str) -> Path:
    """The folder of shards, beside the checkpoint that is being read.

    Args:
        runner: The runner.
        name: The folder's name when it was saved. One that is called like
            the checkpoint now, as both were renamed, comes first.
    """
    path = runner._load_from or last_checkpoint(runner)
    return shards_beside(Path(path or runner.work_dir), name)


def shards_beside(path: Path, name: str) -> Path:
    """The shards of the checkpoint `path`; see :func:`folder_of`."""
    renamed = path.with_suffix('.shards')
    return renamed if renamed.is_dir() else path.with_name(name)
