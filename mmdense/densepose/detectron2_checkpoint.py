"""Checkpoints of detectron2's DensePose, converted.

The model zoo's are pickles of arrays (`model_final_*.pkl`), those of a
training are `.pth` files of PyTorch. Neither is trusted: nothing but numbers
is read from them.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmdense.distributed.checkpoint_files import load_plain, save_plain

from .array_pickle import ArrayUnpickler
from .detectron2_keys import keys_to_mmdense, model_options


class _Unpickler(ArrayUnpickler):
    allowed = ArrayUnpickler.allowed | {
        ('numpy.core.multiarray', 'scalar'),
        ('collections', 'OrderedDict'),
    }


def read_detectron2(path: str | Path) -> dict[str, Tensor]:
    """The parameters of a checkpoint, by detectron2's names.

    Args:
        path: `.pkl` of the model zoo, or `.pth` of a training.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: It is damaged, of another kind, or holds more than
            numbers.
    """
    path = Path(path)
    content = _read_pickle(path) if path.suffix == '.pkl' else load_plain(path)
    state = content.get('model', content) if isinstance(content, dict) else {}
    tensors = {}
    for name, value in state.items():
        if isinstance(value, np.ndarray) and value.dtype.kind in 'fiu':
            value = torch.from_numpy(np.array(value))
        if not isinstance(value, Tensor) or not isinstance(name, str):
            raise ValueError(
                f'{path}: {name!r} is a {type(value).__name__}, expected '
                'arrays or tensors of numbers, by name'
            )
        tensors[name] = value
    if not tensors:
        raise ValueError(
            f'{path} holds no parameters, expected a checkpoint of '
            "detectron2: a dict with 'model'"
        )
    return tensors


def _read_pickle(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f'{path} does not exist')
    try:
        with path.open('rb') as file:
            # latin1 is how numpy's arrays pickled by Python 2 are read.
            return _Unpickler(file, encoding='latin1').load()
    except Exception as error:
        # Damaged bytes may be any instruction to the unpickler.
        raise ValueError(
            f'{path} is damaged or not of the model zoo of detectron2 '
            f'({type(error).__name__}: {error})'
        ) from error


def from_detectron2(path: str | Path, out: str | Path) -> dict[str, Any]:
    """Convert to a checkpoint for `load_from` and `tools/test.py`.

    Args:
        path: See :func:`read_detectron2`.
        out: The `.pth` to write.

    Returns:
        What the model is, as changes to `model` of
        `configs/_base_/models/densepose-rcnn_r50_fpn.py`.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: It is not a model that can be converted.
    """
    try:
        state = keys_to_mmdense(read_detectron2(path))
        options = model_options(state)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    meta = {
        'converted_from': "detectron2's DensePose",
        'dataset_meta': {'classes': ('person',)},
    }
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_plain(dict(meta=meta, state_dict=state), out)
    return options
