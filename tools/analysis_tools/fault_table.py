"""What happens to checkpoints when things go wrong, as a table in Markdown.

Real trainings of a toy model are killed, run out of space and find damaged
files; each is resumed and its end compared, bit for bit, with a run that
nothing happened to. Needs a clone of the repository, as it shares the toy
with the tests. The documentation's table:

    python tools/analysis_tools/fault_table.py --kills 50
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault('OMP_NUM_THREADS', '1')
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from rich.console import Console
from rich.progress import track

from tests import fault_training as training

_EPOCHS = 4
Row = dict[str, Any]


def kills(folder: Path, number: int, size: int, seed: int) -> Row:
    """SIGKILL to all ranks at random moments, half of them while saving."""
    rng = random.Random(seed)
    reference = training.Processes(folder / 'whole', size, _EPOCHS, False)
    started = time.monotonic()
    assert reference.wait() == [0] * size, reference.errors()
    length = time.monotonic() - started
    expected = training.final(folder / 'whole')
    done = rounds = saving = from_scratch = 0
    started = time.monotonic()
    bar = iter(
        track(range(number), f'kills, {size} ranks', console=_console())
    )
    while done < number:
        work_dir = folder / f'round_{rounds}'
        ever_saved = False
        while True:
            run = training.Processes(work_dir, size, _EPOCHS, True)
            if done < number:
                aimed = rng.random() < 0.5
                was_saving = _kill(run, rng, length, aimed)
                if was_saving is not None:
                    done += 1
                    saving += was_saving
                    next(bar, None)
            codes = run.wait()
            if codes == [0] * size:
                break
            assert set(codes) == {-9}, run.errors()
            # Raises if any checkpoint is not whole.
            saved = training.complete_checkpoints(work_dir)
            assert saved or not ever_saved, 'the last checkpoint is lost'
            ever_saved = ever_saved or bool(saved)
            from_scratch += not saved
        assert training.equal(training.final(work_dir), expected)
        shutil.rmtree(work_dir)
        rounds += 1
    list(bar)
    return dict(
        fault=f'SIGKILL to a training of {size} rank(s)',
        times=done,
        outcome=f'{saving} while saving, {from_scratch} before the first '
        'save; a whole checkpoint after each other; '
        f'{rounds} trainings resumed to their end, equal to an undisturbed '
        'one bit for bit',
        seconds=time.monotonic() - started,
    )


def _kill(
    run: training.Processes, rng: random.Random, length: float, aimed: bool
) -> bool | None:
    """Kill it; returns whether it was saving, None if it had ended."""
    stop = time.monotonic() + rng.uniform(0.0, length)
    skip = rng.randrange(4)
    seen = False
    while run.alive():
        partial = any(run.work_dir.glob('.*.partial'))
        if aimed and partial and not seen:
            skip -= 1
            if skip < 0:
                time.sleep(rng.uniform(0, 0.02))
                run.kill()
                return True
        seen = partial
        if not aimed and time.monotonic() > stop:
            run.kill()
            return partial
        time.sleep(0.0005)
    return None


def no_space(folder: Path, size: int) -> Iterator[Row]:
    """A limit on the size of files, which needs no root."""
    whole = training.Processes(folder / 'whole', size, _EPOCHS, False)
    assert whole.wait() == [0] * size, whole.errors()
    expected = training.final(folder / 'whole')
    (pth,) = (folder / 'whole').glob('*.pth')
    shard = max(
        path.stat().st_size
        for path in pth.with_suffix('.shards').glob('*.safetensors')
    )
    for what, limit in (('shards', shard // 2), ('.pth', shard + 512)):
        work_dir = folder / what.strip('.')
        started = time.monotonic()
        hook = dict(
            type='mmdense.FaultHook', iteration=9, kind='no space', limit=limit
        )
        run = training.Processes(
            work_dir, size, _EPOCHS, False, custom_hooks=[hook]
        )
        codes = run.wait()
        assert codes == [1] * size, (codes, run.errors())
        seconds = time.monotonic() - started
        for text in run.errors():
            assert 'File too large' in text, text
        (kept,) = training.complete_checkpoints(work_dir)
        assert kept.name == 'iter_6.pth'
        assert not list(work_dir.glob('.*.partial'))
        run = training.Processes(work_dir, size, _EPOCHS, True)
        assert run.wait() == [0] * size, run.errors()
        assert training.equal(training.final(work_dir), expected)
        yield dict(
            fault=f'no space for the {what}',
            times=1,
            outcome='error on all ranks; the checkpoint before is whole, '
            'nothing half written is left; resumed, equal to an undisturbed '
            'run bit for bit',
            seconds=seconds,
        )


def _damages() -> dict[str, tuple[Callable[[Path, Path], None], str]]:
    """What is done to (`.pth`, shards), and what the error names."""

    def shard(folder: Path) -> Path:
        return sorted(folder.glob('*.safetensors'))[-1]

    def truncate(path: Path) -> None:
        os.truncate(path, path.stat().st_size // 2)

    def of_another_step(pth: Path, folder: Path) -> None:
        shutil.rmtree(folder)
        shutil.copytree(pth.with_name('iter_6.shards'), folder)

    name, manifest = 'rank_00001_of_00002.safetensors', 'manifest.json'
    rewrite = training.rewrite_manifest
    return {
        'shard file truncated': (lambda p, f: truncate(shard(f)), name),
        'shard file with a flipped bit': (
            lambda p, f: training.flip_a_bit(shard(f)),
            name,
        ),
        'shard file missing': (lambda p, f: shard(f).unlink(), name),
        'folder of shards missing': (
            lambda p, f: shutil.rmtree(f),
            'iter_9.shards',
        ),
        'manifest missing': (lambda p, f: (f / manifest).unlink(), manifest),
        'manifest truncated': (lambda p, f: truncate(f / manifest), manifest),
        'manifest of another C': (
            lambda p, f: rewrite(f, num_rows=24),
            manifest,
        ),
        'manifest of another d': (lambda p, f: rewrite(f, dim=5), manifest),
        'shards of another step': (of_another_step, manifest),
        '`.pth` truncated': (lambda p, f: truncate(p), 'iter_9.pth'),
        '`.pth` with a flipped bit': (
            lambda p, f: training.flip_a_bit(p),
            'iter_9.pth',
        ),
        '`.pth` missing': (lambda p, f: p.unlink(), 'iter_9.pth'),
    }


def damaged(folder: Path, size: int = 2) -> Iterator[Row]:
    """Files that are not what was written, met by `--resume PATH`."""
    run = training.Processes(
        folder / 'good', size, 1, False, dict(max_keep_ckpts=-1)
    )
    assert run.wait() == [0] * size, run.errors()
    damages = _damages()
    for number, fault in enumerate(
        track(damages, 'damages', console=_console())
    ):
        damage, name = damages[fault]
        work_dir = folder / f'damage_{number}'
        shutil.copytree(folder / 'good', work_dir)
        pth = work_dir / 'iter_9.pth'
        damage(pth, pth.with_suffix('.shards'))
        started = time.monotonic()
        run = training.Processes(work_dir, size, 2, True, load_from=str(pth))
        codes = run.wait()
        seconds = time.monotonic() - started
        assert codes == [1] * size, (fault, codes, run.errors())
        for text in run.errors():
            last = text[text.rindex('[rank ') :]
            assert name in last, (fault, text)
            assert 'resume' in last, (fault, text)
        yield dict(
            fault=fault,
            times=1,
            outcome=f'error on both ranks that names `{name}` and the remedy',
            seconds=seconds,
        )


def one_rank(folder: Path, size: int = 2) -> Iterator[Row]:
    """Only one rank fails, in the midst of training."""
    for kind, what in (('kill', 'SIGKILL to'), ('raise', 'exception on')):
        started = time.monotonic()
        hook = dict(type='mmdense.FaultHook', iteration=10, kind=kind)
        work_dir = folder / kind
        run = training.Processes(
            work_dir, size, _EPOCHS, False, custom_hooks=[hook]
        )
        codes = run.wait()
        seconds = time.monotonic() - started
        assert codes == [1, -9 if kind == 'kill' else 1], codes
        text = run.errors()[0]
        assert '[rank 0 of 2]' in text, text
        (kept,) = training.complete_checkpoints(work_dir)
        yield dict(
            fault=f'{what} one of {size} ranks',
            times=1,
            outcome='the other ends with a message and exit code 1; '
            f'`{kept.name}` is whole',
            seconds=seconds,
        )


def all_faults(folder: Path, args: argparse.Namespace) -> Iterator[Row]:
    """Every row of the table, as it is found."""
    if 'kills' in args.only:
        for size in args.ranks:
            share = args.kills // len(args.ranks)
            yield kills(folder / f'kills_{size}', share, size, args.seed)
    if 'space' in args.only:
        yield from no_space(folder / 'space', 2)
    if 'damage' in args.only:
        yield from damaged(folder / 'damage')
    if 'rank' in args.only:
        yield from one_rank(folder / 'rank')


def _console() -> Console:
    return Console(stderr=True)


def main() -> None:
    """Print the table, or write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--kills', type=int, default=50, help='in all')
    parser.add_argument('--ranks', type=int, nargs='+', default=[1, 2])
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--only',
        nargs='+',
        choices=['kills', 'space', 'damage', 'rank'],
        default=['kills', 'space', 'damage', 'rank'],
    )
    parser.add_argument('--json', type=Path, help='write the rows here, too')
    args = parser.parse_args()
    rows = []
    print('| fault | times | outcome | seconds |\n|---|---|---|---|')
    with tempfile.TemporaryDirectory() as folder:
        for row in all_faults(Path(folder), args):
            rows.append(row)
            print(
                f'| {row["fault"]} | {row["times"]} | {row["outcome"]} '
                f'| {row["seconds"]:.1f} |',
                flush=True,
            )
    if args.json:
        args.json.write_text(json.dumps(rows))


if __name__ == '__main__':
    main()
