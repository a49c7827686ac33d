"""Detections in a file, to be scored later or elsewhere.

The layout of the COCO DensePose challenges: a JSON list with for each
detection `image_id`, `category_id`, `bbox` (x, y, width, height), `score`,
`uv_shape` (3, h, w) and `uv_data`, the IUV as a PNG in base64.
"""

import base64
import binascii
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdense.distributed.atomic_files import partial_path

from ..functional.iuv_png import encode_iuv, iuv_size
from ..functional.validation import read_json
from .detections import Detections
from .detectron2_file import read_detectron2
from .ground_truth import DensePoseGroundTruth

_FIELDS = (
    'image_id',
    'category_id',
    'bbox',
    'score',
    'uv_shape',
    'uv_data',
)


@dataclass(frozen=True)
class Detection:
    """One detection of a file.

    Attributes:
        image_id: Of the image.
        category_id: Of the category in the annotation file.
        box: x, y, width, height, px.
        score: Its confidence.
        iuv: (3, h, w) uint8, or the bytes of its PNG.
    """

    image_id: Any
    category_id: Any
    box: Sequence[float]
    score: float
    iuv: NDArray[np.uint8] | bytes


def write_results(path: str | Path, detections: Iterable[Detection]) -> None:
    """Write detections in the layout of the challenges.

    Args:
        path: A `.json` file.
        detections: In the order in which equal scores are to be ranked.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(path)
    try:
        with partial.open('w') as file:
            separator = '['
            for detection in detections:
                file.write(f'{separator}\n{json.dumps(_as_entry(detection))}')
                separator = ','
            file.write('\n]\n' if separator == ',' else '[]\n')
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def read_results(
    path: str | Path, ground_truth: DensePoseGroundTruth
) -> dict[tuple[Any, Any], Detections]:
    """Read detections, ours or those of detectron2's evaluator.

    Args:
        path: A `.json` file as :func:`write_results` writes it, or the
            `coco_densepose_predictions.pth` of detectron2.
        ground_truth: What they are to be compared with.

    Returns:
        Those of each image and category that is to be evaluated.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is of another kind or damaged, or a detection is
            incomplete, or of an image or category that is not annotated.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'{path} does not exist')
    is_torch = path.suffix.lower() in ('.pth', '.pt')
    entries = _of_detectron2(path, ground_truth) if is_torch else _json(path)
    return group_detections(entries, ground_truth, str(path))


def group_detections(
    detections: Iterable[Detection],
    ground_truth: DensePoseGroundTruth,
    name: str,
) -> dict[tuple[Any, Any], Detections]:
    """Detections by image and category; order is kept.

    Args:
        detections: In any order.
        ground_truth: What they are to be compared with.
        name: Of the file, for errors.

    Raises:
        ValueError: One is of an image or category that is not in the
            annotation file.
    """
    groups = defaultdict(list)
    for number, item in enumerate(detections):
        if not ground_truth.has_image(item.image_id):
            raise ValueError(
                f'{name}: detection {number} is in image {item.image_id!r}, '
                f'which is not in {ground_truth.name}'
            )
        if item.category_id not in ground_truth.all_category_ids:
            raise ValueError(
                f'{name}: detection {number} is of category '
                f'{item.category_id!r}, but {ground_truth.name} has '
                f'{ground_truth.all_category_ids}'
            )
        groups[item.image_id, item.category_id].append(item)
    return {
        key: Detections(
            np.array([item.box for item in items], dtype=np.float64),
            np.array([item.score for item in items], dtype=np.float64),
            [item.iuv for item in items],
        )
        for key, items in groups.items()
        if key[1] in ground_truth.category_ids
    }


def _as_entry(detection: Detection) -> dict[str, Any]:
    iuv = detection.iuv
    png = iuv if isinstance(iuv, bytes) else encode_iuv(iuv)
    return dict(
        image_id=detection.image_id,
        category_id=detection.category_id,
        # Not rounded: the size of the IUV follows from the box.
        bbox=[float(value) for value in detection.box],
        score=float(detection.score),
        uv_shape=[3, *iuv_size(png)],
        uv_data=base64.b64encode(png).decode('ascii'),
    )


def _json(path: Path) -> Iterator[Detection]:
    entries = read_json(path)
    if not isinstance(entries, list):
        raise ValueError(
            f'{path} holds a {type(entries).__name__}, expected a list of '
            f'detections with {", ".join(_FIELDS)}'
        )
    for number, entry in enumerate(entries):
        where = f'{path}: detection {number}'
        has = entry.keys() if isinstance(entry, Mapping) else ()
        missing = [name for name in _FIELDS if name not in has]
        if missing:
            raise ValueError(
                f'{where} has no {", ".join(missing)}; expected the layout '
                'of the COCO DensePose challenges: ' + ', '.join(_FIELDS)
            )
        yield Detection(
            entry['image_id'],
            entry['category_id'],
            *_box_and_score(entry, where),
            _png(entry, where),
        )


def _of_detectron2(
    path: Path, ground_truth: DensePoseGroundTruth
) -> Iterator[Detection]:
    for number, entry in enumerate(read_detectron2(path)):
        where = f'{path}: detection {number}'
        # It counts the classes from 0.
        label = entry['category_id']
        if not (
            isinstance(label, Integral)
            and 0 <= label < len(ground_truth.category_ids)
        ):
            raise ValueError(
                f'{where} is of class {label!r}, but {ground_truth.name} is '
                f'evaluated on {len(ground_truth.category_ids)}; set classes '
                'in the order of the model'
            )
        yield Detection(
            entry['image_id'],
            ground_truth.category_ids[label],
            *_box_and_score(entry, where),
            entry['iuv'],
        )


def _box_and_score(
    entry: Mapping[str, Any], where: str
) -> tuple[list[float], float]:
    try:
        box, score = np.asarray(entry['bbox']), np.asarray(entry['score'])
    except ValueError:  # lists of different lengths
        box = score = np.zeros(0)
    if not (_are_numbers(box, (4,)) and _are_numbers(score, ())):
        raise ValueError(
            f'{where}: expected bbox (x, y, width, height) and score, finite '
            f'numbers, got {entry["bbox"]!r} and {entry["score"]!r}'
        )
    return box.tolist(), score.item()


def _are_numbers(values: NDArray, shape: tuple[int, ...]) -> bool:
    return (
        values.shape == shape
        and values.dtype.kind in 'iuf'
        and bool(np.isfinite(values).all())
    )


def _png(entry: Mapping[str, Any], where: str) -> bytes:
    try:
        png = base64.b64decode(entry['uv_data'])
        shape = [3, *iuv_size(png)]
    except (TypeError, ValueError, binascii.Error) as error:
        raise ValueError(
            f'{where}: uv_data is no PNG in base64: {error}'
        ) from error
    if shape != entry['uv_shape']:
        raise ValueError(
            f'{where}: uv_shape is {entry["uv_shape"]}, but uv_data is {shape}'
        )
    return png
