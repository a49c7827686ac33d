"""People and detections that nobody drew, for a benchmark of their scoring.

Sizes, numbers of people, of points and of detections are about those of
DensePose-COCO; where points lie on the body is random.
"""

import json
from pathlib import Path

import numpy as np
from scipy.io import savemat
from scipy.spatial import cKDTree

from mmdense.densepose.evaluation.results_file import (
    Detection,
    write_results,
)
from mmdense.densepose.surface import BodySurface

# Of the published body.
ENTRIES, VERTICES = 29408, 27554
HEIGHT, WIDTH = 480, 640
MEAN_PEOPLE, POINTS = 3, 110
DETECTIONS_A_PERSON = 4


def write_published_size(folder: Path, seed: int = 0) -> Path:
    """Files as those of the published body, of their size but made up.

    Entries lie anywhere in their charts. All distances are 0, which takes no
    room on the disk; looking one up takes as long.

    Args:
        folder: Where to.
        seed: Of the entries.

    Returns:
        The folder.
    """
    rng = np.random.default_rng(seed)
    part = np.sort(np.arange(ENTRIES) % 24 + 1).astype(np.uint8)
    u, v = rng.uniform(0, 1, (2, ENTRIES, 1))
    fields = dict(Part_ID_subdiv=part[:, None], U_subdiv=u, V_subdiv=v)
    savemat(folder / 'SMPL_subdiv.mat', fields)
    index = np.arange(ENTRIES)[:, None] % VERTICES + 1.0
    savemat(folder / 'SMPL_SUBDIV_TRANSFORM.mat', dict(index=index))
    np.lib.format.open_memmap(
        folder / 'Pdist_matrix.npy',
        'w+',
        np.float32,
        (VERTICES * (VERTICES - 1) // 2,),
    ).flush()
    return folder


def write(
    surface: BodySurface, num_images: int, folder: Path, seed: int = 0
) -> tuple[Path, Path]:
    """Write annotations and detections.

    Args:
        surface: What the points lie on.
        num_images: How many.
        folder: Where to.
        seed: Of all that is random.

    Returns:
        The files of the annotations and of the detections.
    """
    rng = np.random.default_rng(seed)
    annotations, detections, images = [], [], []
    for image_id in range(1, num_images + 1):
        images.append(dict(id=image_id, height=HEIGHT, width=WIDTH))
        for _ in range(1 + rng.poisson(MEAN_PEOPLE - 1)):
            person = _person(rng, surface, image_id, len(annotations) + 1)
            annotations.append(person)
            for _ in range(DETECTIONS_A_PERSON):
                detections.append(_detection(rng, person))
    content = dict(
        images=images,
        annotations=annotations,
        categories=[dict(id=1, name='person')],
    )
    ann, results = folder / 'annotations.json', folder / 'results.json'
    ann.write_text(json.dumps(content))
    write_results(results, detections)
    return ann, results


def _person(
    rng: np.random.Generator, surface: BodySurface, image_id: int, id_: int
) -> dict:
    height = float(np.exp(rng.uniform(np.log(40), np.log(440))))
    width = height * rng.uniform(0.35, 0.8)
    x, y = rng.uniform(0, [WIDTH - width, HEIGHT - height])
    entries = rng.integers(0, surface.num_entries, POINTS)
    uv = (surface.uv[entries] + rng.normal(0, 0.01, (POINTS, 2))).clip(0, 1)
    angle = rng.uniform(0, 2 * np.pi, POINTS)
    radius = 122 * np.sqrt(rng.uniform(0, 1, POINTS))
    return dict(
        id=id_,
        image_id=image_id,
        category_id=1,
        iscrowd=0,
        bbox=[round(value, 2) for value in (x, y, width, height)],
        area=0.6 * width * height,
        dp_x=(128 + radius * np.cos(angle)).tolist(),
        dp_y=(128 + radius * np.sin(angle)).tolist(),
        dp_I=surface.part[entries].tolist(),
        dp_U=uv[:, 0].tolist(),
        dp_V=uv[:, 1].tolist(),
        dp_masks=_masks(),
    )


def _masks() -> list[dict]:
    """An ellipse cut into 14 bands, as runs down the columns."""
    rows, columns = np.mgrid[:256, :256] + 0.5
    body = np.hypot(rows - 128, columns - 128) < 124
    bands = []
    for band in range(14):
        mask = (body & (rows * 14 // 256 == band)).T.ravel()
        edges = np.flatnonzero(np.diff(mask, prepend=False, append=False))
        counts = np.diff(np.concatenate([[0], edges, [mask.size]]))
        bands.append(dict(size=[256, 256], counts=_compress(counts)))
    return bands


def _compress(counts: np.ndarray) -> str:
    from pycocotools import mask as coco_mask

    rle = dict(size=[256, 256], counts=counts.tolist())
    return coco_mask.frPyObjects(rle, 256, 256)['counts'].decode('ascii')


def _detection(rng: np.random.Generator, person: dict) -> Detection:
    """Nearest annotated points, somewhat off, in a box that is, too."""
    x, y, width, height = person['bbox']
    off = rng.normal(0, 0.05, 4) * [width, height, width, height]
    box = np.maximum(person['bbox'] + off, [0, 0, 8, 8])
    rows, columns = int(box[3]), int(box[2])
    grid_y, grid_x = np.mgrid[:rows, :columns] + 0.5
    frame = np.stack(
        [
            (grid_x + box[0] - x) / width * 256,
            (grid_y + box[1] - y) / height * 256,
        ],
        axis=-1,
    )
    points = np.stack([person['dp_x'], person['dp_y']], axis=1)
    distance, nearest = cKDTree(points).query(frame)
    values = np.stack(
        [
            np.asarray(person['dp_I'])[nearest],
            255 * np.asarray(person['dp_U'])[nearest],
            255 * np.asarray(person['dp_V'])[nearest],
        ]
    )
    values[1:] += rng.normal(0, 8, (2, rows, columns))
    inside = np.hypot(*(frame - 128).transpose(2, 0, 1)) < 118
    values[0] *= inside & (distance < 60)
    return Detection(
        person['image_id'],
        1,
        box.tolist(),
        float(rng.uniform(0.1, 1)),
        values.clip(0, 255).astype(np.uint8),
    )
