"""Shape and pose the body that ships, by linear blend skinning.

Of numpy alone: the tools that draw people run in many processes, and none of
them needs torch. How the file is laid out is in
mmdense/densepose/assets/README.md.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]

BODY_FILE = Path(__file__).parents[1] / 'assets' / 'body.npz'
FORMAT_VERSION = 1


class RestBody(NamedTuple):
    """A body of one shape in the rest pose, in metres."""

    vertices: Floats
    bone_heads: Floats
    bone_tails: Floats


@dataclass(frozen=True, eq=False)
class PosableBody:
    """A body whose shape and pose can be set.

    The frame: metres, x to the left of the person, y up, z to the front; the
    soles of the mean body lie at y = 0. In the rest pose the body stands with
    its arms about 45 degrees down.

    Attributes:
        vertices: (V, 3) the mean body.
        faces: (F, 3) triangles, counter-clockwise from outside.
        shape_basis: (K, V, 3) displacements of one standard deviation.
        bone_names: J names; a bone turns about its head.
        bone_parents: (J,) indices, smaller than the bone's own; -1: none.
        bone_heads, bone_tails: (J, 3) the mean body's joints.
        bone_heads_basis, bone_tails_basis: (K, J, 3).
        bone_mirror: (J,) the bone of the other side.
        skin_bones: (V, 4) bones that move a vertex.
        skin_weights: (V, 4) by how much; each row adds up to 1.
    """

    vertices: Floats
    faces: NDArray[np.int32]
    shape_basis: Floats
    bone_names: tuple[str, ...]
    bone_parents: NDArray[np.int32]
    bone_heads: Floats
    bone_tails: Floats
    bone_heads_basis: Floats
    bone_tails_basis: Floats
    bone_mirror: NDArray[np.int32]
    skin_bones: NDArray[np.int32]
    skin_weights: Floats

    @classmethod
    def load(cls, path: str | Path | None = None) -> 'PosableBody':
        """Read a body file.

        Args:
            path: The file; None: the one that ships.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is not a body file, or not of this format.
        """
        path = BODY_FILE if path is None else Path(path)
        if not path.is_file():
            raise FileNotFoundError(
                f'No body file {path}; tools/dataset_converters/make_body.py '
                'makes one'
            )
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f'{path} cannot be read as an npz file ({error}); it may be '
                'incomplete'
            ) from error
        return cls.from_arrays(arrays, str(path))

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, NDArray[Any]], name: str = 'the body'
    ) -> 'PosableBody':
        """The body in the arrays of a body file; `name` is for errors."""
        wanted = {field.name for field in fields(cls)} | {'format_version'}
        if missing := sorted(wanted - set(arrays)):
            raise ValueError(
                f'{name} is not a file of a posable body: it lacks {missing}'
            )
        if (version := int(arrays['format_version'])) != FORMAT_VERSION:
            raise ValueError(
                f'{name} has format {version}; this version of mmdense reads '
                f'format {FORMAT_VERSION}'
            )
        weights = arrays['skin_weights'].astype(np.float32)
        arrays = {
            **arrays,
            'skin_weights': weights / weights.sum(1, keepdims=True),
        }
        typed: dict[str, Any] = {
            'bone_names': tuple(str(n) for n in arrays['bone_names'])
        }
        for field in fields(cls):
            if field.name in typed:
                continue
            of_floats = arrays[field.name].dtype.kind == 'f'
            array = arrays[field.name].astype(
                np.float32 if of_floats else np.int32
            )
            array.setflags(write=False)
            typed[field.name] = array
        return cls(**typed)

    @property
    def num_shapes(self) -> int:
        return len(self.shape_basis)

    @property
    def num_bones(self) -> int:
        return len(self.bone_parents)

    @cached_property
    def _bone_index(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.bone_names)}

    def bone_index(self, name: str) -> int:
        """Index of a bone.

        Raises:
            ValueError: There is no bone of this name.
        """
        if name not in self._bone_index:
            raise ValueError(
                f'No bone {name!r}; there are {", ".join(self.bone_names)}'
            )
        return self._bone_index[name]

    def shape(self, coefficients: ArrayLike | None = None) -> RestBody:
        """The body of a shape, in the rest pose.

        Args:
            coefficients: (K,) or fewer, in standard deviations of adults;
                None: the mean body.

        Raises:
            ValueError: Too many coefficients, or not finite.
        """
        if coefficients is None:
            return RestBody(self.vertices, self.bone_heads, self.bone_tails)
        values = np.asarray(coefficients, dtype=np.float32)
        if values.ndim != 1 or len(values) > self.num_shapes:
            raise ValueError(
                f'Expected up to {self.num_shapes} shape coefficients in one '
                f'row, got an array of shape {values.shape}'
            )
        if not np.isfinite(values).all():
            raise ValueError(f'Shape coefficients must be finite: {values}')
        count = len(values)
        return RestBody(
            *(
                mean + np.tensordot(values, basis[:count], 1)
                for mean, basis in (
                    (self.vertices, self.shape_basis),
                    (self.bone_heads, self.bone_heads_basis),
                    (self.bone_tails, self.bone_tails_basis),
                )
            )
        )

    def pose(
        self,
        coefficients: ArrayLike | None = None,
        rotations: ArrayLike | None = None,
        translation: ArrayLike | None = None,
    ) -> Floats:
        """Vertices of the body of a shape in a pose.

        Each bone turns about its head, and takes along all that hangs on it;
        a vertex moves by the weighted mean of the motions of its four bones
        (linear blend skinning; Magnenat-Thalmann et al., "Joint-Dependent
        Local Deformations", 1988).

        Args:
            coefficients: See `shape`.
            rotations: (J, 3, 3) rotation of each bone relative to its parent,
                in the axes of the frame above, not of the bone: the identity
                is the rest pose. None: the rest pose.
            translation: (3,) added to all, in metres.

        Returns:
            (V, 3) float32.

        Raises:
            ValueError: An array of the wrong shape, or a matrix that is not a
                rotation.
        """
        rest = self.shape(coefficients)
        if rotations is None:
            vertices = rest.vertices
        else:
            motions = self.bone_motions(rest, rotations).astype(np.float32)
            blended = self._blend(motions.reshape(-1, 12)).reshape(-1, 3, 4)
            vertices = blended[:, :, 3] + np.einsum(
                'vij,vj->vi', blended[:, :, :3], rest.vertices
            )
        if translation is not None:
            shift = np.asarray(translation, dtype=np.float32)
            if shift.shape != (3,):
                raise ValueError(
                    f'Expected 3 numbers of translation, got an array of '
                    f'shape {shift.shape}'
                )
            vertices = vertices + shift
        return vertices

    def bone_motions(
        self, rest: RestBody, rotations: ArrayLike
    ) -> NDArray[np.float64]:
        """Where each bone goes: x -> A x + b for what is fixed to it.

        Args:
            rest: The body in the rest pose, from `shape`.
            rotations: See `pose`.

        Returns:
            (J, 3, 4): A, a rotation, and b. Applied to `rest.bone_heads` they
            give the joints of the pose.
        """
        local = np.asarray(rotations, dtype=np.float64)
        if local.shape != (self.num_bones, 3, 3):
            raise ValueError(
                f'Expected rotations of shape ({self.num_bones}, 3, 3), got '
                f'{local.shape}'
            )
        product = local @ local.transpose(0, 2, 1)
        with np.errstate(invalid='ignore'):
            right = (np.abs(product - np.eye(3)).max((1, 2)) < 1e-4) & (
                np.linalg.det(local) > 0
            )
        if not right.all():
            bone = int(np.argmin(right))
            raise ValueError(
                f'The matrix of bone {self.bone_names[bone]!r} is not a '
                f'rotation: {local[bone].tolist()}'
            )
        heads = rest.bone_heads.astype(np.float64)
        motions = np.empty((self.num_bones, 3, 4))
        for bone, parent in enumerate(self.bone_parents.tolist()):
            turned, head = local[bone], heads[bone]
            if parent >= 0:
                above = motions[parent]
                turned = above[:, :3] @ turned
                head = above[:, :3] @ head + above[:, 3]
            motions[bone, :, :3] = turned
            motions[bone, :, 3] = head - turned @ heads[bone]
        return motions

    def _blend(self, values: Floats) -> Floats:
        """(V, D) weighted means over the bones of each vertex of (J, D)."""
        blended = self.skin_weights[:, :1] * values[self.skin_bones[:, 0]]
        for k in range(1, self.skin_bones.shape[1]):
            blended += (
                self.skin_weights[:, k, None] * values[self.skin_bones[:, k]]
            )
        return blended
