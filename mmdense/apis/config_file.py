"""Read a config file, with errors that say what to do."""

import difflib
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config

from ..compat.versions import SIBLINGS, is_available
from .libraries import advice

_REPOSITORY = Path(__file__).resolve().parents[2]


def load_config(path: str) -> Config:
    """Read a config, after `mmdense` so that it may inherit `mmdense::`.

    Args:
        path: The config file.

    Returns:
        The config.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: A base is from a library that is not installed.
    """
    if not Path(path).is_file():
        near = _near_configs(path)
        hint = f'; did you mean {" or ".join(near)}?' if near else ''
        raise FileNotFoundError(
            f'{path} does not exist, expected a config file{hint}'
        )
    try:
        return Config.fromfile(path)
    except ImportError as error:
        missing = [
            library
            for library in SIBLINGS
            if library in str(error) and not is_available(library)
        ]
        if not missing:
            raise
        raise ImportError(
            f'{path} inherits from {" and ".join(missing)}, not installed. '
            + ' '.join(advice(library) for library in missing)
        ) from error


def _near_configs(path: str) -> list[str]:
    known = list(dict.fromkeys(_known_configs()))
    near = difflib.get_close_matches(path, known, n=3, cutoff=0.8)
    if near:
        return near
    # Right name, wrong folder; or nearly the right name.
    by_name: dict[str, str] = {}
    for config in known:
        by_name.setdefault(Path(config).name, config)
    names = difflib.get_close_matches(Path(path).name, by_name, 3, 0.75)
    return [by_name[name] for name in names]


def _known_configs() -> Iterator[str]:
    here = Path.cwd()
    for folder in (here / 'configs', _REPOSITORY / 'configs'):
        for config in sorted(folder.rglob('*.py')):
            inside = config.is_relative_to(here)
            yield str(config.relative_to(here) if inside else config)
