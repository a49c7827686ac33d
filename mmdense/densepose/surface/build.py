"""Surfaces from what a config says."""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from .body_surface import BodySurface
from .geodesics import ComputedDistances
from .obj_file import read_obj
from .official import (
    SUBDIVISION,
    DistanceFile,
    SymmetryFile,
    load_official,
    load_uv_processed,
)
from .part_distances import GivenMeanDistances
from .surface_file import read_surface
from .symmetry import SymmetryTables

SurfaceConfig = BodySurface | Mapping[str, Any] | str | Path | None

#: The body that ships.
BODY_FILE = Path(__file__).parent.parent / 'assets' / 'body.npz'

_COMPUTED = tuple(field.name for field in fields(ComputedDistances))
_OPTIONS = (
    'path',
    *_COMPUTED,
    'distances',
    'symmetry',
    'mean_distances',
    'groups',
    'vertices',
)
_built: dict[str, BodySurface] = {}


def build_surface(config: SurfaceConfig = None) -> BodySurface:
    """The surface that a config names.

    Equal configs give the same object within a process, so that the
    transforms and metrics of a run share its tables.

    Args:
        config: One of

            * None: the body that ships.
            * A path: a `.npz` (:func:`read_surface`) or `.obj` file
              (:func:`read_obj`) of a mesh with charts, a
              `UV_Processed.mat` (:func:`load_uv_processed`), or a folder
              with the published files (:func:`load_official`).
            * A dict with such a `path` (None if left out) and options:
              `landmarks`, `dtype`, `cache_dir`, `workers` of
              :class:`ComputedDistances`; `distances`, a file as
              `Pdist_matrix.pkl`; `symmetry`, a file as
              `UV_symmetry_transforms.mat`; `mean_distances`, 'official' or 9
              or 25 numbers; `groups` for `.obj`; `vertices` for
              `UV_Processed.mat`.
            * A surface, which is returned.

    Raises:
        FileNotFoundError: A file is missing.
        TypeError: The config is of another type or has unknown options.
        ValueError: A file or option is wrong.
    """
    if isinstance(config, BodySurface):
        return config
    if config is None or isinstance(config, str | Path):
        config = dict(path=config)
    if not isinstance(config, Mapping):
        raise TypeError(
            'a surface must be a path, a dict with path and options, a '
            f'BodySurface, or None for the shipped body; got {config!r}'
        )
    options = dict(config)
    unknown = [name for name in options if name not in _OPTIONS]
    if unknown:
        raise TypeError(
            f'unknown options of a surface: {", ".join(unknown)}; expected '
            f'{", ".join(_OPTIONS)}'
        )
    given = options.pop('path', None)
    path = BODY_FILE if given is None else Path(given).expanduser()
    key = f'{path.absolute()} {_stamp(path)} {sorted(options.items())}'
    if key not in _built:
        _built[key] = _build(path, options)
    return _built[key]


def build_symmetry(config: SurfaceConfig = None) -> SymmetryTables:
    """Symmetry tables: flips need no more of a surface.

    Args:
        config: The path of a `UV_symmetry_transforms.mat`, or what
            :func:`build_surface` takes.

    Raises:
        FileNotFoundError, TypeError, ValueError: As :func:`build_surface`.
    """
    if isinstance(config, str | Path):
        path = Path(config)
        if path.suffix == '.mat' and 'Processed' not in path.name:
            return SymmetryTables.read(path)
    return build_surface(config).symmetry


def _build(path: Path, options: dict[str, Any]) -> BodySurface:
    computed = {name: options[name] for name in _COMPUTED if name in options}
    distances = ComputedDistances(**computed)
    suffix = path.suffix.lower()
    _refuse(options, 'groups', suffix == '.obj', '.obj files')
    _refuse(options, 'vertices', suffix == '.mat', 'UV_Processed.mat')
    if suffix == '.npz':
        surface = read_surface(path, distances)
    elif suffix == '.obj':
        surface = read_obj(path, options.get('groups'), distances)
    elif suffix == '.mat' and path.name != SUBDIVISION:
        surface = load_uv_processed(path, options.get('vertices'), distances)
    elif path.is_dir() or path.name == SUBDIVISION:
        folder = path if path.is_dir() else path.parent
        for name in ('landmarks', 'dtype', 'workers'):
            _refuse(options, name, False, 'distances that are computed')
        surface = load_official(folder, options.get('cache_dir'))
    elif not path.exists():
        raise FileNotFoundError(
            f'{path} is missing, expected a .npz or .obj file of a mesh, '
            'UV_Processed.mat, or the folder of the published files'
        )
    else:
        raise ValueError(
            f'{path} is of no known kind, expected a .npz or .obj file of a '
            'mesh, UV_Processed.mat, or the folder of the published files'
        )
    changes: dict[str, Any] = {}
    if 'distances' in options:
        changes['distances_from'] = DistanceFile(
            options['distances'], options.get('cache_dir')
        )
    if 'symmetry' in options:
        changes['symmetry_from'] = SymmetryFile(options['symmetry'])
    if 'mean_distances' in options:
        values = options['mean_distances']
        if not isinstance(values, str):
            values = tuple(values)
        changes['mean_distances_from'] = GivenMeanDistances(values)
    return replace(surface, **changes)


def _refuse(
    options: dict[str, Any], name: str, allowed: bool, what: str
) -> None:
    if not allowed and name in options:
        raise ValueError(f'{name!r} is an option of {what} only')


def _stamp(path: Path) -> str:
    """Changes when the file does."""
    if path.is_dir():
        path = path / SUBDIVISION
    if not path.is_file():
        return ''
    state = path.stat()
    return f'{state.st_size} {state.st_mtime_ns}'
