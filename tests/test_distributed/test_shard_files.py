"""Files of shards: written by some ranks, read by others."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist

from mmdense.distributed import shard_reading
from mmdense.distributed.collectives import rank
from mmdense.distributed.shard_files import (
    MANIFEST,
    row_slots,
    write_shards,
)
from mmdense.distributed.shard_reading import (
    read_manifest,
    read_range,
    read_rows,
)
from mmdense.distributed.sharding import (
    ShardedTable,
    draw_rows,
    shard_range,
)

_DIM = 4


def _tables(num_rows):
    return {
        'head.centers': ShardedTable(num_rows, _DIM, std=1.0, seed=1),
        'other': ShardedTable(3, 2, std=1.0, seed=2),
    }


def _write(folder, num_rows):
    tables = _tables(num_rows)
    start, stop = tables['head.centers'].start, tables['head.centers'].stop
    slots = {
        'head.centers': dict(
            momentum_buffer=draw_rows(start, stop, _DIM, 1.0, 7)
        ),
        'other': {},
    }
    write_shards(Path(folder), tables, slots, dict(iter=12))


def _read(folder, num_rows):
    folder = Path(folder)
    manifest = read_manifest(folder)
    return manifest, {
        name: {
            slot: value.numpy()
            for slot, value in read_rows(folder, manifest, name, table).items()
        }
        for name, table in _tables(num_rows).items()
    }


@pytest.mark.parametrize(
    ('writers', 'readers'),
    [(1, 1), (1, 3), (3, 1), (2, 3), (3, 2), (2, 2)],
)
@pytest.mark.parametrize('num_rows', [13, 2])  # 2: a rank without rows
def test_any_number_reads_what_any_number_wrote(
    ranks, tmp_path, num_rows, writers, readers
):
    folder = tmp_path / 'epoch_1.shards'
    ranks(writers)(_write, str(folder), num_rows)
    assert sorted(path.name for path in tmp_path.iterdir()) == [folder.name]
    assert len(list(folder.glob('*.safetensors'))) == writers
    results = ranks(readers)(_read, str(folder), num_rows)
    manifest = results[0][0]
    assert manifest['world_size'] == writers
    assert manifest['iter'] == 12
    for name, slot, dim, seed, rows in (
        ('head.centers', 'weight', _DIM, 1, num_rows),
        ('head.centers', 'momentum_buffer', _DIM, 7, num_rows),
        ('other', 'weight', 2, 2, 3),
    ):
        parts = [tables[name][slot] for _, tables in results]
        together = np.concatenate(parts)
        expected = draw_rows(0, rows, dim, 1.0, seed).numpy()
        assert np.array_equal(together, expected)
    assert set(results[0][1]['other']) == {'weight'}


@pytest.mark.parametrize('num_rows', [13, 2])  # 2: a rank without rows
def test_only_parts_are_put_together(ranks, tmp_path, monkeypatch, num_rows):
    """A range in one file is not copied: a table is large."""
    folder = tmp_path / 'epoch_1.shards'
    ranks(3)(_write, str(folder), num_rows)
    manifest = read_manifest(folder)
    copies = []

    def cat(parts, *args, concatenate=torch.cat):
        copies.append(len(parts))
        return concatenate(parts, *args)

    monkeypatch.setattr(shard_reading.torch, 'cat', cat)
    expected = draw_rows(0, num_rows, _DIM, 1.0, 1)
    cuts = [shard_range(num_rows, rank, 3) for rank in range(3)]
    for start in range(num_rows + 1):
        for stop in range(start, num_rows + 1):
            copies.clear()
            found = read_range(
                folder, manifest, 'head.centers', 'weight', start, stop
            )
            assert torch.equal(found, expected[start:stop])
            touched = sum(max(start, a) < min(stop, b) for a, b in cuts)
            assert copies == ([touched] if touched > 1 else [])


def test_a_new_save_replaces_the_old_and_what_a_killed_one_left(tmp_path):
    folder = tmp_path / 'iter_5.shards'
    partial = tmp_path / '.iter_5.shards.partial'
    partial.mkdir()
    (partial / 'rank_00000_of_00009.safetensors').write_bytes(b'half a fi')
    with pytest.raises(FileNotFoundError):
        read_manifest(folder)  # what is half written is not visible
    _write(folder, 13)
    (folder / 'stale').touch()
    _write(folder, 6)
    assert not partial.exists()
    assert sorted(path.name for path in folder.iterdir()) == [
        MANIFEST,
        'rank_00000_of_00001.safetensors',
    ]
    _, tables = _read(folder, 6)
    assert tables['head.centers']['weight'].shape == (6, _DIM)


def test_clear_errors_for_what_is_missing_or_other(tmp_path):
    folder = tmp_path / 'epoch_1.shards'
    with pytest.raises(FileNotFoundError, match='Copy the folder along'):
        read_manifest(folder)
    _write(folder, 13)
    manifest = read_manifest(folder)
    table = ShardedTable(14, _DIM)
    with pytest.raises(ValueError, match=r'\(13, 4\).*\(14, 4\)'):
        read_rows(folder, manifest, 'head.centers', table)
    table = ShardedTable(13, 5)
    with pytest.raises(ValueError, match=r'\(13, 4\).*\(13, 5\)'):
        read_rows(folder, manifest, 'head.centers', table)
    with pytest.raises(ValueError, match='None'):
        read_rows(folder, manifest, 'elsewhere', table)
    table = ShardedTable(13, _DIM)
    next(folder.glob('*.safetensors')).unlink()
    with pytest.raises(FileNotFoundError, match='rows 0 to 13') as info:
        read_rows(folder, manifest, 'head.centers', table)
    assert 'rank_00000_of_00001' in str(info.value)
    (folder / MANIFEST).write_text(json.dumps(dict(manifest, format=99)))
    with pytest.raises(ValueError, match='got format 99'):
        read_manifest(folder)


def _write_where_only_some_can(folder):
    """Rank 1's file cannot be written: its name is taken by a folder."""
    table = ShardedTable(6, 2)

    class Broken(dict):
        def items(self):
            raise OSError('disk full')

    slots = {'t': Broken() if rank() == 1 else {}}
    write_shards(Path(folder), {'t': table}, slots, {})


def test_all_ranks_learn_of_a_failed_write(ranks, tmp_path):
    folder = tmp_path / 'epoch_1.shards'
    folder.mkdir()
    (folder / 'old').touch()
    outcomes = ranks(3).outcomes(_write_where_only_some_can, str(folder))
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [RuntimeError, OSError, RuntimeError]
    assert 'rank 1 failed: OSError' in str(outcomes[2])
    assert 'could not be written: disk full' in str(outcomes[2])
    assert not list(tmp_path.glob('.*.partial'))
    # What was there before is still whole.
    assert (folder / 'old').exists()


def test_row_slots_are_those_with_a_row_per_row():
    table = ShardedTable(5, 3)
    state = dict(
        momentum_buffer=torch.zeros(5, 3),
        step=torch.tensor(4.0),
        name='x',
        other=torch.zeros(3, 5),
    )
    assert set(row_slots(state, table)) == {'momentum_buffer'}


def _world():
    return dist.get_world_size()


def test_the_pool_is_alive_after_errors(ranks):
    assert ranks(3)(_world) == [3, 3, 3]
