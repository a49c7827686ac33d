"""The golden evaluations: annotations, detections and what came out."""

import functools
import shutil
from pathlib import Path

import numpy as np
import pytest

from mmdense.densepose.evaluation.detections import Detections
from mmdense.densepose.evaluation.ground_truth import DensePoseGroundTruth
from mmdense.densepose.evaluation.scorer import DensePoseScorer
from mmdense.densepose.evaluation.summary import evaluate_images
from mmdense.densepose.surface import BodySurface, load_official
from tests import golden

FOLDER = golden.FOLDER / 'densepose'
#: Of the golden tables.
MEASURES = {'GPS': 'gps', 'GPSM': 'gpsm', 'IOU': 'segm'}
SETS = tuple(
    path.stem.removeprefix('eval_dt_')
    for path in sorted(FOLDER.glob('eval_dt_*.npz'))
)
RESULTS = golden.read_json('densepose/eval_results.json') or {
    'results': {},
    'gt_variants': {},
}


def copy_surface(folder: Path) -> Path:
    """The files of the surface, as one is converted beside itself."""
    source = FOLDER / 'eval_data'
    if not (source / 'Pdist_matrix.pkl').is_file():
        pytest.skip('eval_data is not in the golden data')
    shutil.copytree(source, folder / 'surface')
    return folder / 'surface'


def read_surface(folder: Path) -> BodySurface:
    return load_official(copy_surface(folder))


@functools.cache
def read_set(name: str) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    """A set of detections: its arrays, and an IUV of each."""
    arrays = golden.read_arrays(f'densepose/eval_dt_{name}.npz')
    iuvs, start = [], 0
    for size, same in zip(
        arrays['hw'], arrays['same_as_perfect'], strict=True
    ):
        if same >= 0 and name != 'perfect':
            iuvs.append(read_set('perfect')[1][same])
            continue
        shape = (3, *size)
        flat = arrays['iuv_dy_flat'][start : start + np.prod(shape)]
        start += len(flat)
        steps = flat.reshape(shape)
        iuvs.append(np.cumsum(steps, axis=1, dtype=np.uint8))
    assert start == len(arrays['iuv_dy_flat'])
    return arrays, iuvs


def read_annotations() -> dict:
    content = golden.read_json('densepose/eval_gt.json')
    if content is None:
        pytest.skip('eval_gt.json is not in the golden data')
    return content


def detections_in(name: str, image_id: int) -> Detections:
    arrays, iuvs = read_set(name)
    rows = np.flatnonzero(arrays['image_id'] == image_id)
    return Detections(
        arrays['bbox_xywh'][rows],
        arrays['score'][rows],
        [iuvs[row] for row in rows],
    )


def evaluate(
    name: str,
    scorer: DensePoseScorer,
    content: dict | None = None,
    image_ids: list | None = None,
):
    """All that comes out of a set of detections."""
    content = read_annotations() if content is None else content
    truth = DensePoseGroundTruth(content, strict=scorer.strict)
    (category,) = truth.category_ids
    results = [
        scorer.score(
            image,
            category,
            truth.people(image, category),
            detections_in(name, image),
        )
        for image in (image_ids or truth.image_ids)
    ]
    return evaluate_images(results, scorer, [category])


def assert_tables_equal(evaluation, tables: dict) -> None:
    """To 1e-6 percent; what is undefined is -1, there also -100."""
    for name, table in tables.items():
        ours = evaluation.tables[MEASURES[name]]
        assert ours.keys() == table.keys()
        for key, value in table.items():
            value = -1 if value < 0 else value
            assert ours[key] == pytest.approx(value, abs=1e-6), (name, key)
