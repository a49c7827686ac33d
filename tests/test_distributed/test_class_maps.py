"""Which old class each new one is."""

import json

import numpy as np
import pytest

from mmdense.distributed.class_maps import resolve_class_map

_OLD, _NEW = ['a', 'b', 'c'], ['c', 'x', 'a', 'y']


@pytest.mark.parametrize(
    ('class_map', 'sizes', 'names', 'expected'),
    [
        ('auto', (3, 4), (_OLD, _NEW), [2, -1, 0, -1]),
        ('auto', (3, 3), (_OLD, None), [0, 1, 2]),
        ('auto', (3, 3), (None, None), [0, 1, 2]),
        # Names of something else than the centers do not count.
        ('auto', (3, 3), (_OLD, _NEW), [0, 1, 2]),
        ('name', (3, 4), (_OLD, _NEW), [2, -1, 0, -1]),
        ('index', (3, 4), (_OLD, _NEW), [0, 1, 2, -1]),
        ('index', (3, 2), (None, None), [0, 1]),
        ('none', (3, 2), (None, None), [-1, -1]),
        ([1, 1, -1], (3, 3), (None, None), [1, 1, -1]),
        ({1: 2, 3: 0}, (3, 4), (None, None), [-1, 2, -1, 0]),
        ({'1': 2}, (3, 2), (None, None), [-1, 2]),  # as JSON has it
    ],
)
def test_maps(class_map, sizes, names, expected):
    rows = resolve_class_map(class_map, *sizes, *names)
    assert rows.tolist() == expected


def test_maps_from_files(tmp_path):
    path = tmp_path / 'map.json'
    path.write_text(json.dumps({'0': 2}))
    assert resolve_class_map(str(path), 3, 2).tolist() == [2, -1]
    path.write_text('[-1, 1]')
    assert resolve_class_map(path, 3, 2).tolist() == [-1, 1]
    np.save(tmp_path / 'map.npy', np.array([2, -1]))
    found = resolve_class_map(str(tmp_path / 'map.npy'), 3, 2)
    assert found.tolist() == [2, -1]


@pytest.mark.parametrize(
    ('class_map', 'names', 'message'),
    [
        ('auto', (None, _NEW), r'has 3 classes, the model 4.*class_map'),
        ('name', (None, _NEW), 'of the checkpoint names no'),
        ('name', (_OLD, None), 'of the model names no'),
        ('name', (_OLD, ['a', 'b', 'b', 'c']), "'b' names two"),
        ('name', (_OLD, ['p', 'q', 'r', 's']), 'none of the 4'),
        ([0, 1, 2], (None, None), r'shape \(3,\).*each of the 4'),
        ([0.5, 1, 2, 3], (None, None), 'expected an integer'),
        ([0, 1, 2, 3], (None, None), 'old class 3, expected -1 to 2'),
        ({4: 0}, (None, None), 'new class 4, expected 0 to 3'),
        ([-1, -1, -1, -1], (None, None), 'none of the 4'),
        ('nmae', (None, None), "'nmae', expected one of"),
        ('gone.json', (None, None), 'does not exist'),
    ],
)
def test_maps_that_do_not_fit(class_map, names, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        resolve_class_map(class_map, 3, 4, *names)
