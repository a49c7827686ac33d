"""Geodesic distances on a mesh, computed once and cached.

Shortest paths by Dijkstra's algorithm on a graph of the edges and, for each
pair of triangles that share an edge, the straight line between the two
corners opposite to it in the plane they unfold into. On a body of 13,348
vertices this is 1.5 % longer than the exact geodesics on average, edges alone
4.4 %.
"""

import os
from concurrent.futures import (
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    as_completed,
)
from dataclasses import dataclass
from multiprocessing import current_process
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

from .cache import cache_folder, create_array, fingerprint, make_once
from .distances import (
    CondensedDistances,
    Distances,
    LandmarkDistances,
    condensed_size,
)

if TYPE_CHECKING:
    from .body_surface import BodySurface

# Raise it when equal meshes no longer give equal distances.
METHOD = 'edges and unfolded diagonals, version 1'
DTYPES = ('float16', 'float32')

# Rows of float64 that a process holds at a time.
_BLOCK_BYTES = 64 << 20


@dataclass(frozen=True)
class ComputedDistances:
    """How to get the distances of a surface from its mesh.

    Attributes:
        landmarks: None for all pairs of vertices, or from how many vertices,
            spread evenly, to compute; see :class:`LandmarkDistances`.
        dtype: 'float16' (0.05 % precision) or 'float32', of the file.
        cache_dir: Where the file is kept; None for the default, see
            :func:`cache_folder`.
        workers: Processes; None for as many as there are cores.
    """

    landmarks: int | None = None
    dtype: str = 'float16'
    cache_dir: str | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        """See that the settings make sense."""
        if self.dtype not in DTYPES:
            raise ValueError(
                f'dtype must be one of {", ".join(DTYPES)}, got {self.dtype!r}'
            )
        for name in ('landmarks', 'workers'):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f'{name} must be positive, got {value}')

    def __call__(self, surface: 'BodySurface') -> Distances:
        """The distances, computed unless the cache has them.

        Raises:
            ValueError: The surface has no mesh.
        """
        vertices, faces = surface.positions(), surface.mesh_faces
        path = self.path(surface)
        landmarks = self._landmarks(vertices)

        def make(partial: Path) -> None:
            compute_distances(
                vertices, faces, partial, landmarks, self.dtype, self.workers
            )

        make_once(path, make)
        if landmarks is None:
            return CondensedDistances(path)
        return LandmarkDistances(path, vertices)

    def path(self, surface: 'BodySurface') -> Path:
        """The file in the cache; its name depends on the mesh."""
        vertices, faces = surface.positions(), surface.mesh_faces
        mesh = fingerprint(METHOD, vertices, faces)
        number = self.landmarks
        if number is None or number >= len(vertices):
            kind = 'all'
        else:
            kind = f'{number}-landmarks'
        name = f'geodesics-{mesh}-{kind}-{self.dtype}.npy'
        return cache_folder(self.cache_dir) / name

    def _landmarks(
        self, vertices: NDArray[np.float32]
    ) -> NDArray[np.int64] | None:
        if self.landmarks is None or self.landmarks >= len(vertices):
            return None
        return spread_vertices(vertices, self.landmarks)


def geodesic_graph(vertices: NDArray, faces: NDArray) -> csr_matrix:
    """The graph whose shortest paths approximate geodesics.

    Separate components are joined to the largest by a straight edge at the
    closest pair of vertices, so that no distance is infinite.

    Args:
        vertices: (V, 3) float.
        faces: (F, 3) int.

    Returns:
        Symmetric (V, V), lengths in the unit of the vertices.
    """
    points = np.asarray(vertices, dtype=np.float64)
    faces = np.asarray(faces, dtype=np.int64)
    # Each side of each face, with the corner opposite to it.
    sides = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, ::2]])
    opposite = np.concatenate([faces[:, 2], faces[:, 0], faces[:, 1]])
    sides.sort(axis=1)
    edges, number, count = np.unique(
        sides, axis=0, return_inverse=True, return_counts=True
    )
    order = np.argsort(number.reshape(-1), kind='stable')
    first = np.cumsum(count)[count == 2] - 2
    shared = edges[count == 2]
    p, q = opposite[order[first]], opposite[order[first + 1]]
    length, crosses = _unfolded(points, shared, p, q)
    pairs = np.concatenate([edges, np.stack([p, q], axis=1)[crosses]])
    straight = points[edges[:, 0]] - points[edges[:, 1]]
    lengths = np.concatenate(
        [np.linalg.norm(straight, axis=1), length[crosses]]
    )
    graph = _symmetric(pairs, lengths, len(points))
    return _joined(graph, points)


def spread_vertices(vertices: NDArray, count: int) -> NDArray[np.int64]:
    """`count` vertices, each the farthest from those before it."""
    points = np.asarray(vertices, dtype=np.float64)
    chosen = np.empty(count, dtype=np.int64)
    distance = np.full(len(points), np.inf)
    farthest = 0
    for number in range(count):
        chosen[number] = farthest
        step = points - points[farthest]
        distance = np.minimum(distance, np.einsum('ij,ij->i', step, step))
        farthest = int(distance.argmax())
    return chosen


def compute_distances(
    vertices: NDArray,
    faces: NDArray,
    path: Path,
    landmarks: NDArray | None = None,
    dtype: str = 'float16',
    workers: int | None = None,
) -> None:
    """Write the distances of a mesh to a `.npy` file, with a progress bar.

    Args:
        vertices: (V, 3) float, metres.
        faces: (F, 3) int.
        path: The file. Of all pairs (V (V - 1) / 2,) in the order of
            :class:`CondensedDistances`, else (L, V).
        landmarks: (L,) vertices, or None for all pairs.
        dtype: Of the file.
        workers: Processes; None for as many as there are cores.
    """
    graph = geodesic_graph(vertices, faces)
    count = len(vertices)
    sources = np.arange(count) if landmarks is None else landmarks
    shape = (
        (condensed_size(count),)
        if landmarks is None
        else (len(landmarks), count)
    )
    create_array(path, shape, dtype)
    # Small blocks, so that the bar moves and no process is left with much.
    size = max(1, min(_BLOCK_BYTES // (8 * count), len(sources) // 64, 256))
    blocks = [
        (start, sources[start : start + size])
        for start in range(0, len(sources), size)
    ]
    description = f'geodesics of {count} vertices'
    with (
        _executor(workers, len(blocks), (graph, path)) as pool,
        Progress(console=Console(stderr=True), transient=True) as bar,
    ):
        task = bar.add_task(description, total=len(sources))
        pending: set[Future] = {
            pool.submit(_write_block, start, block, landmarks is None)
            for start, block in blocks
        }
        try:
            for future in as_completed(pending):
                bar.advance(task, future.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _unfolded(
    points: NDArray, shared: NDArray, p: NDArray, q: NDArray
) -> tuple[NDArray, NDArray]:
    """Lengths of the diagonals, and which cross the edge between its ends."""
    start = points[shared[:, 0]]
    along = points[shared[:, 1]] - start
    length = np.linalg.norm(along, axis=1)
    unit = along / np.maximum(length, np.finfo(float).tiny)[:, None]

    def in_plane(corner: NDArray) -> tuple[NDArray, NDArray]:
        offset = points[corner] - start
        x = np.einsum('ij,ij->i', offset, unit)
        return x, np.linalg.norm(offset - x[:, None] * unit, axis=1)

    (px, py), (qx, qy) = in_plane(p), in_plane(q)
    height = np.maximum(py + qy, np.finfo(float).tiny)
    crossing = (px * qy + qx * py) / height
    return np.hypot(px - qx, py + qy), (crossing > 0) & (crossing < length)


def _symmetric(pairs: NDArray, lengths: NDArray, size: int) -> csr_matrix:
    """A matrix with the shortest length of each pair, both ways."""
    row, column = pairs.min(axis=1), pairs.max(axis=1)
    order = np.lexsort([lengths, column, row])
    row, column, lengths = row[order], column[order], lengths[order]
    new = np.ones(len(row), dtype=bool)
    new[1:] = (row[1:] != row[:-1]) | (column[1:] != column[:-1])
    new &= row != column
    row, column, lengths = row[new], column[new], lengths[new]
    both = (np.r_[row, column], np.r_[column, row])
    return csr_matrix((np.r_[lengths, lengths], both), shape=(size, size))


def _joined(graph: csr_matrix, points: NDArray) -> csr_matrix:
    used = np.diff(graph.indptr) > 0
    count, label = connected_components(graph, directed=False)
    sizes = np.bincount(label, minlength=count)
    if (sizes > 1).sum() <= 1 and used.all():
        return graph
    main = np.flatnonzero(label == sizes.argmax())
    tree = cKDTree(points[main])
    pairs, lengths = [], []
    for other in range(count):
        if other == sizes.argmax():
            continue
        members = np.flatnonzero(label == other)
        distance, nearest = tree.query(points[members])
        best = int(distance.argmin())
        pairs.append([members[best], main[nearest[best]]])
        lengths.append(distance[best])
    bridges = _symmetric(np.array(pairs), np.array(lengths), graph.shape[0])
    return graph + bridges


_work: tuple[csr_matrix, Path] | None = None


def _start_worker(graph: csr_matrix, path: Path) -> None:
    global _work
    _work = graph, path


def _write_block(start: int, sources: NDArray, all_pairs: bool) -> int:
    assert _work is not None
    graph, path = _work
    # Symmetric as stored, so `directed` only saves the transposed search.
    rows = dijkstra(graph, directed=True, indices=sources)
    output: Any = np.load(path, mmap_mode='r+')
    if all_pairs:
        for row, source in zip(rows, sources, strict=True):
            begin = condensed_size(int(source))
            output[begin : begin + source] = row[:source]
    else:
        output[start : start + len(sources)] = rows
    output.flush()
    return len(sources)


def _executor(
    workers: int | None, blocks: int, arguments: tuple[csr_matrix, Path]
) -> Executor:
    if workers is None:
        available = getattr(os, 'sched_getaffinity', None)
        workers = len(available(0)) if available else os.cpu_count() or 1
    workers = min(workers, blocks)
    # The workers of a data loader may not have children of their own.
    kind = (
        ThreadPoolExecutor
        if workers == 1 or current_process().daemon
        else ProcessPoolExecutor
    )
    return kind(workers, initializer=_start_worker, initargs=arguments)
