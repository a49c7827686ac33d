"""Reading `.rec` files at random."""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .cache import cached_array
from .container import RecordError, decode_record, map_file
from .header import ImageRecord, unpack_image
from .images import decode_image
from .index import read_index

_WILL_NEED = getattr(mmap, 'MADV_WILLNEED', None)
_NEAR, _GUESS = 1 << 20, 1 << 14


class RecordReader:
    """A memory-mapped record file with its index.

    It may be used before and after a fork and be pickled: the index is in
    arrays, which forked workers share, and the map is opened anew by who has
    lost it.

    Args:
        rec_file: The `.rec` file.
        idx_file: The `.idx` file; None for the one beside it.
        cache_dir: Folder for the index as an array that all processes of a
            machine share, see :func:`.cache.cached_array`; None: in memory.

    Attributes:
        rec_file: The `.rec` file.
        idx_file: The `.idx` file.
        keys: int64 `(records,)`, in the order of the index.
        offsets: int64 `(records,)`, bytes.
        size: Bytes of the record file.

    Raises:
        FileNotFoundError: A file is missing.
        RecordError: The index is damaged. Damaged records are found when
            they are read.
    """

    def __init__(
        self,
        rec_file: str | Path,
        idx_file: str | Path | None = None,
        cache_dir: str | Path | None = None,
    ) -> None:
        self.rec_file = Path(rec_file)
        self.idx_file = (
            self.rec_file.with_suffix('.idx')
            if idx_file is None
            else Path(idx_file)
        )
        if not self.rec_file.is_file():
            raise FileNotFoundError(f'there is no record file {self.rec_file}')
        self.cache_dir = None if cache_dir is None else Path(cache_dir)
        self._map: Any = None
        self._order: np.ndarray | None = None
        self._open_index()
        self.size = self.rec_file.stat().st_size

    def _open_index(self) -> None:
        index = self.cached('index', lambda: read_index(self.idx_file))
        self._mapped = isinstance(index, np.memmap)
        # Plain arrays, of which an element is had three times as fast.
        index = np.asarray(index)
        self.keys, self.offsets = index[:, 0], index[:, 1]

    def cached(self, name: str, build) -> np.ndarray:
        """An array from `cache_dir`, see :func:`.cache.cached_array`."""
        return cached_array(
            self.rec_file, self.idx_file, name, build, self.cache_dir
        )

    def __len__(self) -> int:
        return len(self.keys)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__ | {'_map': None, '_order': None}
        if self._mapped:
            # Pickled, a mapped array would be copied.
            del state['keys'], state['offsets']
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if 'keys' not in state:
            self._open_index()

    @property
    def buffer(self) -> mmap.mmap | bytes:
        """The whole record file."""
        if self._map is None:
            self._map = map_file(self.rec_file)
        return self._map

    def find(self, key: int) -> int:
        """Position in the index of a key; -1 if there is none."""
        # Right where keys are consecutive, as they are as a rule.
        guess = key - int(self.keys[0])
        if 0 <= guess < len(self.keys) and self.keys[guess] == key:
            return guess
        return int(self.find_all(np.array([key]))[0])

    def find_all(self, keys: np.ndarray) -> np.ndarray:
        """Positions in the index of many keys.

        Args:
            keys: int64 `(n,)`.

        Returns:
            int64 `(n,)`; -1 where there is no such key.
        """
        if self._order is None:
            self._order = np.argsort(self.keys, kind='stable')
        place = np.searchsorted(self.keys, keys, sorter=self._order)
        found = self._order[np.minimum(place, len(self.keys) - 1)]
        return np.where(self.keys[found] == keys, found, -1)

    def read(self, position: int) -> bytes:
        """The payload of a record.

        Args:
            position: Of the record in the index.

        Raises:
            RecordError: The record is damaged.
        """
        offset = int(self.offsets[position])
        self._announce(position, offset)
        # Not `naming`, which takes longer than this.
        try:
            return decode_record(self.buffer, self.size, offset)[0]
        except RecordError as error:
            raise self.error(error.reason, position) from None

    def read_key(self, key: int) -> bytes:
        """The payload of the record with a key.

        Raises:
            RecordError: There is none, or it is damaged.
        """
        position = self.find(key)
        if position < 0:
            raise RecordError(
                'is not in the index', file=self.idx_file, key=key
            )
        return self.read(position)

    def _announce(self, position: int, offset: int) -> None:
        """Have the pages of a record read, and no others.

        By itself the system reads ahead of a page that is not in memory, on
        many machines hundreds of kilobytes for a record of some.
        """
        buffer = self.buffer
        if _WILL_NEED is None or not 0 <= offset < self.size:
            return
        stop = self.size
        if position + 1 < len(self.offsets):
            stop = int(self.offsets[position + 1])
        length = stop - offset
        if not 0 < length <= _NEAR:
            # The next of the index is not the next of the file.
            length = min(_GUESS, self.size - offset)
        start = offset - offset % mmap.PAGESIZE
        buffer.madvise(_WILL_NEED, start, offset + length - start)

    def read_image(self, position: int) -> ImageRecord:
        """A record with an image, taken apart.

        Args:
            position: Of the record in the index.

        Raises:
            RecordError: The record is damaged.
        """
        payload = self.read(position)
        try:
            return unpack_image(payload)
        except RecordError as error:
            raise self.error(error.reason, position) from None

    def read_labelled(self, position: int) -> tuple[int, ImageRecord]:
        """The class of a record, and the record taken apart.

        Args:
            position: Of the record in the index.

        Raises:
            RecordError: The record is damaged, or its label no class.
        """
        with self.naming(position):
            image = self.read_image(position)
            return image.class_label, image

    def read_label(self, position: int) -> int:
        """The class of a record, see :attr:`.ImageRecord.class_label`.

        Args:
            position: Of the record in the index.

        Raises:
            RecordError: The record is damaged, or its label no class.
        """
        return self.read_labelled(position)[0]

    def decode(self, position: int) -> np.ndarray:
        """The image of a record, see :func:`.images.decode_image`.

        Args:
            position: Of the record in the index.

        Raises:
            RecordError: The record or its image is damaged.
        """
        with self.naming(position):
            return decode_image(self.read_image(position).content)

    @contextmanager
    def naming(self, position: int) -> Iterator[None]:
        """Errors within know nothing but a reason; say of which record."""
        try:
            yield
        except RecordError as error:
            if error.file is not None:
                raise
            raise self.error(error.reason, position) from None

    def error(self, reason: str, position: int) -> RecordError:
        """An error that says which record it is about."""
        return RecordError(
            reason,
            file=self.rec_file,
            key=int(self.keys[position]),
            offset=int(self.offsets[position]),
        )
