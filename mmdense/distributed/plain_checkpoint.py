"""Checkpoints of plain types, which `torch.load` reads without pickle.

mmengine's hold its own classes (the history of the log) and whatever numpy
objects hooks leave in them; `weights_only=True` refuses both.
"""

from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

_TYPE = '__mmdense_type__'


def to_plain(x: Any) -> Any:
    """`x` with histories, arrays and numpy's scalars written as plain types.

    Args:
        x: Nested dictionaries, lists and tuples of anything.

    Returns:
        The same nesting, new containers; tensors are shared.
    """
    if isinstance(x, HistoryBuffer):
        log, count = x.data
        return {
            _TYPE: 'HistoryBuffer',
            'log': to_plain(np.asarray(log)),
            'count': to_plain(np.asarray(count)),
            'max_length': x.max_length,
        }
    if isinstance(x, np.ndarray):
        if x.dtype.kind in 'biuf':
            data: Any = torch.from_numpy(np.ascontiguousarray(x).copy())
        else:
            data = x.tolist()
        return {_TYPE: 'ndarray', 'dtype': str(x.dtype), 'data': data}
    if isinstance(x, np.generic):
        return x.item()
    if isinstance(x, OrderedDict):
        return OrderedDict((k, to_plain(v)) for k, v in x.items())
    if isinstance(x, dict):
        return {to_plain(k): to_plain(v) for k, v in x.items()}
    if isinstance(x, list | tuple | set):
        return type(x)(map(to_plain, x)) if _is_builtin(x) else list(x)
    return x


def from_plain(x: Any) -> Any:
    """The inverse of :func:`to_plain`; numpy's scalars stay Python's."""
    if isinstance(x, dict):
        kind = x.get(_TYPE)
        if kind == 'HistoryBuffer':
            return HistoryBuffer(
                from_plain(x['log']), from_plain(x['count']), x['max_length']
            )
        if kind == 'ndarray':
            return np.asarray(x['data'], dtype=x['dtype'])
        if isinstance(x, OrderedDict):
            return OrderedDict((k, from_plain(v)) for k, v in x.items())
        return {k: from_plain(v) for k, v in x.items()}
    if isinstance(x, list | tuple | set) and _is_builtin(x):
        return type(x)(map(from_plain, x))
    return x


def _is_builtin(x: Any) -> bool:
    return type(x) in (list, tuple, set)
