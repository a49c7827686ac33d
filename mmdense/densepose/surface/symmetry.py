"""Left-right symmetry of a body and of its charts."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.io import savemat
from scipy.spatial import cKDTree

from .mat_files import read_mat, require_file
from .parts import MIRROR_PARTS, NUM_PARTS, PART_NAMES, check_parts

if TYPE_CHECKING:
    from .body_surface import BodySurface

SIZE = 256
_FIELDS = ('U_transforms', 'V_transforms')
# How far off its mirror image a vertex may be, of the extent of the mesh.
_TOLERANCE = 0.005


@dataclass(frozen=True, eq=False)
class SymmetryTables:
    """Where a chart's points are in a mirror image, as published.

    Attributes:
        u: float32 (24, 256, 256), new u of the point at [part - 1,
            int(255 v), int(255 u)], part being that before the flip.
        v: The same for v.
    """

    u: NDArray[np.float32]
    v: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Check the arrays and make them read-only."""
        for name in ('u', 'v'):
            table = np.array(getattr(self, name), dtype=np.float32)
            if table.shape != (NUM_PARTS, SIZE, SIZE):
                raise ValueError(
                    f'{name} of the symmetry tables has shape {table.shape}, '
                    f'expected ({NUM_PARTS}, {SIZE}, {SIZE})'
                )
            table.setflags(write=False)
            object.__setattr__(self, name, table)

    def flip(
        self, part: ArrayLike, u: ArrayLike, v: ArrayLike
    ) -> tuple[NDArray, NDArray[np.float32], NDArray[np.float32]]:
        """The same points of the body in a mirror image.

        Args:
            part: Integers, 0..24; 0 stays as it is. Arguments broadcast.
            u: Floats, clamped to [0, 1].
            v: The same.

        Returns:
            The partner parts, in the type of `part`, and float32 u and v.

        Raises:
            TypeError: A part is not an integer.
            ValueError: A part is out of range, or u or v is NaN.
        """
        parts, us, vs = np.broadcast_arrays(
            np.asarray(part),
            np.asarray(u, dtype=np.float32),
            np.asarray(v, dtype=np.float32),
        )
        if not parts.size:
            return parts.copy(), us.copy(), vs.copy()
        check_parts(parts, allow_background=True)
        if np.isnan(us).any() or np.isnan(vs).any():
            raise ValueError('u and v must be numbers, got NaN')
        column = (np.clip(us, 0, 1) * np.float32(255)).astype(np.int64)
        row = (np.clip(vs, 0, 1) * np.float32(255)).astype(np.int64)
        # Index -1 for the background reads something that is not used.
        index = parts.astype(np.int64) - 1
        body = parts > 0
        return (
            MIRROR_PARTS[parts].astype(parts.dtype),
            np.where(body, self.u[index, row, column], us),
            np.where(body, self.v[index, row, column], vs),
        )

    @classmethod
    def read(cls, path: str | Path) -> 'SymmetryTables':
        """Read `UV_symmetry_transforms.mat` or a file of its layout.

        Raises:
            FileNotFoundError: The file is missing.
            ValueError: It is damaged, or another file.
        """
        path = require_file(path, 'UV_symmetry_transforms.mat')
        content = read_mat(path, _FIELDS)
        tables = []
        for field in _FIELDS:
            cells = np.asarray(content[field]).reshape(-1)
            if cells.dtype != object or len(cells) != NUM_PARTS:
                raise ValueError(
                    f'{path}: {field} has {len(cells)} entries of type '
                    f'{cells.dtype}, expected {NUM_PARTS} cells'
                )
            for number, cell in enumerate(cells, 1):
                if cell.shape != (SIZE, SIZE) or cell.dtype.kind not in 'uif':
                    raise ValueError(
                        f'{path}: {field} of part {number} has shape '
                        f'{cell.shape} and type {cell.dtype}, expected '
                        f'({SIZE}, {SIZE}) numbers'
                    )
                if not (cell.min() >= 0 and cell.max() <= 1):
                    raise ValueError(
                        f'{path}: {field} of part {number} has values '
                        'outside [0, 1]'
                    )
            tables.append(np.stack(list(cells)).astype(np.float32))
        return cls(*tables)

    def write(self, path: str | Path) -> None:
        """Write a file of the layout of `UV_symmetry_transforms.mat`."""
        content = {}
        for field, table in zip(_FIELDS, (self.u, self.v), strict=True):
            cells = np.empty((1, NUM_PARTS), dtype=object)
            for number in range(NUM_PARTS):
                cells[0, number] = table[number]
            content[field] = cells
        savemat(path, content, do_compression=True)


def find_mirror(vertices: NDArray) -> NDArray[np.int32]:
    """Which vertex is the mirror image of which, in the plane x = 0.

    Args:
        vertices: (V, 3) float.

    Returns:
        int32 (V,), a permutation that is its own inverse.

    Raises:
        ValueError: The vertices are not symmetric enough for that.
    """
    points = np.asarray(vertices, dtype=np.float64)
    mirrored = points * [-1, 1, 1]
    distance, mirror = cKDTree(points).query(mirrored)
    extent = np.ptp(points, axis=0).max()
    worst = int(distance.argmax())
    if distance[worst] > _TOLERANCE * extent:
        raise ValueError(
            'the mesh is not symmetric in the plane x = 0: the mirror image '
            f'of vertex {worst} is {distance[worst]:.4g} m from the nearest '
            f'vertex, allowed is {_TOLERANCE * extent:.4g} m. Move or turn '
            'the mesh so that its plane of symmetry is x = 0, or give the '
            'symmetry as a file of the layout of UV_symmetry_transforms.mat'
        )
    twice = mirror[mirror]
    wrong = np.flatnonzero(twice != np.arange(len(points)))
    if len(wrong):
        raise ValueError(
            f'{len(wrong)} vertices, vertex {wrong[0]} among them, have no '
            'mirror image of their own: vertices lie too close together to '
            "tell from their positions. Give 'vertex_mirror' in the file of "
            'the mesh'
        )
    return mirror.astype(np.int32)


def find_entry_mirror(surface: 'BodySurface') -> NDArray[np.int32]:
    """Which chart entry is the mirror image of which.

    An entry's image is on the mirrored vertex and in the partner part. Where
    a vertex has several entries there, as on a seam, the mirrored faces tell
    which. Where it has none, as parts are not quite symmetric, the entry of
    the partner part that is nearest in space stands in.

    Raises:
        ValueError: The mesh is not symmetric, or a partner part is missing.
    """
    part, vertex, mirror = surface.part, surface.vertex, surface.mirror
    vertices, faces = surface.positions(), surface.chart_faces()
    partner = MIRROR_PARTS[part].astype(np.int64)
    own = vertex * (NUM_PARTS + 1) + part.astype(np.int64)
    keys, first = np.unique(own, return_index=True)
    wanted = mirror[vertex] * (NUM_PARTS + 1) + partner
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    found = np.where(keys[place] == wanted, first[place], -1).astype(np.int32)
    for number in surface.parts:
        mine = np.flatnonzero((part == number) & (found < 0))
        other = int(MIRROR_PARTS[number])
        targets = np.flatnonzero(part == other)
        if not len(targets):
            raise ValueError(
                f'part {number} ({PART_NAMES[number]}) has no partner in a '
                f'mirror image: part {other} ({PART_NAMES[other]}) has no '
                'entries'
            )
        image = vertices[vertex[mine]] * np.array([-1, 1, 1], np.float32)
        _, nearest = cKDTree(vertices[vertex[targets]]).query(image)
        found[mine] = targets[nearest]
    face_part = part[faces[:, :1]]
    corners = np.argsort(vertex[faces], axis=1)
    image_corners = np.argsort(mirror[vertex[faces]], axis=1)
    triangles = np.take_along_axis(vertex[faces], corners, axis=1)
    images = np.take_along_axis(mirror[vertex[faces]], image_corners, axis=1)
    face, partner_face = _equal_rows(
        np.concatenate([images, MIRROR_PARTS[face_part]], axis=1),
        np.concatenate([triangles, face_part], axis=1),
    )
    entries = np.take_along_axis(faces, image_corners, axis=1)[face]
    found[entries] = np.take_along_axis(faces, corners, axis=1)[partner_face]
    return found


def derive_symmetry(surface: 'BodySurface') -> SymmetryTables:
    """The tables of a mesh, from the mirror images of its chart entries.

    A cell stands for the square of (u, v) that the index of the tables maps
    to it; its value is that of the centre, interpolated in the triangle
    around it. So a point is off by half a cell, 1/510, where charts of
    partners are alike, and flipped twice by twice as much at most. Triangles
    that are not mirrored into a triangle take the nearest corner. Parts
    without entries are left unchanged.

    Raises:
        ValueError: The surface has no mesh, or it is not symmetric.
    """
    images, faces = surface.entry_mirror, surface.chart_faces()
    whole = np.zeros(len(faces), dtype=bool)
    face, _ = _equal_rows(
        np.sort(images[faces], axis=1), np.sort(faces, axis=1)
    )
    whole[face] = True
    centre = np.minimum((np.arange(SIZE) + 0.5) / 255, 1)
    v, u = np.meshgrid(centre, centre, indexing='ij')
    tables = np.broadcast_to(
        np.stack([u, v])[:, None], (2, NUM_PARTS, SIZE, SIZE)
    ).astype(np.float32)
    for number in surface.parts:
        found, weights = surface.locate(np.uint8(number), u, v)
        corner = weights.argmax(axis=-1)
        nearest = np.eye(3)[corner]
        weights = np.where(whole[found][..., None], weights, nearest)
        target = surface.uv[images[faces[found]]]
        flipped = np.einsum('ijk,ijkc->cij', weights, target)
        tables[:, number - 1] = np.clip(flipped, 0, 1)
    return SymmetryTables(*tables)


def _equal_rows(
    rows: NDArray, others: NDArray
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(index into `rows`, index into `others`) of rows that are equal."""
    _, number = np.unique(
        np.concatenate([rows, others]), axis=0, return_inverse=True
    )
    number = number.reshape(-1)
    which = np.full(number.max(initial=-1) + 1, -1, dtype=np.int64)
    which[number[len(rows) :][::-1]] = np.arange(len(others))[::-1]
    match = which[number[: len(rows)]]
    index = np.flatnonzero(match >= 0)
    return index, match[index]
