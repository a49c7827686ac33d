"""Reading and writing `.pth` files of plain types."""

import io
import pickle
from pathlib import Path
from typing import Any

import torch

from .atomic_files import write_atomically


def load_plain(path: Path) -> Any:
    """A checkpoint, without running any code that it may contain.

    Tensors are mapped from the file where its format allows.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: It is damaged or of other types than tensors and
            Python's own.
    """
    if not path.is_file():
        raise FileNotFoundError(f'{path} does not exist')
    errors = (RuntimeError, pickle.UnpicklingError, EOFError)
    try:
        return torch.load(
            path, map_location='cpu', weights_only=True, mmap=True
        )
    except errors:  # maybe the format before torch 1.6
        try:
            return torch.load(path, map_location='cpu', weights_only=True)
        except errors as error:
            raise ValueError(
                f'{path} cannot be read safely; expected a checkpoint of '
                f'tensors and plain types. {error}'
            ) from error


def save_plain(content: Any, path: Path) -> None:
    """Write a checkpoint, so that `path` is never half written."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())
