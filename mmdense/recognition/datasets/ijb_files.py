"""The text files of the IJB-B and IJB-C protocols.

As insightface hands them out, in `meta/` beside the images in `loose_crop/`:

* `ijbc_face_tid_mid.txt`: image, template, medium;
* `ijbc_name_5pts_score.txt`: image, five landmarks x y, detector score;
* `ijbc_template_pair_label.txt`: template, template, 1 if of one person;
* `ijbc_1N_gallery_G1.csv`, `..._G2.csv` (IJB-B: `S1`, `S2`) and
  `ijbc_1N_probe_mixed.csv`, for 1:N, if there: a heading, then template,
  subject and more, once or more for each template.
"""

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class IJBImageList(NamedTuple):
    """N images.

    Attributes:
        names: (N,) file names in `loose_crop`.
        landmarks: float32 (N, 5, 2), x and y in pixels.
        detector_scores: float32 (N,).
        templates: int64 (N,).
        media: int64 (N,).
    """

    names: list[str]
    landmarks: NDArray[np.float32]
    detector_scores: NDArray[np.float32]
    templates: NDArray[np.int64]
    media: NDArray[np.int64]


class IJBPairs(NamedTuple):
    """P pairs of templates.

    Attributes:
        left: int64 (P,), template ids.
        right: int64 (P,).
        issame: bool (P,).
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    issame: NDArray[np.bool_]


class IJBSearch(NamedTuple):
    """Templates with their persons, a gallery or probes.

    Attributes:
        templates: int64 (n,), template ids, each once.
        subjects: int64 (n,).
    """

    templates: NDArray[np.int64]
    subjects: NDArray[np.int64]


def read_images(meta: str | Path, name: str) -> IJBImageList:
    """Read the list of images.

    Args:
        meta: Folder of the text files.
        name: `'ijbb'` or `'ijbc'`, the start of the files' names.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A line is not as it should be, or the files do not list
            the same images in the same order.
    """
    media_file = _find(meta, f'{name}_face_tid_mid.txt')
    points_file = _find(meta, f'{name}_name_5pts_score.txt')
    media_rows = _rows(media_file, 3)
    point_rows = _rows(points_file, 12)
    names = [row[0] for row in point_rows]
    others = [row[0] for row in media_rows]
    if names != others:
        where = next(
            (i for i, pair in enumerate(zip(names, others, strict=False))
             if pair[0] != pair[1]),
            min(len(names), len(others)),
        )  # fmt: skip
        raise ValueError(
            f'{points_file} ({len(names)} images) and {media_file} '
            f'({len(others)}) differ from line {where + 1} on; both must list '
            'the same images in the same order'
        )
    numbers = _numbers(points_file, [row[1:] for row in point_rows], 'f4')
    ids = _numbers(media_file, [row[1:] for row in media_rows], 'i8')
    return IJBImageList(
        names=names,
        landmarks=numbers[:, :10].reshape(-1, 5, 2),
        detector_scores=numbers[:, 10],
        templates=ids[:, 0],
        media=ids[:, 1],
    )


def read_pairs(meta: str | Path, name: str) -> IJBPairs:
    """Read the pairs of 1:1 verification (IJB-C: 15.7 million).

    Args:
        meta: Folder of the text files.
        name: `'ijbb'` or `'ijbc'`.

    Raises:
        FileNotFoundError: The file is missing.
        ValueError: It does not hold three whole numbers a line.
    """
    path = _find(meta, f'{name}_template_pair_label.txt')
    numbers = _load(path, delimiter=None)
    if numbers.shape[1] != 3:
        raise ValueError(
            f'{path} has {numbers.shape[1]} columns, expected template, '
            'template and 0 or 1'
        )
    left, right, issame = numbers.T
    if not np.isin(issame, (0, 1)).all():
        raise ValueError(
            f'{path}: the third number of line '
            f'{np.flatnonzero(~np.isin(issame, (0, 1)))[0] + 1} is not 0 or 1'
        )
    return IJBPairs(left.copy(), right.copy(), issame == 1)


def read_searches(
    meta: str | Path, name: str
) -> tuple[dict[str, IJBSearch], IJBSearch | None]:
    """Read the galleries and the probes of 1:N identification.

    Args:
        meta: Folder of the text files.
        name: `'ijbb'` or `'ijbc'`.

    Returns:
        The galleries by name (`'G1'`, `'G2'`) and the probes; none if there
        are no such files.

    Raises:
        FileNotFoundError: There are galleries but no probes.
        ValueError: A line is not as it should be, or a template is said to be
            of two persons.
    """
    prefix = f'{name}_1N_gallery_'
    files = sorted(Path(meta).glob(f'{prefix}*.csv'))
    if not files:
        return {}, None
    galleries = {
        file.stem.removeprefix(prefix): _read_search(file) for file in files
    }
    return galleries, _read_search(_find(meta, f'{name}_1N_probe_mixed.csv'))


def _read_search(path: Path) -> IJBSearch:
    columns = _load(path, delimiter=',', skiprows=1, usecols=(0, 1))
    pairs = np.unique(columns, axis=0)
    templates, counts = np.unique(pairs[:, 0], return_counts=True)
    if len(templates) < len(pairs):
        raise ValueError(
            f'{path}: template {templates[counts > 1][0]} is of '
            f'{counts.max()} subjects'
        )
    return IJBSearch(pairs[:, 0], pairs[:, 1])


def _find(meta: str | Path, name: str) -> Path:
    path = Path(meta) / name
    if not path.is_file():
        there = sorted(file.name for file in Path(meta).glob('*'))
        raise FileNotFoundError(
            f'{path} does not exist; in that folder there is '
            f'{", ".join(there[:8]) or "nothing"}. Expected the meta folder '
            'of IJB-B or IJB-C as insightface hands it out'
        )
    return path


def _rows(path: Path, columns: int) -> list[list[str]]:
    rows = [line.split() for line in path.read_text().splitlines()]
    while rows and not rows[-1]:
        rows.pop()
    for number, row in enumerate(rows, 1):
        if len(row) != columns:
            raise ValueError(
                f'{path}, line {number}: got {len(row)} columns, expected '
                f'{columns}'
            )
    return rows


def _numbers(path: Path, rows: list[list[str]], dtype: str) -> NDArray:
    try:
        return np.array(rows, dtype=dtype)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from None


def _load(path: Path, **kwargs: Any) -> NDArray[np.int64]:
    """A table of whole numbers, (n, columns), n > 0."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of an empty file
        try:
            table = np.loadtxt(path, dtype=np.int64, ndmin=2, **kwargs)
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from None
    if not table.size:
        raise ValueError(f'{path} holds no numbers')
    return table
