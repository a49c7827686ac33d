"""Print a config with its bases merged, or which file each setting is from.

python tools/misc/print_config.py CONFIG
python tools/misc/print_config.py CONFIG --origin
"""

import argparse
import ast
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.fileio import load

from mmdense.apis.config_file import load_config

SUFFIXES = ('.py', '.json', '.yaml', '.yml')
BASE = '_base_'
DELETE = '_delete_'
COMMAND_LINE = '--cfg-options'
BY_MMENGINE = 'mmengine, for a base of another package'

# What a config file sets itself shows only before its bases are merged, so
# each file is read again with this line at its end, run in its namespace.
# Not `__own__`: mmengine drops names with two underscores.
OWN = '_settings_of_this_file_'
SNAPSHOT = (
    f"\n{OWN} = __import__('copy').deepcopy({{"
    'k: v if isinstance(v, (dict, str)) else None '
    'for k, v in list(globals().items()) '
    f"if not k.startswith('__') and k != {BASE!r} "
    "and type(v).__name__ not in ('module', 'function')})\n"
)

Origins = dict[tuple[str, ...], str]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'config', help="config file, also of a package: 'mmdet::...'"
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        help='settings to change, as model.backbone.depth=18',
    )
    parser.add_argument(
        '--save-path', type=Path, help='also write the merged config here'
    )
    parser.add_argument(
        '--origin',
        action='store_true',
        help='one line per setting, with the file that set it last',
    )
    args = parser.parse_args()
    if args.save_path and args.save_path.suffix not in SUFFIXES:
        parser.error(
            f'--save-path must end in {", ".join(SUFFIXES)}, got '
            f'{args.save_path}'
        )
    return args


def main() -> int:
    args = parse_args()
    path = locate(args.config)
    cfg = load_config(str(path))
    if args.origin:
        origins = find_origins(path)
        add_options(origins, cfg.to_dict(), args.cfg_options)
    cfg.merge_from_dict(args.cfg_options)

    if args.origin:
        for key, value in leaves(cfg):
            file = origins.get(key, BY_MMENGINE)
            print(f'{".".join(key)} = {value!r}  # {file}')
    else:
        print(cfg.pretty_text)
    if args.save_path:
        args.save_path.parent.mkdir(parents=True, exist_ok=True)
        cfg.dump(args.save_path)
    return 0


def leaves(
    settings: dict, prefix: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Key path and value of each setting; lists are not looked into."""
    for key, value in settings.items():
        path = (*prefix, str(key))
        if isinstance(value, dict) and value:
            yield from leaves(value, path)
        else:
            yield path, value


def find_origins(path: Path) -> Origins:
    """The file that set each key path last, as mmengine merges.

    Args:
        path: A config file.

    Returns:
        Names of files by key path, sections included.

    Raises:
        ValueError: A file in the chain is in the pure-Python style.
    """
    bases = [locate(base, path.parent) for base in base_files(path)]
    origins: Origins = {}
    for base in bases:
        # mmengine refuses bases that set the same key at the top.
        origins.update(find_origins(base))
    overlay(origins, own_settings(path, bases), display_name(path))
    return origins


def overlay(
    origins: Origins,
    settings: dict,
    file: str,
    prefix: tuple[str, ...] = (),
) -> None:
    """Record in `origins` that `file` sets `settings`, merged into bases."""
    for key, value in settings.items():
        path = (*prefix, str(key))
        is_section = isinstance(value, dict)
        # As in mmengine, `_delete_` is taken out only where it deletes.
        if is_section and path in origins and not value.pop(DELETE, False):
            overlay(origins, value, file, path)
            continue
        for old in [old for old in origins if old[: len(path)] == path]:
            del origins[old]
        origins[path] = file
        if is_section:
            overlay(origins, value, file, path)


def add_options(origins: Origins, settings: dict, options: dict) -> None:
    """Record what `--cfg-options` sets; part of a list counts as the list."""
    for full_key, new in options.items():
        path = tuple(full_key.split('.'))
        value = settings
        for depth, key in enumerate(path):
            if isinstance(value, list):
                origins[path[:depth]] = COMMAND_LINE
                break
            value = value.get(key, {}) if isinstance(value, dict) else {}
        else:
            nested = new
            for key in reversed(path):
                nested = {key: nested}
            overlay(origins, nested, COMMAND_LINE)


def base_files(path: Path) -> list[str]:
    """The bases of a config file, as written there.

    Raises:
        ValueError: The file is in the pure-Python style.
    """
    if path.suffix != '.py':
        bases = load(str(path)).get(BASE, [])
        return bases if isinstance(bases, list) else [bases]
    for node in ast.parse(path.read_text(encoding='utf-8')).body:
        if isinstance(node, ast.With):
            raise ValueError(
                f'{path} is in the pure-Python style (`with read_base()`); '
                '--origin expects configs with `_base_`. In this style the '
                'imports show where a setting is from.'
            )
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id == BASE
        ):
            # An expression, not only a literal: mmengine evaluates it too.
            code = compile(ast.Expression(node.value), str(path), 'eval')
            bases = eval(code)
            return bases if isinstance(bases, list) else [bases]
    return []


def own_settings(path: Path, bases: list[Path]) -> dict:
    """What the file sets itself; only dicts keep their values.

    Args:
        path: A config file.
        bases: Its bases, which its expressions may refer to.

    Returns:
        Its settings before they are merged into the bases, `_delete_` kept.
    """
    if path.suffix != '.py':
        settings = load(str(path))
        settings.pop(BASE, None)
        return settings
    text = path.read_text(encoding='utf-8')
    if bases:
        # The first `_base_` counts, and this one does not depend on where
        # the text is.
        text = f'{BASE} = {[str(base) for base in bases]}\n{text}'
    return Config.fromstring(text + SNAPSHOT, '.py')[OWN]


def locate(name: str, folder: Path = Path()) -> Path:
    """The absolute path of a config or base.

    Args:
        name: A path, or `'package::path'` for one that a package ships.
        folder: What a path is relative to.

    Returns:
        The path; links are kept, so that packages stay recognisable.

    Raises:
        ModuleNotFoundError: The package is not installed.
    """
    package, marked, inside = name.partition('::')
    if not marked:
        return Path(os.path.abspath(folder / Path(name).expanduser()))
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            f'{name} is a config of {package}, which is not installed'
        )
    root = Path(spec.submodule_search_locations[0])
    return root / '.mim' / 'configs' / inside


def display_name(path: Path) -> str:
    """`package::...` for configs of packages, else relative if below here."""
    parts = path.parts
    if '.mim' in parts:
        mim = parts.index('.mim')
        inside = '/'.join(parts[mim + 2 :])
        return f'{parts[mim - 1]}::{inside}'
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


if __name__ == '__main__':
    sys.exit(main())
