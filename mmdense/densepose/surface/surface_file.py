"""Surfaces as `.npz` files: any mesh with charts, and the body that ships.

Members: `vertices` (V, 3), `chart_vertices` (N,), `chart_parts` (N,),
`chart_uv` (N, 2), `chart_faces` (F, 3) and optionally `vertex_mirror` (V,),
`chart_mirror` (N,), `mean_distances` (25,) and `name`; others are left alone.
What they mean is said at :class:`BodySurface`.
"""

import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .body_surface import BodySurface
from .geodesics import ComputedDistances
from .part_distances import GivenMeanDistances, compute_mean_distances

REQUIRED = (
    'vertices',
    'chart_vertices',
    'chart_parts',
    'chart_uv',
    'chart_faces',
)
OPTIONAL = ('vertex_mirror', 'chart_mirror', 'mean_distances', 'name')
_TIME_STAMP = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can hold


def read_surface(
    path: str | Path, distances: ComputedDistances | None = None
) -> BodySurface:
    """Read a `.npz` file of a mesh with charts.

    Args:
        path: The file.
        distances: How to compute geodesics; None for all pairs in float16.

    Raises:
        FileNotFoundError: It is missing.
        ValueError: It is truncated, lacks a member, or members do not fit
            together; says which.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'{path}, a .npz file of a mesh, is missing')
    content = _read_members(path)
    given = content.get('mean_distances')
    return BodySurface(
        name=str(content.get('name', path.name)),
        part=content['chart_parts'],
        uv=content['chart_uv'],
        vertex=content['chart_vertices'],
        vertices=content['vertices'],
        faces=content['chart_faces'],
        vertex_mirror=content.get('vertex_mirror'),
        chart_mirror=content.get('chart_mirror'),
        distances_from=distances or ComputedDistances(),
        mean_distances_from=compute_mean_distances
        if given is None
        else GivenMeanDistances(tuple(given.tolist())),
    )


def write_surface(
    path: str | Path, surface: BodySurface, **extra: ArrayLike
) -> None:
    """Write a `.npz` file that :func:`read_surface` reads.

    Equal surfaces give equal bytes.

    Args:
        path: The file.
        surface: A surface with a mesh.
        **extra: Members to add, as `mean_distances`.

    Raises:
        ValueError: The surface has no mesh.
    """
    members: dict[str, Any] = {
        'name': surface.name,
        'vertices': surface.positions(),
        'chart_vertices': surface.vertex,
        'chart_parts': surface.part,
        'chart_uv': surface.uv,
        'chart_faces': surface.chart_faces(),
    }
    for field in ('vertex_mirror', 'chart_mirror'):
        if getattr(surface, field) is not None:
            members[field] = getattr(surface, field)
    # Not np.savez: it stamps the members with the time.
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, value in {**members, **extra}.items():
            buffer = io.BytesIO()
            np.save(buffer, np.asarray(value), allow_pickle=False)
            info = zipfile.ZipInfo(f'{name}.npy', _TIME_STAMP)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, buffer.getvalue())


def _read_members(path: Path) -> dict[str, NDArray]:
    content = {}
    try:
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ValueError('a single array')
        with file:
            present = set(file.files)
            for name in (*REQUIRED, *OPTIONAL):
                if name in present:
                    content[name] = file[name]
    except (
        ValueError,
        EOFError,
        OSError,
        zipfile.BadZipFile,
        zlib.error,
    ) as e:
        raise ValueError(
            f'{path} is truncated or no .npz file of arrays ({e})'
        ) from e
    for name in REQUIRED:
        if name not in content:
            raise ValueError(
                f'{path} has no {name!r}, expected {", ".join(REQUIRED)}; it '
                f'has {", ".join(sorted(present))}'
            )
    return content
