"""The surface of a body: charts, mesh, geodesics and symmetry in one."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .chart_faces import ChartFaces
from .checked_arrays import checked, checked_index, read_only
from .distances import Distances
from .geodesics import ComputedDistances
from .lookup import UVLookup
from .part_distances import compute_mean_distances
from .parts import check_parts
from .symmetry import (
    SymmetryTables,
    derive_symmetry,
    find_entry_mirror,
    find_mirror,
)


@dataclass(frozen=True, eq=False)
class BodySurface:
    """A body whose surface is cut into charts, one for each of 24 parts.

    The charts consist of N *entries*, points with a part and (u, v), which
    lie on V vertices; a vertex on the border of two parts, or on a cut in a
    chart, has several entries.

    Arrays are read-only. Distances, symmetry and tables are made or opened
    when first asked for; they are not pickled, and files are mapped, so that
    the workers of a data loader share them.

    Attributes:
        name: For messages.
        part: uint8 (N,), 1..24 in DensePose's numbering; a body may lack
            parts.
        uv: float64 (N, 2), in [0, 1].
        vertex: int32 (N,), 0..V - 1.
        vertices: float32 (V, 3), metres, or None: the published files of
            distances need no mesh.
        faces: int32 (F, 3), **entries**, the three of one part; or None.
            Those of the mesh are `mesh_faces`.
        num_vertices: V; taken from `vertices` or the largest of `vertex`.
        vertex_mirror: int32 (V,), the mirror image of each vertex, or None to
            find it from the positions.
        chart_mirror: int32 (N,), the same of each entry, or None.
        distances_from: What gives `distances`.
        symmetry_from: What gives `symmetry`.
        mean_distances_from: What gives `mean_distances`.

    Raises:
        ValueError: Arrays do not fit together; says which and how.
    """

    name: str
    part: NDArray[np.uint8]
    uv: NDArray[np.float64]
    vertex: NDArray[np.int32]
    vertices: NDArray[np.float32] | None = None
    faces: NDArray[np.int32] | None = None
    num_vertices: int = 0
    vertex_mirror: NDArray[np.int32] | None = None
    chart_mirror: NDArray[np.int32] | None = None
    distances_from: Callable[['BodySurface'], Distances] = field(
        default_factory=ComputedDistances
    )
    symmetry_from: Callable[['BodySurface'], SymmetryTables] = derive_symmetry
    mean_distances_from: Callable[['BodySurface'], NDArray[np.float64]] = (
        compute_mean_distances
    )

    def __post_init__(self) -> None:
        """Check the arrays and make them read-only."""
        count = len(np.atleast_1d(self.part))
        if not count:
            raise ValueError(f'{self.name} has no chart entries')
        part = checked(f'{self.name}: part', self.part, np.int64, (count,))
        try:
            check_parts(part)
        except ValueError as error:
            raise ValueError(f'{self.name}: {error}') from error
        # Only now, as a number above 255 would turn into another part.
        self._set('part', checked, np.uint8, (count,))
        self._set('uv', checked, np.float64, (count, 2))
        if not (self.uv.min() >= 0 and self.uv.max() <= 1):
            raise ValueError(
                f'{self.name}: uv must lie in [0, 1], got values from '
                f'{self.uv.min():.6g} to {self.uv.max():.6g}'
            )
        self._set('vertices', checked, np.float32, (None, 3))
        size = self.num_vertices or int(np.max(self.vertex)) + 1
        if self.vertices is not None:
            size = len(self.vertices)
            if not np.isfinite(self.vertices).all():
                raise ValueError(f'{self.name}: vertices are not all finite')
        object.__setattr__(self, 'num_vertices', size)
        self._set('vertex', checked_index, (count,), size)
        self._set('vertex_mirror', checked_index, (size,), size)
        self._set('chart_mirror', checked_index, (count,), count)
        self._set('faces', checked_index, (None, 3), count)
        if self.faces is not None:
            parts = self.part[self.faces]
            mixed = np.flatnonzero((parts != parts[:, :1]).any(axis=1))
            if len(mixed):
                raise ValueError(
                    f'{self.name}: face {mixed[0]} has corners of the parts '
                    f'{parts[mixed[0]].tolist()}, expected one part; a vertex '
                    'between parts needs an entry for each'
                )

    @property
    def num_entries(self) -> int:
        """N."""
        return len(self.part)

    @cached_property
    def parts(self) -> tuple[int, ...]:
        """The parts that have entries, ascending."""
        return tuple(int(part) for part in np.unique(self.part))

    def positions(self) -> NDArray[np.float32]:
        """`vertices`.

        Raises:
            ValueError: The surface has none.
        """
        if self.vertices is None:
            raise ValueError(self._no_mesh('vertices'))
        return self.vertices

    def chart_faces(self) -> NDArray[np.int32]:
        """`faces`.

        Raises:
            ValueError: The surface has none.
        """
        if self.faces is None:
            raise ValueError(self._no_mesh('faces'))
        return self.faces

    @cached_property
    def mesh_faces(self) -> NDArray[np.int32]:
        """int32 (F, 3), vertices of the faces.

        Raises:
            ValueError: The surface has no faces.
        """
        return read_only(self.vertex[self.chart_faces()])

    @cached_property
    def face_part(self) -> NDArray[np.uint8]:
        """uint8 (F,), part of each face.

        Raises:
            ValueError: The surface has no faces.
        """
        return read_only(self.part[self.chart_faces()[:, 0]])

    @cached_property
    def mirror(self) -> NDArray[np.int32]:
        """int32 (V,), the mirror image of each vertex.

        Raises:
            ValueError: The surface is not symmetric or has no vertices.
        """
        if self.vertex_mirror is not None:
            return self.vertex_mirror
        return read_only(find_mirror(self.positions()))

    @cached_property
    def entry_mirror(self) -> NDArray[np.int32]:
        """int32 (N,), the mirror image of each entry, in the partner part.

        Raises:
            ValueError: The surface is not symmetric or has no mesh.
        """
        if self.chart_mirror is not None:
            return self.chart_mirror
        return read_only(find_entry_mirror(self))

    @cached_property
    def symmetry(self) -> SymmetryTables:
        """The published tables, or those that follow from the mesh.

        Raises:
            ValueError: The surface is not symmetric or has no mesh.
            FileNotFoundError: The file of the tables is missing.
        """
        return self.symmetry_from(self)

    @cached_property
    def distances(self) -> Distances:
        """Geodesic distances; see :class:`Distances`.

        Raises:
            ValueError: The surface has no mesh to compute them from.
            FileNotFoundError: The file of the distances is missing.
        """
        return self.distances_from(self)

    @cached_property
    def mean_distances(self) -> NDArray[np.float64]:
        """float64 (25,), metres, by part: see :mod:`.part_distances`.

        Raises:
            ValueError, FileNotFoundError: As `distances`, unless given.
        """
        return read_only(np.asarray(self.mean_distances_from(self)))

    def entry_of(
        self, part: ArrayLike, u: ArrayLike, v: ArrayLike
    ) -> NDArray[np.int32]:
        """The entry nearest to each point; see :meth:`UVLookup.nearest`.

        Raises:
            TypeError: A part is not an integer.
            ValueError: A part is outside 1..24 or has no entries, or u or v
                is not finite.
        """
        return self._lookup.nearest(part, u, v)

    def vertex_of(
        self, part: ArrayLike, u: ArrayLike, v: ArrayLike
    ) -> NDArray[np.int32]:
        """The vertex nearest to each point, exactly as the evaluator's.

        Args:
            part: Integers, 1..24; arguments broadcast.
            u: Floats, compared in float64.
            v: The same.

        Returns:
            int32, vertices.

        Raises:
            TypeError, ValueError: As :meth:`entry_of`.
        """
        return self.vertex[self.entry_of(part, u, v)]

    def vertex_of_quantized(
        self, part: ArrayLike, u: ArrayLike, v: ArrayLike
    ) -> NDArray[np.int32]:
        """The same for predictions, which are quantised to 8 bits: a table.

        Args:
            part: Integers, 0..24.
            u: uint8, 255 times u.
            v: uint8, 255 times v.

        Returns:
            int32, vertices; -1 where the part is 0 or has no entries, which
            `geodesic` takes to be infinitely far from all.

        Raises:
            TypeError: u or v is not uint8, or a part not an integer.
            ValueError: A part is outside 0..24.
        """
        part, u, v = np.asarray(part), np.asarray(u), np.asarray(v)
        if u.dtype != np.uint8 or v.dtype != np.uint8:
            raise TypeError(
                f'u and v must be uint8, 255 times the value, got {u.dtype} '
                f'and {v.dtype}; vertex_of takes floats'
            )
        if part.size:
            check_parts(part, allow_background=True)
        return self._vertex_table[part, v, u]

    def geodesic(self, a: ArrayLike, b: ArrayLike) -> NDArray[np.float32]:
        """Metres along the surface between vertices, which broadcast.

        -1 stands for no vertex and is infinitely far from all.

        Raises:
            IndexError: A vertex is below -1 or not below `num_vertices`.
            ValueError, FileNotFoundError: As `distances`.
        """
        return self.distances(a, b)

    def flip(
        self, part: ArrayLike, u: ArrayLike, v: ArrayLike
    ) -> tuple[NDArray, NDArray[np.float32], NDArray[np.float32]]:
        """Points in a mirror image; see :meth:`SymmetryTables.flip`."""
        return self.symmetry.flip(part, u, v)

    def locate(
        self, part: ArrayLike, u: ArrayLike, v: ArrayLike
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Faces and weights of their corners; see :class:`ChartFaces`.

        Raises:
            TypeError, ValueError: As :meth:`entry_of`; no faces.
        """
        return self._chart_faces.locate(part, u, v)

    def position_of(
        self, part: ArrayLike, u: ArrayLike, v: ArrayLike
    ) -> NDArray[np.float64]:
        """Where points are in space, float64 (..., 3), metres.

        Raises:
            TypeError, ValueError: As :meth:`entry_of`; no mesh.
        """
        vertices = self.positions()
        face, weights = self.locate(part, u, v)
        corners = vertices[self.mesh_faces[face]]
        return np.einsum('...k,...kc->...c', weights, corners)

    @cached_property
    def _lookup(self) -> UVLookup:
        return UVLookup(self.part, self.uv)

    @cached_property
    def _vertex_table(self) -> NDArray[np.int32]:
        table = self._lookup.table
        return read_only(np.where(table < 0, table, self.vertex[table]))

    @cached_property
    def _chart_faces(self) -> ChartFaces:
        faces = self.chart_faces()
        return ChartFaces(self.part, self.uv, faces)

    def _no_mesh(self, field: str) -> str:
        return (
            f'{self.name} has no {field}: the file of the charts does not '
            'hold them. Use a file with a mesh (.npz or .obj), or give '
            "'symmetry' and 'distances' as files"
        )

    def _set(
        self, field: str, check: Callable[..., NDArray], *limits: Any
    ) -> None:
        value = getattr(self, field)
        if value is not None:
            value = check(f'{self.name}: {field}', value, *limits)
            object.__setattr__(self, field, value)

    def __getstate__(self) -> dict[str, Any]:
        # Not what was made from the fields: it is made or mapped again.
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            if isinstance(value, np.ndarray):
                read_only(value)
            object.__setattr__(self, name, value)
