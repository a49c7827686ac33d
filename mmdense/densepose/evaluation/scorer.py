"""The detections of an image against its annotated people."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..functional.average_precision import AREA_RANGES, similarity_thresholds
from ..functional.gps import geodesic_point_similarity, read_iuv
from ..functional.mask_overlap import box_iou, mask_iou, place_box_mask
from ..functional.matching import Matches, People, match_people
from ..functional.point_errors import PointErrors
from ..surface import BodySurface
from ..surface.parts import check_parts
from .detections import Detections
from .image_people import ImagePeople, Points

#: What people are compared by: points, points and masks, masks.
MEASURES = ('gps', 'gpsm', 'segm')
# Boxes that overlap so much are of one person, where errors are measured.
_FOUND = np.array([0.5])


@dataclass(frozen=True)
class Similarities:
    """Matrices (D, G) of an image, detections by falling score.

    Attributes:
        box_iou: Of boxes.
        mask_iou: Of masks.
        gps: Of points, or None without a surface.
    """

    box_iou: NDArray[np.float64]
    mask_iou: NDArray[np.float64]
    gps: NDArray[np.float64] | None

    def of(self, measure: str) -> NDArray[np.float64]:
        """The matrix of one of `MEASURES`."""
        if measure == 'segm' or self.gps is None:
            return self.mask_iou
        if measure == 'gps':
            return self.gps
        return np.sqrt(self.mask_iou * self.gps)


@dataclass(frozen=True)
class ImageResult:
    """All that a data set's scores need of an image and category.

    Attributes:
        image_id: Of the image.
        category_id: Of the category.
        scores: (D,), falling.
        matches: By measure and name of the range of areas.
        errors: Of the points of the people that were found.
        mask_ious: Of the masks of those, (K,).
    """

    image_id: Any
    category_id: Any
    scores: NDArray[np.float64]
    matches: dict[tuple[str, str], Matches]
    errors: PointErrors
    mask_ious: NDArray[np.float64]


@dataclass
class DensePoseScorer:
    """Compares detections with annotated people, image by image.

    Attributes:
        surface: What points are annotated on; None: distances are not known,
            and `segm` is all there is.
        kappa: Tolerance in metres; None for the surface's, by part.
        thresholds: (T,) of the similarity.
        max_detections: How many of an image count, by falling score.
        strict: See docs/densepose_evaluation.md.
    """

    surface: BodySurface | None
    kappa: float | None = None
    thresholds: NDArray[np.float64] = field(
        default_factory=similarity_thresholds
    )
    max_detections: int = 20
    strict: bool = False

    @property
    def measures(self) -> tuple[str, ...]:
        """Those of `MEASURES` that can be told."""
        return MEASURES if self.surface is not None else ('segm',)

    def score(
        self,
        image_id: Any,
        category_id: Any,
        people: ImagePeople,
        detections: Detections,
    ) -> ImageResult:
        """Everything about an image.

        Args:
            image_id: For the result.
            category_id: For the result.
            people: Annotated in it.
            detections: Of it, in any order.

        Raises:
            ValueError: An IUV does not fit its box or has a part above 24,
                or an annotation cannot be used.
        """
        detections = detections.best(self.max_detections)
        similarities, predicted, distance = self._compare(people, detections)
        errors, mask_ious = self._errors(
            people, similarities, predicted, distance
        )
        return ImageResult(
            image_id,
            category_id,
            detections.scores,
            self._match(people, detections, similarities),
            errors,
            mask_ious,
        )

    def similarities(
        self, people: ImagePeople, detections: Detections
    ) -> Similarities:
        """The matrices of an image.

        Raises:
            ValueError: As :meth:`score`.
        """
        best = detections.best(self.max_detections)
        return self._compare(people, best)[0]

    def point_similarities(
        self, people: ImagePeople, detections: Detections
    ) -> tuple[NDArray[np.float64], NDArray[np.uint8], NDArray[np.float32]]:
        """GPS and what it is made from; needs a surface.

        Args:
            people: Annotated in an image.
            detections: Of it.

        Returns:
            (D, G) GPS, (D, 3, P) what is predicted at each point and (D, P)
            metres from where it is annotated.

        Raises:
            ValueError: As :meth:`score`.
        """
        points = people.points(self.surface)
        predicted = self._predicted(detections, points)
        distance = self._distances(predicted, points)
        gps = geodesic_point_similarity(
            distance, self._kappas(points), points.person, len(people)
        )
        return gps, predicted, distance

    def _predicted_vertices(
        self, predicted: NDArray[np.uint8], points: Points
    ) -> NDArray[np.int32]:
        """Where on the surface points are predicted to be.

        Args:
            predicted: (D, 3, P) uint8: part, 255 U, 255 V.
            points: What was annotated there.

        Returns:
            (D, P) vertices, -1 for none.

        Raises:
            ValueError: A part is above 24.
        """
        assert self.surface is not None
        part, u, v = np.moveaxis(predicted, 1, 0)
        return self.surface.vertex_of_quantized(part, u, v)

    def _compare(
        self, people: ImagePeople, detections: Detections
    ) -> tuple[Similarities, NDArray[np.uint8], NDArray[np.float32]]:
        """Matrices, (D, 3, P) predictions and (D, P) distances."""
        detections = detections.unpacked()
        if self.surface is not None:
            gps, *rest = self.point_similarities(people, detections)
            predicted, distance = rest
        else:
            points = people.points(None)
            gps, predicted = None, self._predicted(detections, points)
            shape = len(predicted), len(points.part)
            distance = np.full(shape, np.nan, dtype=np.float32)
        crowd = people.is_crowd
        similarities = Similarities(
            box_iou(detections.boxes, people.boxes, crowd),
            self._mask_ious(people, detections),
            gps,
        )
        return similarities, predicted, distance

    def _predicted(
        self, detections: Detections, points: Points
    ) -> NDArray[np.uint8]:
        """(D, 3, P) part, 255 U, 255 V."""
        shape = len(detections.scores), 3, len(points.part)
        predicted = np.zeros(shape, dtype=np.uint8)
        rows = zip(predicted, detections.with_grids(), strict=True)
        for row, (iuv, grid) in rows:
            check_parts(iuv[0], allow_background=True)
            row[:] = read_iuv(iuv, points.xy, grid, self.strict)
        return predicted

    def _mask_ious(
        self, people: ImagePeople, detections: Detections
    ) -> NDArray[np.float64]:
        if not len(people) or not len(detections.scores):
            return np.zeros((len(detections.scores), len(people)))
        size = people.height, people.width
        masks = [
            place_box_mask(iuv[0], grid, *size, self.strict)
            for iuv, grid in detections.with_grids()
        ]
        return mask_iou(masks, people.masks(), people.is_crowd)

    def _distances(
        self, predicted: NDArray[np.uint8], points: Points
    ) -> NDArray[np.float32]:
        """(D, P) metres; looked up only where something is predicted."""
        assert self.surface is not None
        vertices = self._predicted_vertices(predicted, points)
        distance = np.full(vertices.shape, np.inf, dtype=np.float32)
        seen = np.nonzero(vertices >= 0)
        distance[seen] = self.surface.geodesic(
            vertices[seen], points.vertex[seen[1]]
        )
        return distance

    def _kappas(self, points: Points) -> NDArray[np.float64]:
        if self.kappa is not None:
            return np.full(len(points.part), self.kappa)
        assert self.surface is not None
        return self.surface.mean_distances[points.part]

    def _match(
        self,
        people: ImagePeople,
        detections: Detections,
        similarities: Similarities,
    ) -> dict[tuple[str, str], Matches]:
        matches = {}
        areas = detections.boxes[:, 2] * detections.boxes[:, 3]
        for name, (low, high) in AREA_RANGES.items():
            unasked = (people.areas < low) | (people.areas > high)
            wanted = People(
                people.is_ignored | unasked, people.is_crowd, people.counts
            )
            for measure in self.measures:
                matches[measure, name] = match_people(
                    similarities.of(measure),
                    similarities.box_iou,
                    wanted,
                    (areas < low) | (areas > high),
                    self.thresholds,
                    self.strict,
                )
        return matches

    def _errors(
        self,
        people: ImagePeople,
        similarities: Similarities,
        predicted: NDArray[np.uint8],
        distance: NDArray[np.float32],
    ) -> tuple[PointErrors, NDArray[np.float64]]:
        """Of people that a detection has found by its box."""
        found = match_people(
            similarities.box_iou,
            similarities.box_iou,
            People(people.is_ignored, people.is_crowd, people.counts),
            np.zeros(len(predicted), dtype=bool),
            _FOUND,
            strict=True,
        ).person[0]
        detection = np.full(len(people), -1)
        detection[found[found >= 0]] = np.flatnonzero(found >= 0)
        detection[people.is_ignored] = -1
        points = people.points(self.surface)
        is_found = detection[points.person] >= 0
        rows = detection[points.person[is_found]]
        part, u, v = predicted[rows, :, np.flatnonzero(is_found)].T
        annotated = points.part[is_found]
        off = np.stack([u, v], axis=1) / 255 - points.uv[is_found]
        uv_error = np.where(part == annotated, np.hypot(*off.T), np.nan)
        owner = points.person[is_found]
        errors = PointErrors(
            part=annotated,
            predicted_part=part,
            distance=distance[rows, is_found.nonzero()[0]],
            uv_error=uv_error.astype(np.float32),
            vertex=points.vertex[is_found],
            area=people.areas[owner].astype(np.float32),
            occlusion=people.occlusion()[owner].astype(np.float32),
        )
        who = np.flatnonzero(detection >= 0)
        return errors, similarities.mask_iou[detection[who], who]
