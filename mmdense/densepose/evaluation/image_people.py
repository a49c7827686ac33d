"""The annotated people of one image: points, masks, boxes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..functional.annotations import POINT_FIELDS, check_points
from ..functional.gps import points_in_image
from ..functional.mask_overlap import (
    PlacedMask,
    box_iou,
    place_frame_mask,
    place_image_mask,
)
from ..functional.person_masks import read_frame_mask, read_segmentation
from ..surface import BodySurface
from ..surface.parts import NUM_PARTS, PART_NAMES


@dataclass(frozen=True)
class Points:
    """The annotated points of the people of an image, P in all.

    Attributes:
        xy: (P, 2) float64, image coordinates, px.
        person: (P,) int64, whose each is, ascending.
        part: (P,) uint8, 1..24.
        uv: (P, 2) float64.
        vertex: (P,) int32, nearest vertex of the surface; -1 without one.
    """

    xy: NDArray[np.float64]
    person: NDArray[np.int64]
    part: NDArray[np.uint8]
    uv: NDArray[np.float64]
    vertex: NDArray[np.int32]


class ImagePeople:
    """The annotated people of one image and category, G of them.

    Args:
        annotations: As they are in the file.
        height: Of the image, px.
        width: Of the image, px.
        where: Of what file, for errors.
        strict: See :class:`DensePoseGroundTruth`.

    Attributes:
        ids: Of the annotations.
        boxes: (G, 4) float64, x, y, width, height.
        areas: (G,) float64, annotated.
        is_crowd: (G,) bool.
        is_ignored: (G,) bool, people without dense points.
        counts: (G,) bool; see :class:`~..functional.matching.People`.

    Raises:
        ValueError: An annotation lacks box or area.
    """

    def __init__(
        self,
        annotations: Sequence[Mapping[str, Any]],
        height: int,
        width: int,
        where: str,
        strict: bool,
    ) -> None:
        self._annotations = annotations
        self.height, self.width = height, width
        self._where, self._strict = where, strict
        self.ids = [item.get('id') for item in annotations]
        count = len(annotations)
        self.boxes = np.array(
            [self._numbers(item, 'bbox', 4) for item in annotations],
            dtype=np.float64,
        ).reshape(count, 4)
        self.areas = np.array(
            [self._numbers(item, 'area', 1)[0] for item in annotations]
        ).reshape(count)
        self.is_crowd = self._flags(
            bool(a.get('iscrowd')) for a in annotations
        )
        if strict:
            self.is_ignored = self._flags(
                not a.get('dp_x') or bool(a.get('iscrowd') or a.get('ignore'))
                for a in annotations
            )
            self.counts = np.ones(count, dtype=bool)
        else:
            self.is_ignored = self._flags('dp_x' not in a for a in annotations)
            self.counts = self._flags(a['id'] != 0 for a in annotations)
        self._points: Points | None = None

    def __len__(self) -> int:
        return len(self._annotations)

    def points(self, surface: BodySurface | None) -> Points:
        """The points of all who are not ignored; made once.

        Args:
            surface: What they are annotated on, or None.

        Raises:
            ValueError: Points cannot be used, or the surface lacks their
                part.
        """
        if self._points is None:
            self._points = self._read_points(surface)
        return self._points

    def masks(self) -> list[PlacedMask]:
        """Where each person is in the image.

        The part masks together; without them the segmentation of COCO; empty
        without either.

        Raises:
            ValueError: A mask cannot be read.
        """
        return [self._mask(k) for k in range(len(self))]

    def occlusion(self) -> NDArray[np.float64]:
        """(G,), largest share of each box that another's box covers."""
        # Over the area of the first alone, as for a crowd.
        covered = box_iou(
            self.boxes, self.boxes, np.ones(len(self), dtype=bool)
        )
        np.fill_diagonal(covered, 0)
        return covered.max(axis=1, initial=0)

    def _read_points(self, surface: BodySurface | None) -> Points:
        found = defaultdict(list)
        for number, annotation in enumerate(self._annotations):
            if self.is_ignored[number] or not annotation.get('dp_x'):
                continue
            xy, part, uv = self._checked_points(annotation)
            # The published evaluator leaves other points out of the mean.
            usable = (part >= 1) & (part <= NUM_PARTS) & (part % 1 == 0)
            box = self.boxes[number]
            found['xy'].append(points_in_image(xy, box, self._strict)[usable])
            found['part'].append(part[usable].astype(np.uint8))
            found['uv'].append(uv[usable])
            found['person'].append(np.full(np.count_nonzero(usable), number))
        none = np.zeros(0, dtype=np.int64)
        empty = dict(xy=np.zeros((0, 2)), uv=np.zeros((0, 2)), person=none)
        empty['part'] = none.astype(np.uint8)
        joined = {
            name: np.concatenate(found[name]) if found else empty[name]
            for name in empty
        }
        return Points(**joined, vertex=self._vertices(surface, joined))

    def _checked_points(
        self, annotation: Mapping[str, Any]
    ) -> tuple[NDArray[np.float64], ...]:
        """Places in the frame of the box, parts, and (U, V)."""
        try:
            values = np.array(
                [annotation[field] for field in POINT_FIELDS], dtype=np.float64
            )
        except (KeyError, TypeError, ValueError):
            values = np.zeros((5, 0))
        x, y, part, u, v = values.reshape(5, -1)
        is_good = (
            values.ndim == 2 and values.size and np.isfinite(values).all()
        )
        # What is wrong takes its time to find out.
        problems = (
            [] if is_good and not self._strict else check_points(annotation)
        )
        problems = [p for p in problems if not (is_good and p.is_usable)]
        if problems:
            raise ValueError(
                f'{self._name(annotation)}: {problems[0].field} '
                f'{problems[0].message}'
            )
        return np.stack([x, y], axis=1), part, np.stack([u, v], axis=1)

    def _vertices(
        self, surface: BodySurface | None, points: Mapping[str, NDArray]
    ) -> NDArray[np.int32]:
        part, person = points['part'], points['person']
        if surface is None:
            return np.full(len(part), -1, dtype=np.int32)
        exists = np.zeros(NUM_PARTS + 1, dtype=bool)
        exists[list(surface.parts)] = True
        lost = np.flatnonzero(~exists[part])
        if len(lost):
            annotation = self._annotations[person[lost[0]]]
            raise ValueError(
                f'{self._name(annotation)} has points of part '
                f'{part[lost[0]]} ({PART_NAMES[part[lost[0]]]}), which the '
                f'surface {surface.name} lacks: it is another one than they '
                'were annotated on'
            )
        return surface.vertex_of(part, *points['uv'].T)

    def _mask(self, number: int) -> PlacedMask:
        annotation = self._annotations[number]
        size = self.height, self.width
        dense = annotation.get('dp_masks')
        try:
            if dense or ('dp_masks' in annotation and not self._strict):
                frame = read_frame_mask(dense)
                box = self.boxes[number]
                return place_frame_mask(frame, box, *size, self._strict)
            return place_image_mask(
                read_segmentation(annotation.get('segmentation'), *size)
            )
        except ValueError as error:
            raise ValueError(f'{self._name(annotation)}: {error}') from error

    def _numbers(
        self, annotation: Mapping[str, Any], field: str, count: int
    ) -> list[float]:
        values = annotation.get(field)
        numbers = np.atleast_1d(
            np.asarray(values if values is not None else [])
        )
        if (
            numbers.shape != (count,)
            or numbers.dtype.kind not in 'iuf'
            or not np.isfinite(numbers).all()
        ):
            expected = 'a number' if count == 1 else f'{count} numbers'
            raise ValueError(
                f'{self._name(annotation)}: {field} must be {expected}, got '
                f'{values!r}'
            )
        return numbers.tolist()

    def _name(self, annotation: Mapping[str, Any]) -> str:
        return f'{self._where}: annotation {annotation.get("id")}'

    @staticmethod
    def _flags(values: Iterable[bool]) -> NDArray[np.bool_]:
        return np.fromiter(values, dtype=bool)
