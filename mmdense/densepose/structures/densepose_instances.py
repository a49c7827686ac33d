"""The dense annotations of the people in an image, ragged and immutable."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from ..functional.annotations import FRAME_SIZE
from ..surface.parts import MIRROR_SEGM

#: Key of the meta information of a sample: height and width of the image that
#: its dense annotations are of.
SHAPE_OF_POINTS = 'shape_of_points'

Index = int | slice | Sequence[int] | Sequence[bool] | np.ndarray | Tensor


@dataclass(frozen=True, eq=False)
class DensePoseInstances:
    """Points and part masks of N people, P points in all.

    The points of a person follow each other, in the order of the people. A
    person may have points and no part mask, a part mask and no points, or
    nothing. Tensors are never written in place, so copies share them.

    Points are where they are in the image. A part mask is not: it keeps the
    pixels of the annotation, and `mask_to_image` says where they lie. So no
    transform resamples it, and a crop cuts nothing off.

    Attributes:
        num_points: (N,) int64, points of each person.
        xy: (P, 2) float32, absolute image coordinates in px; the first
            pixel covers [0, 1).
        part: (P,) int64, part of the surface, 1..24.
        uv: (P, 2) float32, place on the part, in [0, 1].
        mirrored_part: (P,) int64, `part` of the mirror image. None: the
            symmetry of the surface is not known, and nothing can be flipped.
        mirrored_uv: (P, 2) float32, `uv` of the mirror image, or None.
        is_visible: (P,) bool, False once a transform has cut off the place of
            the point; it does not come back when the canvas grows again.
        part_masks: (N, 256, 256) uint8, coarse parts 0..14 in the frame of
            the annotated box; zeros without a mask.
        has_part_mask: (N,) bool.
        mask_to_image: (N, 3, 3) float32, from the frame of the mask, 0..256
            in x and y, to image coordinates (homogeneous, columns).
    """

    num_points: Tensor
    xy: Tensor
    part: Tensor
    uv: Tensor
    mirrored_part: Tensor | None
    mirrored_uv: Tensor | None
    is_visible: Tensor
    part_masks: Tensor
    has_part_mask: Tensor
    mask_to_image: Tensor

    @classmethod
    def empty(cls, num_instances: int = 0) -> 'DensePoseInstances':
        """People without dense annotations."""
        return cls(
            num_points=torch.zeros(num_instances, dtype=torch.int64),
            xy=torch.zeros(0, 2),
            part=torch.zeros(0, dtype=torch.int64),
            uv=torch.zeros(0, 2),
            mirrored_part=torch.zeros(0, dtype=torch.int64),
            mirrored_uv=torch.zeros(0, 2),
            is_visible=torch.zeros(0, dtype=torch.bool),
            part_masks=torch.zeros(
                num_instances, FRAME_SIZE, FRAME_SIZE, dtype=torch.uint8
            ),
            has_part_mask=torch.zeros(num_instances, dtype=torch.bool),
            mask_to_image=torch.eye(3).repeat(num_instances, 1, 1),
        )

    def __len__(self) -> int:
        return len(self.num_points)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}({len(self)} people, '
            f'{int((self.num_points > 0).sum())} with {len(self.xy)} points, '
            f'{int(self.has_part_mask.sum())} with part masks)'
        )

    def __deepcopy__(self, memo: dict) -> 'DensePoseInstances':
        return self

    @property
    def device(self) -> torch.device:
        return self.num_points.device

    @property
    def has_points(self) -> Tensor:
        """(N,) bool."""
        return self.num_points > 0

    @property
    def instance(self) -> Tensor:
        """(P,) int64, the person each point belongs to."""
        people = torch.arange(len(self), device=self.device)
        return people.repeat_interleave(self.num_points)

    def __getitem__(self, index: Index) -> 'DensePoseInstances':
        """People by index; one alone is still a container.

        Args:
            index: An int, slice, mask or list of indices, repeated or not.

        Raises:
            IndexError: Out of range, or a mask of another length.
        """
        rows = self._rows(index)
        count = self.num_points[rows]
        first = self.num_points.cumsum(0) - self.num_points
        # Of each point taken: its place within its person, from the front.
        place = torch.arange(int(count.sum()), device=self.device)
        place = place - (count.cumsum(0) - count).repeat_interleave(count)
        points = first[rows].repeat_interleave(count) + place
        return replace(
            self,
            num_points=count,
            part_masks=self.part_masks[rows],
            has_part_mask=self.has_part_mask[rows],
            mask_to_image=self.mask_to_image[rows],
            **self._take_points(points),
        )

    def _rows(self, index: Index) -> Tensor:
        people = torch.arange(len(self), device=self.device)
        if isinstance(index, int | np.integer):
            return people[int(index)].reshape(1)
        if isinstance(index, slice):
            return people[index]
        index = torch.as_tensor(index, device=self.device)
        if index.numel() == 0 and index.dtype != torch.bool:
            index = index.long()
        return people[index].reshape(-1)

    def _take_points(self, points: Tensor) -> dict[str, Tensor | None]:
        taken = {}
        for name in _POINT_FIELDS:
            values = getattr(self, name)
            taken[name] = None if values is None else values[points]
        return taken

    @classmethod
    def cat(
        cls, instances: Sequence['DensePoseInstances']
    ) -> 'DensePoseInstances':
        """The people of several containers, in order.

        Mirrored labels are known if they are for all that have points.

        Raises:
            ValueError: There is none to start from.
        """
        if not instances:
            raise ValueError('nothing to concatenate: expected containers')
        if len(instances) == 1:
            return instances[0]
        joined = {}
        for field in fields(cls):
            values = [getattr(item, field.name) for item in instances]
            if any(value is None for value in values):
                # Who has no points has nothing to know.
                pairs = zip(instances, values, strict=True)
                values = [value for item, value in pairs if len(item.xy)]
            is_known = values and all(value is not None for value in values)
            joined[field.name] = torch.cat(values) if is_known else None
        return cls(**joined)

    def to(self, *args, **kwargs) -> 'DensePoseInstances':
        """Move to a device; a dtype changes the coordinates only."""
        moved = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                is_number = value.is_floating_point()
                target = value.to(*args, **kwargs)
                value = target if is_number else value.to(target.device)
            moved[field.name] = value
        return type(self)(**moved)

    def cpu(self) -> 'DensePoseInstances':
        return self.to('cpu')

    def cuda(self) -> 'DensePoseInstances':
        return self.to('cuda')

    def detach(self) -> 'DensePoseInstances':
        return self

    def transformed(self, matrix: Tensor | np.ndarray) -> 'DensePoseInstances':
        """All people after a transform of the image.

        A transform that turns the image over makes left limbs right ones:
        parts, (U, V) and part masks become those of the mirror image. So a
        horizontal or a vertical flip mirrors, the two together (a rotation by
        180 degrees) do not.

        Args:
            matrix: (3, 3) homography of image coordinates, in px, where the
                first pixel covers [0, 1).

        Raises:
            ValueError: The transform mirrors, and the mirrored labels are not
                known.
        """
        matrix = torch.as_tensor(matrix, dtype=torch.float64)
        turns_over = bool(torch.linalg.det(matrix) < 0)
        matrix = matrix.to(self.device)
        result = replace(
            self,
            xy=_project(matrix, self.xy),
            mask_to_image=(matrix @ self.mask_to_image.double()).float(),
        )
        return result._mirrored() if turns_over else result

    def _mirrored(self) -> 'DensePoseInstances':
        if self.mirrored_part is None and len(self.xy):
            raise ValueError(
                'these dense points cannot be flipped: the symmetry of their '
                'surface is not known. Give LoadDensePoseAnnotations a '
                'symmetry (for DensePose-COCO the path of '
                'UV_symmetry_transforms.mat), or take RandomFlip out of the '
                'pipeline'
            )
        masks = self.part_masks
        if self.has_part_mask.any():
            table = torch.as_tensor(
                np.array(MIRROR_SEGM, dtype=np.uint8), device=self.device
            )
            masks = table[masks.int()]
        if self.mirrored_part is None:
            return replace(self, part_masks=masks)
        # The mirrored labels were computed from the annotated ones; swapped,
        # not computed anew, two flips are exactly none.
        return replace(
            self,
            part=self.mirrored_part,
            uv=self.mirrored_uv,
            mirrored_part=self.part,
            mirrored_uv=self.uv,
            part_masks=masks,
        )

    def cut_to(self, height: float, width: float) -> 'DensePoseInstances':
        """Mark the points outside an image of this size as not visible."""
        x, y = self.xy.unbind(1)
        is_inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        return replace(self, is_visible=self.is_visible & is_inside)

    def visible(self) -> 'DensePoseInstances':
        """The same people with their visible points only."""
        count = torch.zeros_like(self.num_points)
        count.index_add_(0, self.instance, self.is_visible.long())
        points = self.is_visible.nonzero().squeeze(1)
        return replace(self, num_points=count, **self._take_points(points))


_POINT_FIELDS = (
    'xy',
    'part',
    'uv',
    'mirrored_part',
    'mirrored_uv',
    'is_visible',
)


def _project(matrix: Tensor, xy: Tensor) -> Tensor:
    """Apply a homography to (P, 2) points; in float64, back in float32."""
    ones = xy.new_ones(len(xy), 1, dtype=torch.float64)
    moved = torch.cat((xy.double(), ones), dim=1) @ matrix.T
    return (moved[:, :2] / moved[:, 2:]).to(xy.dtype)
