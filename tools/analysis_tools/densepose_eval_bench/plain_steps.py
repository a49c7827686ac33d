"""The steps of the published evaluator, one after the other.

Written for comparison of time and numbers; nothing here is clever.
"""

import json
import time
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from scipy.ndimage import zoom
from scipy.spatial.distance import cdist

from mmdense.densepose.surface import BodySurface

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
AREAS = dict(all=(0, 1e10), medium=(1024, 9216), large=(9216, 1e10))
MAX_DETECTIONS = 20


def run(surface: BodySurface, ann: str, images: list) -> dict[str, Any]:
    """Tables of the three measures, and the time they took."""
    with open(ann) as file:
        content = json.load(file)
    sizes = {i['id']: (i['height'], i['width']) for i in content['images']}
    people: dict[Any, list[dict]] = {image: [] for image in sizes}
    for annotation in content['annotations']:
        people[annotation['image_id']].append(annotation)
    body = _Body(surface)
    tables, points = {}, []
    start = time.process_time()
    for measure in ('gps', 'gpsm', 'segm'):
        evaluated = []
        for image, found in images:
            order = np.argsort(-found.scores, kind='mergesort')
            order = order[:MAX_DETECTIONS].tolist()
            args = (people[image], found, order)
            before = time.process_time()
            similarity = body.similarities(*args)
            points.append(time.process_time() - before)
            masks = None
            if measure != 'gps':
                masks = _mask_ious(*args, *sizes[image])
            evaluated.append(_match_image(*args, measure, similarity, masks))
        tables[measure] = _table(evaluated)
    total = time.process_time() - start
    # One of three runs, as the time is given for each pair; it remembers
    # nothing of people it has seen.
    once = sum(points) / 3
    return dict(setup=0, total=total, points=once, known=once, tables=tables)


class _Body:
    def __init__(self, surface: BodySurface) -> None:
        self.surface = surface
        self.entries = [
            np.flatnonzero(surface.part == part) for part in range(25)
        ]

    def vertices(self, part, u, v) -> np.ndarray:
        vertices = np.full(len(part), -1)
        for number in range(1, 25):
            mine = part == number
            if mine.any():
                entries = self.entries[number]
                points = np.stack([u[mine], v[mine]], axis=1)
                distance = cdist(self.surface.uv[entries], points)
                nearest = entries[np.argmin(distance, axis=0)]
                vertices[mine] = self.surface.vertex[nearest]
        return vertices

    def similarities(self, people, found, order) -> np.ndarray:
        result = np.zeros((len(order), len(people)))
        for j, person in enumerate(people):
            if 'dp_x' not in person:
                continue
            for i, k in enumerate(order):
                result[i, j] = self.gps(person, found.boxes[k], found.iuvs[k])
        return result

    def gps(self, person, box, iuv) -> float:
        x, y, width, height = person['bbox']
        columns = np.array(person['dp_x']) * width / 255 + x - box[0]
        rows = np.array(person['dp_y']) * height / 255 + y - box[1]
        columns, rows = columns.astype(int), rows.astype(int)
        outside = (columns < 0) | (columns >= int(box[2]))
        outside |= (rows < 0) | (rows >= int(box[3]))
        if outside.all():
            return 0.0
        columns[outside], rows[outside] = 0, 0
        part = iuv[0, rows, columns]
        part[outside] = 0
        u, v = iuv[1:, rows, columns] / 255
        annotated = np.array(person['dp_I'])
        true = self.vertices(
            annotated, np.array(person['dp_U']), np.array(person['dp_V'])
        )
        predicted = self.vertices(part, u, v)
        distance = np.array(
            [self.distance(a, b) for a, b in zip(true, predicted, strict=True)]
        )
        kappa = self.surface.mean_distances[annotated.astype(int)]
        return float(np.mean(np.exp(-(distance**2) / (2 * kappa**2))))

    def distance(self, a: int, b: int) -> float:
        if b < 0:
            return np.inf
        if a == b:
            return 0.0
        high, low = max(a, b), min(a, b)
        # What a look-up in an array in memory costs.
        return self.matrix[int(high * (high - 1) / 2 + low)]

    @property
    def matrix(self) -> np.ndarray:
        if not hasattr(self, '_matrix'):
            self._matrix = self.surface.distances._values
        return self._matrix


def _mask_ious(people, found, order, height, width) -> np.ndarray:
    annotated = []
    for person in people:
        frame = np.zeros((256, 256))
        for number, mask in enumerate(person.get('dp_masks', ())):
            if mask:
                frame[coco_mask.decode(mask) > 0] = number + 1
        box = person['bbox']
        scale = max(box[3], 1) / 256, max(box[2], 1) / 256
        body = zoom(np.minimum(frame, 1), scale, order=1, prefilter=False)
        annotated.append(_encode(body > 0.5, box, height, width))
    detected = [
        _encode(found.iuvs[k][0] > 0, found.boxes[k], height, width)
        for k in order
    ]
    crowd = [int(person.get('iscrowd', 0)) for person in people]
    iou = coco_mask.iou(detected, annotated, crowd)
    return np.asarray(iou).reshape(len(order), len(people))


def _encode(mask, box, height, width) -> dict:
    x, y = int(box[0]), int(box[1])
    right = min(int(box[0] + box[2]), width, x + mask.shape[1])
    bottom = min(int(box[1] + box[3]), height, y + mask.shape[0])
    left, top = max(x, 0), max(y, 0)
    image = np.zeros((height, width), dtype=np.uint8, order='F')
    if right > left and bottom > top:
        inner = mask[top - y : bottom - y, left - x : right - x]
        image[top:bottom, left:right] = inner
    return coco_mask.encode(image)


def _match_image(people, found, order, measure, gps, masks) -> dict:
    boxes = [list(found.boxes[k]) for k in order]
    crowd = [int(person.get('iscrowd', 0)) for person in people]
    overlap = coco_mask.iou(boxes, [p['bbox'] for p in people], crowd)
    overlap = np.asarray(overlap).reshape(len(order), len(people))
    similarity = gps
    if measure == 'gpsm':
        similarity = np.sqrt(masks * gps)
    elif measure == 'segm':
        similarity = masks
    areas = [box[2] * box[3] for box in boxes]
    result = {
        name: _match(people, crowd, similarity, overlap, areas, *limits)
        for name, limits in AREAS.items()
    }
    return dict(scores=found.scores[order], matches=result)


def _match(people, crowd, similarity, overlap, areas, low, high) -> tuple:
    ignored = np.array(
        [not ('dp_x' in p and low <= p['area'] <= high) for p in people],
        dtype=bool,
    )
    order = np.argsort(ignored, kind='mergesort')
    levels, count = len(THRESHOLDS), len(similarity)
    taken = np.zeros((levels, len(people)), dtype=bool)
    matched = np.zeros((levels, count), dtype=bool)
    skipped = np.zeros((levels, count), dtype=bool) | bool(ignored.all())
    for t, threshold in enumerate(THRESHOLDS):
        for d in range(count):
            best, who = min(threshold, 1 - 1e-10), -1
            for g in order:
                if taken[t, g] and not crowd[g]:
                    continue
                if who > -1 and not ignored[who] and ignored[g]:
                    break
                if similarity[d, g] < best or similarity[d, g] == 0:
                    continue
                best, who = similarity[d, g], g
            if who > -1:
                skipped[t, d] = ignored[who]
                matched[t, d] = taken[t, who] = True
    for d in range(count):
        if matched[-1, d]:
            continue
        best, who = 0.8, -1
        for g in order:
            if taken[-1, g] and not crowd[g]:
                continue
            if overlap[d, g] >= best:
                best, who = overlap[d, g], g
        if who > -1:
            skipped[:, d] = ignored[who]
            if ignored[who]:
                matched[-1, d] = taken[-1, who] = True
    outside = np.array([not low <= area <= high for area in areas], bool)
    skipped |= ~matched & outside
    return matched, skipped, int((~ignored).sum())


def _table(evaluated: list[dict]) -> dict[str, float]:
    curves = {name: _curve(evaluated, name) for name in AREAS}
    table = {}
    for k, head in enumerate(('AP', 'AR')):
        table[head] = _mean(curves['all'][k])
        table[f'{head}50'] = _mean(curves['all'][k][0])
        table[f'{head}75'] = _mean(curves['all'][k][5])
        table[f'{head}m'] = _mean(curves['medium'][k])
        table[f'{head}l'] = _mean(curves['large'][k])
    return table


def _mean(values: np.ndarray) -> float:
    defined = values[values > -1]
    return 100 * float(defined.mean()) if defined.size else -1.0


def _curve(evaluated: list[dict], area: str) -> tuple:
    shape = len(THRESHOLDS), len(RECALLS)
    precision, recall = np.full(shape, -1.0), np.full(shape[0], -1.0)
    people = sum(e['matches'][area][2] for e in evaluated)
    if not people:
        return precision, recall
    order = np.argsort(
        -np.concatenate([e['scores'] for e in evaluated]), kind='mergesort'
    )
    matched, skipped = (
        np.concatenate([e['matches'][area][k] for e in evaluated], axis=1)
        for k in (0, 1)
    )
    right = np.cumsum((matched & ~skipped)[:, order], axis=1).astype(float)
    wrong = np.cumsum((~matched & ~skipped)[:, order], axis=1).astype(float)
    for t in range(shape[0]):
        recalls = right[t] / people
        ratio = (right[t] / (right[t] + wrong[t] + np.spacing(1))).tolist()
        recall[t] = recalls[-1] if len(recalls) else 0
        for i in range(len(ratio) - 1, 0, -1):
            ratio[i - 1] = max(ratio[i - 1], ratio[i])
        places = np.searchsorted(recalls, RECALLS, side='left')
        precision[t] = [ratio[p] if p < len(ratio) else 0 for p in places]
    return precision, recall
