"""Which row of an old table each row of a new one comes from."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

#: The maps that have a name.
NAMED_MAPS = ('auto', 'name', 'index', 'none')

ClassMap = str | Sequence[int] | Mapping[int, int]


def resolve_class_map(
    class_map: ClassMap,
    num_old: int,
    num_new: int,
    old_names: Sequence[str] | None = None,
    new_names: Sequence[str] | None = None,
) -> Tensor:
    """The old row of each new row.

    Args:
        class_map: `'name'` matches the names of classes; `'index'` keeps row
            numbers, so that classes beyond the shorter table are new or
            unused; `'none'` takes no row; `'auto'` is by name where both
            sides have names, else by index where the sizes agree. Or the
            map itself: the old row of each new one, -1 for none, or a
            dictionary of those that have one, or the path of a `.json` or
            `.npy` file with either.
        num_old: Classes of the checkpoint.
        num_new: Classes of the model.
        old_names: Names of the old classes, in order.
        new_names: Names of the new classes, in order.

    Returns:
        (num_new,) int64, -1 where a class is new.

    Raises:
        ValueError: The map does not fit the tables, names are missing or
            ambiguous, or no class is matched.
        FileNotFoundError: The file of a map does not exist.
    """
    old_names = _usable(old_names, num_old)
    new_names = _usable(new_names, num_new)
    if class_map == 'auto':
        if old_names and new_names:
            class_map = 'name'
        elif num_old == num_new:
            class_map = 'index'
        else:
            raise ValueError(
                f'the checkpoint has {num_old} classes, the model {num_new}, '
                'and not both sides name theirs; set class_map of '
                "ShardedCheckpointHook to 'index', to the old row of each "
                "new class, or to 'none' for new centers"
            )
    if class_map == 'none':
        return torch.full((num_new,), -1)
    if class_map == 'index':
        rows = torch.arange(num_new)
        rows[rows >= num_old] = -1
    elif class_map == 'name':
        rows = _by_name(old_names, new_names)
    else:
        rows = _given(class_map, num_old, num_new)
    if not (rows >= 0).any():
        raise ValueError(
            f'none of the {num_new} classes of the model is among the '
            f'{num_old} of the checkpoint; correct class_map of '
            "ShardedCheckpointHook, or set it to 'none' for new centers"
        )
    return rows


def _usable(names: Any, number: int) -> Sequence[str] | None:
    """Names of all classes; None if there are not so many."""
    return names if names is not None and len(names) == number else None


def _by_name(
    old_names: Sequence[str] | None, new_names: Sequence[str] | None
) -> Tensor:
    for whose, names in (('checkpoint', old_names), ('model', new_names)):
        if names is None:
            raise ValueError(
                f"class_map='name', but the data set of the {whose} names no "
                'classes, or not as many as there are centers (metainfo '
                "'classes'); give the old row of each new class instead"
            )
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(
                f'{twice!r} names two classes of the {whose}; give '
                'class_map the old row of each new class instead'
            )
    places = {name: row for row, name in enumerate(old_names or ())}
    return torch.tensor([places.get(name, -1) for name in new_names or ()])


def _given(class_map: Any, num_old: int, num_new: int) -> Tensor:
    if isinstance(class_map, str | Path):
        class_map = _read(Path(class_map))
    if isinstance(class_map, Mapping):
        rows = torch.full((num_new,), -1)
        keys = torch.tensor([int(key) for key in class_map], dtype=torch.int64)
        _check_range(keys, 0, num_new, 'new')
        rows[keys] = torch.tensor(list(class_map.values()), dtype=torch.int64)
    else:
        rows = torch.as_tensor(np.asarray(class_map))
        if rows.shape != (num_new,) or rows.is_floating_point():
            raise ValueError(
                f'class_map has shape {tuple(rows.shape)} and type '
                f'{rows.dtype}, expected an integer for each of the '
                f'{num_new} classes of the model: its old row, or -1'
            )
        rows = rows.to(torch.int64)
    _check_range(rows, -1, num_old, 'old')
    return rows


def _check_range(rows: Tensor, lower: int, upper: int, which: str) -> None:
    outside = rows[(rows < lower) | (rows >= upper)]
    if len(outside):
        raise ValueError(
            f'class_map has the {which} class {outside[0].item()}, expected '
            f'{lower} to {upper - 1}'
        )


def _read(path: Path) -> Any:
    if path.suffix not in ('.json', '.npy'):
        raise ValueError(
            f'class_map is {str(path)!r}, expected one of {NAMED_MAPS}, a '
            'sequence, a dictionary or the path of a .json or .npy file'
        )
    if not path.is_file():
        raise FileNotFoundError(f'class_map: {path} does not exist')
    if path.suffix == '.npy':
        return np.load(path, allow_pickle=False)
    return json.loads(path.read_text())
