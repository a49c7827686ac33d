"""Verification packs: the `.bin` files of the face recognition field.

A pack is `pickle.dump((images, issame))`: the encoded images of P pairs, two
by two, as `bytes` or uint8 arrays, and P bools. The pickles are of protocol 0
to 5, written by Python 2 or 3 (insightface,
`recognition/arcface_mxnet/common/build_eval_pack.py`).

Unpickling runs whatever a file names. What these files need names a handful
of functions, and here even those are not called: stand-ins of ours take their
arguments, so no code outside this module is reached.
"""

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_DTYPE = re.compile(r'[<>=|]?[bui][1248]')


class VerificationPack(NamedTuple):
    """P pairs of encoded images.

    Attributes:
        images: (2 P,) files (JPEG, PNG) as `bytes`; pair i is images 2 i and
            2 i + 1.
        issame: bool (P,), whether a pair is of one identity.
    """

    images: list[bytes]
    issame: NDArray[np.bool_]


def read_pack(path: str | Path) -> VerificationPack:
    """Read a verification pack without running what it names.

    The images are not decoded.

    Args:
        path: A `.bin` file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, is no verification pack, or names something
            that a verification pack does not need.
    """
    path = Path(path)
    if not path.is_file():
        beside = sorted(file.name for file in path.parent.glob('*.bin'))
        raise FileNotFoundError(
            f'{path} does not exist, expected a verification pack; '
            f'in that folder there is {", ".join(beside) or "no .bin file"}'
        )
    with path.open('rb') as file:
        try:
            content = _PackUnpickler(file, encoding='bytes').load()
        except _ForbiddenError as error:
            raise ValueError(
                f'{path} is refused: it names {error}, which no verification '
                'pack needs and which unpickling would run. Get the file '
                'from a source you trust, or pack the images anew'
            ) from None
        except Exception as error:
            raise ValueError(
                f'{path} cannot be read: {type(error).__name__}: {error}. It '
                'is cut off, damaged or no pickle; copy or download it again'
            ) from error
    return _check(content, path)


def _check(content: Any, path: Path) -> VerificationPack:
    what = 'expected (images, issame), as pickled by insightface'
    if not isinstance(content, tuple | list) or len(content) != 2:
        raise ValueError(
            f'{path} is no verification pack: got {_describe(content)}, {what}'
        )
    parts = [
        part.values().tolist() if isinstance(part, _Array) else part
        for part in content
    ]
    if not all(isinstance(part, tuple | list) for part in parts):
        raise ValueError(
            f'{path} is no verification pack: got {_describe(content[0])} and '
            f'{_describe(content[1])}, {what}'
        )
    images, issame = ([_plain(item) for item in part] for part in parts)
    if len(images) != 2 * len(issame):
        raise ValueError(
            f'{path} holds {len(images)} images for {len(issame)} pairs, '
            f'expected {2 * len(issame)}; the pack is incomplete, so make or '
            'download it again'
        )
    for number, image in enumerate(images):
        if not isinstance(image, bytes):
            raise ValueError(
                f'{path}: image {number} is {_describe(image)}, expected an '
                'encoded image as bytes or a uint8 array'
            )
    for number, same in enumerate(issame):
        if not isinstance(same, bool | int) or same not in (0, 1):
            raise ValueError(
                f'{path}: issame of pair {number} is {_describe(same)}, '
                'expected a bool'
            )
    return VerificationPack(images, np.array(issame, dtype=bool))


def _plain(item: Any) -> Any:
    if isinstance(item, _Array) and item.values().itemsize == 1:
        return item.values().tobytes()
    return bytes(item) if isinstance(item, bytearray) else item


def _describe(item: Any) -> str:
    text = repr(item)
    text = text if len(text) <= 40 else f'{text[:37]}...'
    return f'{type(item).__name__.strip("_")} {text}'


class _ForbiddenError(Exception):
    """A pickle names something it has no need of."""


class _PackUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable:
        # numpy 2 renamed the modules, and Python 3 that of the builtins.
        place = module.replace('numpy._core.', 'numpy.core.')
        place = place.replace('__builtin__', 'builtins')
        if (place, name) not in _STAND_INS:
            raise _ForbiddenError(f'{module}.{name}')
        stand_in = _STAND_INS[place, name]
        # A pickle may set attributes of what it is handed, so it gets a
        # function of its own.
        return lambda *args: stand_in(*args)

    def persistent_load(self, pid: Any) -> Any:
        raise _ForbiddenError(f'the persistent object {pid!r}')


class _Array:
    """Takes the place of a numpy array of whole numbers or bools."""

    def __init__(self, raw: Any = b'', dtype: Any = None) -> None:
        self._raw, self._dtype = raw, dtype

    def __setstate__(self, state: tuple) -> None:
        # (version, shape, dtype, whether in Fortran's order, raw bytes); the
        # order is of no matter, since images and issame have one dimension.
        _, shape, self._dtype, _, raw = state
        self._raw = raw
        if len(shape) != 1:
            raise ValueError(f'got an array of shape {shape}, expected (n,)')

    def __repr__(self) -> str:
        return f'of {self.values().dtype}'

    def values(self) -> NDArray:
        """The numbers."""
        if not isinstance(self._dtype, _Dtype):
            raise ValueError('an array lacks its type')
        return np.frombuffer(self._raw, dtype=self._dtype.name)


class _Dtype:
    """Takes the place of a numpy dtype."""

    def __init__(self, name: str | bytes, *_: Any) -> None:
        name = name.decode('ascii') if isinstance(name, bytes) else name
        if not _DTYPE.fullmatch(name):
            raise ValueError(f'got an array of type {name!r}, expected uint8')
        self.name = name

    def __setstate__(self, state: tuple) -> None:
        order = state[1].decode() if isinstance(state[1], bytes) else state[1]
        if order in ('<', '>'):
            self.name = order + self.name[-2:]


def _ndarray(*_: Any) -> _Array:
    return _Array()


def _reconstruct(*_: Any) -> _Array:
    return _Array()  # its state follows


def _from_buffer(raw: Any, dtype: Any, shape: tuple, order: str) -> _Array:
    array = _Array()
    array.__setstate__((1, shape, dtype, order == 'F', raw))
    return array


def _scalar(dtype: Any, raw: Any) -> int | bool:
    return _Array(_encode(raw), dtype).values().tolist()[0]


def _encode(text: Any, encoding: str | bytes = 'latin1') -> bytes:
    # How Python 3 writes bytes in the protocols of Python 2.
    if encoding not in ('latin1', b'latin1', 'latin-1', b'latin-1'):
        raise ValueError(f'got bytes in encoding {encoding!r}')
    return text.encode('latin1') if isinstance(text, str) else bytes(text)


def _bytes(text: Any = b'', encoding: str = 'latin1') -> bytes:
    if not isinstance(text, str | bytes | bytearray):
        raise ValueError(f'got bytes made of {_describe(text)}')
    return _encode(text, encoding)


_STAND_INS: dict[tuple[str, str], Callable] = {
    ('builtins', 'bytes'): _bytes,
    ('builtins', 'bytearray'): _bytes,
    ('_codecs', 'encode'): _encode,
    ('numpy', 'ndarray'): _ndarray,
    ('numpy', 'dtype'): _Dtype,
    ('numpy.core.multiarray', '_reconstruct'): _reconstruct,
    ('numpy.core.multiarray', 'scalar'): _scalar,
    ('numpy.core.numeric', '_frombuffer'): _from_buffer,
}
