"""Surfaces as Wavefront `.obj` files with texture coordinates.

Each group (`g`), object (`o`) or material (`usemtl`) is a part, its texture
coordinates `vt` are (u, v).
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from .body_surface import BodySurface
from .geodesics import ComputedDistances
from .parts import NUM_PARTS, PART_NAMES

_NUMBERED = re.compile(r'(?:part[_ -]?)?0*([1-9]\d?)', re.IGNORECASE)


def read_obj(
    path: str | Path,
    groups: Mapping[str, int] | None = None,
    distances: ComputedDistances | None = None,
) -> BodySurface:
    """Read a mesh whose groups or materials are its parts.

    Args:
        path: The file. Polygons are cut into triangles from their first
            corner.
        groups: Part, 1..24, by the name of a material, group or object. None
            for the names of :data:`PART_NAMES` and for numbers, as `7` or
            `part_07`.
        distances: How to compute geodesics; None for all pairs in float16.

    Raises:
        FileNotFoundError: The file is missing.
        ValueError: A line cannot be read, a face has no texture coordinates
            or belongs to no part; says the line.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'{path}, an .obj file of a mesh, is missing')
    vertices: list[list[float]] = []
    uv: list[list[float]] = []
    corners: list[tuple[int, int]] = []
    parts: list[int] = []
    names = {'usemtl': '', 'g': '', 'o': ''}
    with path.open(encoding='utf-8', errors='replace') as file:
        for number, line in enumerate(file, 1):
            keyword, _, rest = line.partition('#')[0].strip().partition(' ')
            words = rest.split()
            try:
                if keyword == 'v':
                    vertices.append(_numbers(words, 3))
                elif keyword == 'vt':
                    uv.append(_numbers(words, 2))
                elif keyword in names:
                    names[keyword] = rest.strip()
                elif keyword == 'f':
                    polygon = [
                        _corner(w, len(vertices), len(uv)) for w in words
                    ]
                    if len(polygon) < 3:
                        raise ValueError(f'a face of {len(polygon)} corners')
                    part = _part_of(names.values(), groups)
                    for i in range(1, len(polygon) - 1):
                        corners += [polygon[0], polygon[i], polygon[i + 1]]
                        parts.append(part)
            except ValueError as error:
                raise ValueError(
                    f'{path}, line {number}: {error} ({line.strip()[:60]!r})'
                ) from error
    if not corners:
        raise ValueError(f'{path} has no faces: truncated, or another file')
    rows = np.column_stack([np.array(corners), np.repeat(parts, 3)])
    entries, faces = np.unique(rows, axis=0, return_inverse=True)
    return BodySurface(
        name=path.name,
        part=entries[:, 2],
        uv=np.array(uv)[entries[:, 1]],
        vertex=entries[:, 0],
        vertices=np.array(vertices),
        faces=faces.reshape(-1, 3),
        distances_from=distances or ComputedDistances(),
    )


def _numbers(words: list[str], count: int) -> list[float]:
    """The first ones; a weight or colours may follow."""
    if len(words) < count:
        raise ValueError(f'{len(words)} numbers, expected {count}')
    return [float(word) for word in words[:count]]


def _corner(word: str, vertices: int, uv: int) -> tuple[int, int]:
    """Indices from 0 of `v/vt` or `v/vt/vn`; negative ones count back."""
    fields = word.split('/')
    if len(fields) < 2 or not fields[1]:
        raise ValueError('a corner without texture coordinates, expected v/vt')
    found = []
    for field, count in zip(fields, (vertices, uv), strict=False):
        index = int(field)
        index = index - 1 if index > 0 else count + index
        if not 0 <= index < count:
            raise ValueError(
                f'a corner refers to {field} of {count} lines before it'
            )
        found.append(index)
    return found[0], found[1]


def _part_of(names: Iterable[str], groups: Mapping[str, int] | None) -> int:
    """The part by the first known of the names in force."""
    for name in names:
        # A face may be in several groups; a name may also have spaces.
        for candidate in (name, *name.split()):
            part = _known_part(candidate, groups)
            if part is not None:
                return part
    given = ', '.join(repr(name) for name in names if name) or 'none'
    expected = ', '.join(PART_NAMES[1:] if groups is None else groups)
    raise ValueError(
        f'a face of no known part: its material, group and object are '
        f'{given}, expected one of {expected}; or give their parts with '
        'groups={name: part}'
    )


def _known_part(name: str, groups: Mapping[str, int] | None) -> int | None:
    if groups is not None:
        return groups.get(name)
    if name in PART_NAMES[1:]:
        return PART_NAMES.index(name)
    match = _NUMBERED.fullmatch(name)
    if match and int(match[1]) <= NUM_PARTS:
        return int(match[1])
    return None
