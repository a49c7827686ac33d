"""MATLAB files, with errors that say what a file is and where it is from."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

#: What the published files are, and where, by their published names.
PUBLISHED = {
    'SMPL_subdiv.mat': (
        'the charts of the subdivided body',
        'the evaluation data of facebookresearch/detectron2, '
        'projects/DensePose, or of facebookresearch/DensePose',
    ),
    'SMPL_SUBDIV_TRANSFORM.mat': (
        'the table from chart entries to vertices',
        'the evaluation data of facebookresearch/detectron2, '
        'projects/DensePose, or of facebookresearch/DensePose',
    ),
    'Pdist_matrix.pkl': (
        'the geodesic distances of all pairs of vertices',
        'the evaluation data of facebookresearch/detectron2, '
        'projects/DensePose; as Pdist_matrix.mat of '
        'facebookresearch/DensePose',
    ),
    'UV_symmetry_transforms.mat': (
        'the tables of left-right symmetry',
        'the UV data of facebookresearch/detectron2, projects/DensePose, or '
        'of facebookresearch/DensePose',
    ),
    'UV_Processed.mat': (
        'the charts of the body',
        'the UV data of facebookresearch/DensePose',
    ),
}
LICENCE = (
    'These files have licences of their own (CC BY-NC, SMPL) and are '
    'neither shipped nor downloaded'
)


def require_file(path: str | Path, published: str) -> Path:
    """The path, if a file is there.

    Args:
        path: Where the file should be.
        published: Under what name it is published.

    Raises:
        FileNotFoundError: It is not; says what it is and where it is from.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        what, where = PUBLISHED[published]
        raise FileNotFoundError(
            f'{path} is missing: {published}, {what}, is part of {where}. '
            f'{LICENCE}; get it there and give its path or folder'
        )
    return path


def read_mat(path: Path, fields: tuple[str, ...]) -> dict[str, Any]:
    """The variables of a MATLAB file.

    Args:
        path: The file.
        fields: The variables it must have.

    Raises:
        ValueError: The file cannot be read or lacks a variable.
    """
    try:
        content = loadmat(path)
    except NotImplementedError as error:
        raise ValueError(
            f'{path} is a MATLAB 7.3 (HDF5) file, expected the older format'
        ) from error
    except Exception as error:
        # scipy raises whatever its parser stumbles over in damaged bytes.
        raise ValueError(
            f'{path} is truncated or no MATLAB file '
            f'({type(error).__name__}: {error}); get it again'
        ) from error
    for field in fields:
        if field not in content:
            have = sorted(name for name in content if name[0] != '_')
            raise ValueError(
                f'{path} has no {field!r}, expected {", ".join(fields)}; it '
                f'has {", ".join(have)}: is it another file?'
            )
    return content


def column(
    content: dict[str, Any], field: str, path: Path, length: int | None = None
) -> NDArray:
    """A variable as a flat array of finite numbers.

    Raises:
        ValueError: It has another shape or length, or NaN.
    """
    value = np.asarray(content[field])
    if value.size != max(value.shape, default=0) or value.dtype.kind not in (
        'uif'
    ):
        raise ValueError(
            f'{path}: {field} has shape {value.shape} and type '
            f'{value.dtype}, expected one column of numbers'
        )
    value = value.reshape(-1)
    if length is not None and len(value) != length:
        raise ValueError(
            f'{path}: {field} has {len(value)} values, expected {length}'
        )
    if not np.isfinite(value).all():
        raise ValueError(f'{path}: {field} has NaN or infinite values')
    return value


def integers(
    content: dict[str, Any],
    field: str,
    path: Path,
    low: int,
    high: int | None = None,
    length: int | None = None,
) -> NDArray[np.int64]:
    """The same for whole numbers, which MATLAB often stores as floats.

    Raises:
        ValueError: As :func:`column`; or one is no integer in low..high.
    """
    value = column(content, field, path, length)
    whole = value.astype(np.int64)
    if (whole != value).any():
        raise ValueError(f'{path}: {field} has values that are not integers')
    upper = np.iinfo(np.int64).max if high is None else high
    wrong = whole[(whole < low) | (whole > upper)]
    if len(wrong):
        limits = f'{low} or more' if high is None else f'{low}..{high}'
        raise ValueError(f'{path}: {field} must be {limits}, got {wrong[0]}')
    return whole
