"""Which detection of an image finds which annotated person.

Greedy by score, as in COCO, at each threshold of the similarity; people who
are to be ignored come last. What an ignored person takes up counts neither
for nor against the detection.

The published evaluator of DensePose deviates from COCO; `strict` undoes what
are oversights, as docs/densepose_evaluation.md lists them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# A detection whose box overlaps that of an ignored person by so much is of
# that person.
_SAME_PERSON = 0.8
_ALMOST_ONE = 1 - 1e-10


@dataclass(frozen=True)
class People:
    """The annotated people of an image, in the order of the file.

    Attributes:
        is_ignored: (G,) bool.
        is_crowd: (G,) bool; may be found any number of times.
        counts: (G,) bool; False: finding this person counts as finding
            nobody. The published evaluator treats the id 0 so.
    """

    is_ignored: NDArray[np.bool_]
    is_crowd: NDArray[np.bool_]
    counts: NDArray[np.bool_]


@dataclass(frozen=True)
class Matches:
    """What has become of the detections of an image, by falling score.

    Attributes:
        person: (T, D) int32, index of the person each has found at each
            threshold; -1 for none.
        is_found: (T, D) bool, whether that counts as found.
        is_ignored: (T, D) bool: neither right nor wrong.
        num_people: How many there were to be found.
    """

    person: NDArray[np.int32]
    is_found: NDArray[np.bool_]
    is_ignored: NDArray[np.bool_]
    num_people: int


def match_people(
    similarity: NDArray[np.float64],
    box_iou: NDArray[np.float64],
    people: People,
    is_out_of_range: NDArray[np.bool_],
    thresholds: NDArray[np.float64],
    strict: bool = False,
) -> Matches:
    """Match the detections of an image with its people.

    Args:
        similarity: (D, G), detections by falling score.
        box_iou: (D, G), of boxes.
        people: Those of the image; `is_ignored` includes those whose size is
            not asked for.
        is_out_of_range: (D,) detections whose size is not asked for; they
            are ignored unless they find somebody.
        thresholds: (T,), ascending.
        strict: Whether a detection is of an ignored person is judged at each
            threshold for itself, not at the last one for all; and a detection
            in an image without annotations is wrong, not ignored.
    """
    state = _State(similarity.shape, people, len(thresholds))
    is_empty_image = len(people.is_ignored) == 0
    if people.is_ignored.all() and not (strict and is_empty_image):
        state.is_ignored[:] = True
    order = np.argsort(people.is_ignored, kind='stable').tolist()
    similar = _candidates(similarity, order, thresholds[0])
    for level, threshold in enumerate(thresholds.tolist()):
        _match_level(state, level, threshold, similar)
    close = _candidates(box_iou, order, _SAME_PERSON)
    last = len(thresholds) - 1
    for level in range(len(thresholds)) if strict else (last,):
        _ignore_level(state, level, close, strict)
    state.is_ignored |= ~state.is_found & is_out_of_range
    return Matches(
        person=state.person,
        is_found=state.is_found,
        is_ignored=state.is_ignored,
        num_people=int(np.count_nonzero(~people.is_ignored)),
    )


class _State:
    def __init__(
        self, shape: tuple[int, ...], people: People, levels: int
    ) -> None:
        detections, count = shape
        self.ignored_people = people.is_ignored.tolist()
        self.crowd = people.is_crowd.tolist()
        self.counts = people.counts.tolist()
        self.taken = np.zeros((levels, count), dtype=bool)
        self.person = np.full((levels, detections), -1, dtype=np.int32)
        self.is_found = np.zeros((levels, detections), dtype=bool)
        self.is_ignored = np.zeros((levels, detections), dtype=bool)

    def is_free(self, level: int, person: int) -> bool:
        return self.crowd[person] or not self.taken[level, person]

    def take(self, level: int, detection: int, person: int) -> None:
        self.taken[level, person] = True
        self.person[level, detection] = person
        self.is_found[level, detection] = self.counts[person]


#: A detection and the people that may be it, with the values of each.
_Candidates = list[tuple[int, list[tuple[int, float]]]]


def _candidates(
    values: NDArray[np.float64], order: list[int], lowest: float
) -> _Candidates:
    """Who may be which detection; people who are ignored come last."""
    lowest = min(lowest, _ALMOST_ONE)
    candidates = []
    for detection, row in enumerate(values.tolist()):
        people = [(g, row[g]) for g in order if row[g] >= lowest]
        if people:
            candidates.append((detection, people))
    return candidates


def _match_level(
    state: _State, level: int, threshold: float, candidates: _Candidates
) -> None:
    for detection, people in candidates:
        best, found = min(threshold, _ALMOST_ONE), -1
        for person, value in people:
            if value < best or not state.is_free(level, person):
                continue
            # Somebody to be found goes before all that are ignored.
            if (
                found >= 0
                and not state.ignored_people[found]
                and state.ignored_people[person]
            ):
                break
            best, found = value, person
        if found >= 0:
            state.take(level, detection, found)
            ignored = state.ignored_people[found]
            state.is_ignored[level, detection] = ignored


def _ignore_level(
    state: _State, level: int, candidates: _Candidates, strict: bool
) -> None:
    """Detections that have found nobody, but are of an ignored person."""
    for detection, people in candidates:
        if state.is_found[level, detection]:
            continue
        best, found = _SAME_PERSON, -1
        for person, value in people:
            if value >= best and state.is_free(level, person):
                best, found = value, person
        if found < 0:
            continue
        ignored = state.ignored_people[found]
        if not strict:
            # At all thresholds, even where it has found somebody.
            state.is_ignored[:, detection] = ignored
        elif ignored:
            state.is_ignored[level, detection] = True
        if ignored:
            state.take(level, detection, found)
