"""The file of a glyph identity set: `.npz`, 2 bits per pixel.

A zip of `.npy` members and `header.json`, compressed with LZMA. Members have
a fixed time stamp, so that equal content gives equal bytes.
"""

import io
import json
import lzma
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FORMAT_NAME = 'mmdense.glyphs'
FORMAT_VERSION = 1
SPLITS = ('train', 'unseen')
GREY_STEP = 85  # levels 0, 1, 2, 3 are shown as 0, 85, 170, 255

_HEADER = 'header.json'
# dtype and number of dimensions of each member.
_MEMBERS: dict[str, tuple[Any, int]] = {
    'images': (np.uint8, 2),
    'identity': (np.int32, 1),
    'face': (np.int32, 1),
    'codepoint': (np.uint32, 1),
    'split': (np.uint8, 1),
}
_FACE_KEYS = {'name', 'family', 'licence', 'style', 'weight', 'version'}
_TIME_STAMP = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can hold

CONVERTER = 'python tools/dataset_converters/glyphs.py --output'


@dataclass(frozen=True)
class GlyphSet:
    """Images of M glyphs of N identities in F faces.

    Attributes:
        images: uint8 `(M, ceil(size / 4) * size)`, see :func:`pack_image`;
            sorted by face, then identity. Ragged: an identity has an image
            only in the faces that have the glyph.
        identity: int32 `(M,)`, index into `codepoint`.
        face: int32 `(M,)`, index into `faces`.
        codepoint: uint32 `(N,)`, ascending; the Unicode ideograph.
        split: uint8 `(N,)`, index into :data:`SPLITS`.
        faces: F dicts with `name`, `family`, `licence`, `style`, `weight`,
            `version`, and others for the record.
        size: Height and width of an image in px.
        header: What else the header of the file holds.
    """

    images: NDArray[np.uint8]
    identity: NDArray[np.int32]
    face: NDArray[np.int32]
    codepoint: NDArray[np.uint32]
    split: NDArray[np.uint8]
    faces: list[dict[str, Any]]
    size: int
    header: dict[str, Any]


def quantize(grey: ArrayLike) -> NDArray[np.uint8]:
    """The level 0 to 3 nearest to each grey value 0 to 255; same shape."""
    wide = np.asarray(grey, dtype=np.uint16)
    return ((wide + GREY_STEP // 2) // GREY_STEP).astype(np.uint8)


def packed_length(size: int) -> int:
    """Bytes of a packed `(size, size)` image."""
    return -(-size // 4) * size


def pack_image(grey: ArrayLike) -> NDArray[np.uint8]:
    """Quantise an image to 4 levels and pack four pixels into a byte.

    A byte holds four pixels of a column, the uppermost in the two highest
    bits; bytes go from left to right, then down. (Four pixels of a row would
    take a tenth more after LZMA.) Missing rows at the bottom are level 0.

    Args:
        grey: `(H, W)`, 0 to 255.

    Returns:
        `(ceil(H / 4) * W,)`.
    """
    level = quantize(grey)
    level = np.pad(level, ((0, -len(level) % 4), (0, 0)))
    level = level.reshape(-1, 4, level.shape[1])
    return (
        level[:, 0] << 6 | level[:, 1] << 4 | level[:, 2] << 2 | level[:, 3]
    ).ravel()


def unpack_image(packed: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The `(size, size)` image, values 0, 85, 170 and 255, of packed bytes."""
    shifts = np.array([[6], [4], [2], [0]], dtype=np.uint8)
    level = packed.reshape(-1, 1, size) >> shifts & 3
    return level.reshape(-1, size)[:size] * np.uint8(GREY_STEP)


def write_glyph_file(path: str | Path, glyphs: GlyphSet) -> None:
    """Write a set; equal sets give equal bytes on one Python and liblzma.

    Args:
        path: Where to; its folder is made if need be.
        glyphs: The set.

    Raises:
        ValueError: The arrays do not fit each other.
    """
    path = Path(path)
    header = {
        **glyphs.header,
        'format': FORMAT_NAME,
        'version': FORMAT_VERSION,
        'size': glyphs.size,
        'splits': list(SPLITS),
        'faces': glyphs.faces,
    }
    arrays = {
        name: np.ascontiguousarray(getattr(glyphs, name), dtype=dtype)
        for name, (dtype, _) in _MEMBERS.items()
    }
    _check_content(str(path), arrays, header)
    path.parent.mkdir(parents=True, exist_ok=True)
    # In a neighbour first: an interrupted run leaves no half a file.
    partial = path.with_name(path.name + '.partial')
    with zipfile.ZipFile(partial, 'w', zipfile.ZIP_LZMA) as archive:
        text = json.dumps(header, ensure_ascii=False, indent=1, sort_keys=True)
        _add_member(archive, _HEADER, text.encode())
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(
                buffer, array, version=(1, 0), allow_pickle=False
            )
            _add_member(archive, f'{name}.npy', buffer.getvalue())
    partial.replace(path)


def read_glyph_file(path: str | Path) -> GlyphSet:
    """Read and check what :func:`write_glyph_file` wrote.

    Args:
        path: The `.npz` file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, of another kind or version.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'no glyph identity file {str(path)!r}. Leave out data_file for '
            f'the set that ships with mmdense, or make one: {CONVERTER} '
            f'{path}'
        )
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError('it is no zip archive')
        with np.load(path, allow_pickle=False) as archive:
            if _HEADER not in archive:
                raise ValueError(f'it has no {_HEADER}')
            header = json.loads(archive[_HEADER])
            _check_version(str(path), header)
            missing = [name for name in _MEMBERS if name not in archive]
            if missing:
                raise ValueError(f'it lacks {", ".join(missing)}')
            arrays = {name: archive[name] for name in _MEMBERS}
    except WrongVersionError:
        raise
    # numpy raises ValueError for what it cannot tell from a pickle, zipfile
    # and lzma their own; KeyError and TypeError: a header of another shape.
    except (
        ValueError,
        KeyError,
        TypeError,
        EOFError,
        OSError,
        NotImplementedError,
        lzma.LZMAError,
        zipfile.BadZipFile,
    ) as error:
        raise ValueError(
            f'{str(path)!r} is damaged or no glyph identity file: {error}. '
            f'Fetch it again, or make it anew: {CONVERTER} {path}'
        ) from error
    _check_content(str(path), arrays, header)
    return GlyphSet(
        **arrays, faces=header['faces'], size=header['size'], header=header
    )


class WrongVersionError(ValueError):
    """The file is of a format version that this package cannot read."""


def _check_version(path: str, header: Any) -> None:
    if not isinstance(header, dict) or header.get('format') != FORMAT_NAME:
        raise ValueError(f'its header does not say {FORMAT_NAME!r}')
    if header.get('version') != FORMAT_VERSION:
        raise WrongVersionError(
            f'{path!r} has format version {header.get("version")!r}, this '
            f'mmdense reads version {FORMAT_VERSION}. Make the file with the '
            f'tool of this mmdense: {CONVERTER} {path}'
        )


def _add_member(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, date_time=_TIME_STAMP)
    info.compress_type = zipfile.ZIP_LZMA
    info.create_system = 3  # else it would depend on the machine
    info.external_attr = 0o644 << 16
    archive.writestr(info, data)


def _check_content(
    path: str, arrays: dict[str, NDArray[Any]], header: dict[str, Any]
) -> None:
    """Raise a ValueError unless header and arrays fit each other."""
    problem = _find_problem(arrays, header)
    if problem:
        raise ValueError(
            f'{path!r} does not hold together: {problem}. Make it anew: '
            f'{CONVERTER} {path}'
        )


def _find_problem(
    arrays: dict[str, NDArray[Any]], header: dict[str, Any]
) -> str | None:
    for name, (dtype, ndim) in _MEMBERS.items():
        array = arrays[name]
        if array.dtype != dtype or array.ndim != ndim:
            return (
                f'{name} must be {np.dtype(dtype)} with {ndim} dimensions, '
                f'got {array.dtype} with shape {array.shape}'
            )
    size, faces = header.get('size'), header.get('faces')
    if not isinstance(size, int) or size < 1:
        return f'size must be a positive integer, got {size!r}'
    if not isinstance(faces, list) or not all(
        isinstance(face, dict) and _FACE_KEYS <= face.keys() for face in faces
    ):
        return f'faces must be objects with {", ".join(sorted(_FACE_KEYS))}'
    if header.get('splits') != list(SPLITS):
        return f'splits must be {list(SPLITS)}, got {header.get("splits")!r}'
    samples, identities = len(arrays['images']), len(arrays['codepoint'])
    if arrays['images'].shape[1] != packed_length(size):
        return (
            f'{size} x {size} px take {packed_length(size)} bytes, got '
            f'{arrays["images"].shape[1]}'
        )
    for name, length, bound in (
        ('identity', samples, identities),
        ('face', samples, len(faces)),
        ('split', identities, len(SPLITS)),
    ):
        array = arrays[name]
        if len(array) != length:
            return f'{name} must have {length} entries, got {len(array)}'
        if length and not 0 <= array.min() <= array.max() < bound:
            return (
                f'{name} must be in [0, {bound}), got values from '
                f'{array.min()} to {array.max()}'
            )
    return None
