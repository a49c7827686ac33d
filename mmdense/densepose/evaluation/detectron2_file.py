"""The predictions that detectron2's DensePose evaluator saves.

`coco_densepose_predictions.pth`: a pickled list, in it objects of a class of
detectron2's DensePose project. Read without that project, and without letting
the file run code.
"""

import pickle
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch

_OTHER_KINDS = {
    'embedding': 'continuous surface embeddings (CSE), not charts',
    'record_id': 'references to a storage of another run '
    '(DENSEPOSE_EVALUATION.STORAGE); set it to none',
}


class _ChartResult:
    """Stands in for `DensePoseChartResultQuantized`."""

    labels_uv_uint8: torch.Tensor


_ALLOWED: dict[tuple[str, str], Any] = {
    (
        'densepose.structures.chart_result',
        'DensePoseChartResultQuantized',
    ): _ChartResult,
    ('collections', 'OrderedDict'): dict,
    ('torch._utils', '_rebuild_tensor_v2'): torch._utils._rebuild_tensor_v2,
}


class _Unpickler(pickle.Unpickler):
    """Unpickles tensors and the results of charts, nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """What is allowed; torch itself handles storages."""
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(
                f'it holds {module}.{name}, expected results of charts only'
            )
        return _ALLOWED[module, name]


# torch.load takes a module.
_PICKLE = types.ModuleType('restricted_pickle')
_PICKLE.Unpickler = _Unpickler
_PICKLE.load = lambda file, **options: _Unpickler(file, **options).load()


def read_detectron2(path: str | Path) -> list[dict[str, Any]]:
    """Read such a file.

    Args:
        path: The file.

    Returns:
        For each detection `image_id`, `category_id` (classes from 0), `bbox`
        (x, y, width, height), `score` and `iuv`, (3, h, w) uint8.

    Raises:
        ValueError: It is damaged, of another kind, or not of charts.
    """
    try:
        entries = torch.load(
            path,
            map_location='cpu',
            pickle_module=_PICKLE,
            weights_only=False,
        )
    except Exception as error:
        # Damaged bytes may be any instruction to the unpickler.
        raise ValueError(
            f'{path} is truncated or not the predictions of detectron2 '
            f'({type(error).__name__}: {error})'
        ) from error
    if not isinstance(entries, list):
        raise ValueError(
            f'{path} holds a {type(entries).__name__}, expected the list of '
            "predictions of detectron2's DensePoseCOCOEvaluator"
        )
    return [
        _read(entry, f'{path}: detection {number}')
        for number, entry in enumerate(entries)
    ]


def _read(entry: Any, where: str) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise ValueError(f'{where} is a {type(entry).__name__}, not a dict')
    for key, what in _OTHER_KINDS.items():
        if key in entry:
            raise ValueError(f'{where} holds {what}')
    names = ('image_id', 'category_id', 'bbox', 'score')
    missing = [name for name in (*names, 'densepose') if name not in entry]
    iuv = getattr(entry.get('densepose'), 'labels_uv_uint8', None)
    if missing or not isinstance(iuv, torch.Tensor):
        lost = ', '.join(missing) or 'densepose.labels_uv_uint8'
        raise ValueError(f'{where} has no {lost}')
    return {
        **{name: entry[name] for name in names},
        'iuv': np.ascontiguousarray(iuv.numpy()),
    }
