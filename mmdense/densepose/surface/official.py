"""The published files of DensePose as a surface."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .body_surface import BodySurface
from .cache import open_array
from .distances import Distances
from .geodesics import ComputedDistances
from .mat_files import column, integers, read_mat, require_file
from .part_distances import GivenMeanDistances
from .parts import NUM_PARTS
from .pdist_file import open_pdist
from .symmetry import SymmetryTables

SUBDIVISION = 'SMPL_subdiv.mat'
TRANSFORM = 'SMPL_SUBDIV_TRANSFORM.mat'
SYMMETRY = 'UV_symmetry_transforms.mat'
UV_PROCESSED = 'UV_Processed.mat'
DISTANCES = 'Pdist_matrix'


@dataclass(frozen=True)
class DistanceFile:
    """Distances that are in a file; see :func:`open_pdist`.

    Attributes:
        path: The file, or a folder with `Pdist_matrix` in one of its forms.
        cache_dir: Where a converted file goes.
    """

    path: str | Path
    cache_dir: str | Path | None = None

    def __call__(self, surface: BodySurface) -> Distances:
        """The distances, if they are of as many vertices.

        Raises:
            FileNotFoundError, ImportError, ValueError: As
                :func:`open_pdist`.
        """
        path = find_pdist(self.path)
        return open_pdist(path, surface.num_vertices, self.cache_dir)


@dataclass(frozen=True)
class SymmetryFile:
    """Symmetry tables that are in a file.

    Attributes:
        path: The file, of the layout of `UV_symmetry_transforms.mat`.
    """

    path: str | Path

    def __call__(self, surface: BodySurface) -> SymmetryTables:
        """The tables.

        Raises:
            FileNotFoundError, ValueError: As :meth:`SymmetryTables.read`.
        """
        return SymmetryTables.read(self.path)


def find_pdist(path: str | Path) -> Path:
    """The file of the distances; a folder may hold it in several forms."""
    path = Path(path).expanduser()
    if not path.is_dir():
        return path
    pickled = path / f'{DISTANCES}.pkl'
    # What was converted from it also serves without it.
    forms = [pickled, path / f'{DISTANCES}.mat', path / f'{DISTANCES}.npy']
    forms += sorted(path.glob(f'{DISTANCES}-*.npy'))
    return next((form for form in forms if form.is_file()), pickled)


def load_official(
    folder: str | Path, cache_dir: str | Path | None = None
) -> BodySurface:
    """The subdivided body of the DensePose evaluator.

    `SMPL_subdiv.mat` and `SMPL_SUBDIV_TRANSFORM.mat` are read here, 29,408
    entries on 27,554 vertices; `Pdist_matrix` and
    `UV_symmetry_transforms.mat` when they are needed, so that training does
    without the one and evaluation without the other.

    Args:
        folder: Where the files are, under their published names.
        cache_dir: Where converted distances go; see :func:`open_pdist`.

    Raises:
        FileNotFoundError: A file is missing; says where it is published.
        ValueError: One is truncated, or they are of different meshes.
    """
    folder = Path(folder).expanduser()
    charts = require_file(folder / SUBDIVISION, SUBDIVISION)
    fields = ('Part_ID_subdiv', 'U_subdiv', 'V_subdiv')
    content = read_mat(charts, fields)
    part = integers(content, fields[0], charts, 1, NUM_PARTS)
    uv = np.stack(
        [column(content, field, charts, len(part)) for field in fields[1:]],
        axis=1,
    )
    for field, values in zip(fields[1:], uv.T, strict=True):
        if values.min() < 0 or values.max() > 1:
            raise ValueError(f'{charts}: {field} has values outside [0, 1]')
    transform = require_file(folder / TRANSFORM, TRANSFORM)
    index = read_mat(transform, ('index',))
    if np.size(index['index']) != len(part):
        raise ValueError(
            f'{transform}: index has {np.size(index["index"])} values, but '
            f'{charts.name} has {len(part)} entries: the files are of '
            'different meshes'
        )
    vertex = integers(index, 'index', transform, 1) - 1
    vertices, faces = _geometry(content, charts, part, vertex)
    return BodySurface(
        name=str(folder),
        part=part.astype(np.uint8),
        uv=uv,
        vertex=vertex.astype(np.int32),
        vertices=vertices,
        faces=faces,
        num_vertices=int(vertex.max()) + 1,
        distances_from=DistanceFile(folder, cache_dir),
        symmetry_from=SymmetryFile(folder / SYMMETRY),
        mean_distances_from=GivenMeanDistances('official'),
    )


def load_uv_processed(
    path: str | Path,
    vertices: str | Path | NDArray | None = None,
    distances: ComputedDistances | None = None,
) -> BodySurface:
    """The charts of the body as published for textures, `UV_Processed.mat`.

    13,774 faces over 7,829 entries on 6,890 vertices.

    Args:
        path: The file.
        vertices: (6890, 3) positions in metres, or a `.npy` file of them:
            the published file has none. Without them there are no
            geodesics, but charts, faces and textures work.
        distances: How to compute geodesics; None for all pairs in float16.

    Raises:
        FileNotFoundError: A file is missing; says where it is published.
        ValueError: It is truncated, or the vertices are of another mesh.
    """
    path = require_file(path, UV_PROCESSED)
    fields = (
        'All_Faces',
        'All_FaceIndices',
        'All_U_norm',
        'All_V_norm',
        'All_vertices',
    )
    content = read_mat(path, fields)
    number = integers(content, 'All_vertices', path, 1) - 1
    count = len(number)
    uv = np.stack(
        [column(content, field, path, count) for field in fields[2:4]], axis=1
    )
    faces = np.asarray(content['All_Faces'])
    if faces.ndim != 2 or faces.shape[1] != 3:
        raise ValueError(
            f'{path}: All_Faces has shape {faces.shape}, expected (any, 3)'
        )
    corner = integers(
        {'All_Faces': faces.reshape(-1)}, 'All_Faces', path, 1, count
    )
    part = integers(content, 'All_FaceIndices', path, 1, NUM_PARTS, len(faces))
    # An entry is of one part here, whatever the file does.
    rows = np.column_stack([corner - 1, np.repeat(part, 3)])
    entries, index = np.unique(rows, axis=0, return_inverse=True)
    size = int(number.max()) + 1
    positions: NDArray | None = None
    if isinstance(vertices, str | Path):
        positions = open_array(Path(vertices).expanduser())
    elif vertices is not None:
        positions = np.asarray(vertices)
    if positions is not None and positions.shape != (size, 3):
        raise ValueError(
            f'vertices have shape {positions.shape}, expected ({size}, 3) '
            f'for the charts of {path}'
        )
    return BodySurface(
        name=str(path),
        part=entries[:, 1].astype(np.uint8),
        uv=uv[entries[:, 0]],
        vertex=number[entries[:, 0]].astype(np.int32),
        vertices=positions,
        faces=index.reshape(-1, 3).astype(np.int32),
        num_vertices=size,
        distances_from=distances or ComputedDistances(),
        symmetry_from=SymmetryFile(path.with_name(SYMMETRY)),
        mean_distances_from=GivenMeanDistances('official'),
    )


def _geometry(
    content: dict[str, Any], path: Path, part: NDArray, vertex: NDArray
) -> tuple[NDArray | None, NDArray | None]:
    """Positions and faces, which the evaluator does without."""
    if 'vertex' not in content or 'faces' not in content:
        return None, None
    positions = np.asarray(content['vertex'])
    faces = np.asarray(content['faces']).astype(np.int64) - 1
    usable = (
        positions.shape == (len(part), 3)
        and faces.ndim == 2
        and faces.shape[1] == 3
        and faces.min() >= 0
        and faces.max() < len(part)
        and (part[faces] == part[faces[:, :1]]).all()
    )
    if usable:
        vertices = np.full((vertex.max() + 1, 3), np.nan)
        vertices[vertex] = positions
        # Equal where entries share a vertex, and known everywhere.
        usable = np.allclose(vertices[vertex], positions, atol=1e-4)
        usable = usable and bool(np.isfinite(vertices).all())
    if not usable:
        warnings.warn(
            f'{path}: vertex and faces do not fit its charts; left out',
            stacklevel=3,
        )
        return None, None
    return vertices, faces
