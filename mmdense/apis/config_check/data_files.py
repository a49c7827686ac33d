"""Which files that a dataset or a metric names do not exist."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..config_walk import raw_get

_FILES = ('ann_file', 'data_file', 'idx_file', 'proposal_file', 'rec_file')


def missing_files(cfg: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the keys of a component whose file or folder is not there.

    Paths are joined with `data_root` as mmengine's datasets do; addresses
    such as `s3://...` are left alone.

    Args:
        cfg: The dict of one component.

    Yields:
        The key and the path that is missing.
    """
    root = raw_get(cfg, 'data_root')
    root = root if isinstance(root, str) else ''
    if root and not _exists(root):
        # One warning rather than one for each file below.
        yield 'data_root', root
        return
    for key in _FILES:
        value = raw_get(cfg, key)
        if isinstance(value, str) and value:
            yield from _check(key, root, value)
    prefixes = raw_get(cfg, 'data_prefix')
    if isinstance(prefixes, str):
        yield from _check('data_prefix', root, prefixes)
    elif isinstance(prefixes, dict):
        for key, value in dict.items(prefixes):
            if isinstance(value, str):
                yield from _check(f'data_prefix.{key}', root, value)


def _check(key: str, root: str, value: str) -> Iterator[tuple[str, str]]:
    path = value if '://' in value else str(Path(root, value))
    if not _exists(path):
        yield key, path


def _exists(path: str) -> bool:
    return '://' in path or Path(path).exists()
