"""The `.lst` files of im2rec and of InsightFace: images and their classes."""

from array import array
from pathlib import Path
from typing import Any

import numpy as np

from .recordio.container import map_file

FORMATS = ('im2rec', 'insightface')
_COLUMNS = {
    'im2rec': 'number, one or more labels, path',
    'insightface': 'aligned (0 or 1), path, label',
}


class ListFile:
    """The lines of a `.lst` file, separated by tabs.

    im2rec's are `number label ... path`, of several labels the first is the
    class. InsightFace's are `aligned path label ...`. A path is read from the
    mapped file when it is asked for: an image takes 16 bytes of memory.

    Args:
        path: The file.
        list_format: `im2rec`, `insightface`, or `auto`, which tells them by
            the columns of the first line: the last one of InsightFace's is a
            number, of im2rec's a path.

    Attributes:
        path: The file.
        list_format: Which of the two it is.
        labels: int64 `(images,)`, the classes.
        unaligned: Number of images that InsightFace's list says are not
            aligned.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A line is something else, or there is none.
    """

    def __init__(self, path: str | Path, list_format: str = 'auto') -> None:
        self.path = Path(path)
        if list_format not in ('auto', *FORMATS):
            raise ValueError(
                f"got list_format={list_format!r}, expected 'auto', "
                f'{" or ".join(map(repr, FORMATS))}'
            )
        if not self.path.is_file():
            raise FileNotFoundError(f'there is no list {self.path}')
        self._text: Any = None
        # Not lists, which take five times the memory.
        starts, labels = array('q'), array('q')
        self.unaligned = 0
        place = 0
        with self.path.open('rb') as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    columns = line.rstrip(b'\r\n').split(b'\t')
                    if list_format == 'auto':
                        list_format = self._guess(columns)
                    self.list_format = list_format
                    starts.append(place)
                    labels.append(self._label(columns, number))
                place += len(line)
        if not starts:
            raise ValueError(f'{self.path} lists no image')
        self._starts = np.array(starts, dtype=np.int64)
        self.labels = np.array(labels, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.labels)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {'_text': None}

    def name(self, number: int) -> str:
        """The path of an image, as it is in the list."""
        columns = self._columns(number)
        return columns[-1 if self.list_format == 'im2rec' else 1].decode()

    def key(self, number: int) -> int:
        """The number im2rec's list gives an image, else its line's from 1."""
        if self.list_format == 'im2rec':
            return int(self._columns(number)[0])
        return number + 1

    def extra_labels(self, number: int) -> list[float]:
        """All labels of an image; of InsightFace's list there is one."""
        if self.list_format == 'im2rec':
            return [float(text) for text in self._columns(number)[1:-1]]
        return [float(self.labels[number])]

    def _columns(self, number: int) -> list[bytes]:
        if self._text is None:
            self._text = map_file(self.path)
        start = int(self._starts[number])
        stop = self._text.find(b'\n', start)
        line = self._text[start : stop if stop >= 0 else len(self._text)]
        return line.rstrip(b'\r\n').split(b'\t')

    def _guess(self, columns: list[bytes]) -> str:
        if len(columns) >= 3:
            second, last = map(_is_number, (columns[1], columns[-1]))
            if second != last:
                return 'im2rec' if second else 'insightface'
        raise ValueError(
            f'cannot tell of which kind {self.path} is, it starts with '
            f'{columns}; expected, separated by tabs, '
            + ' or '.join(_COLUMNS.values())
            + '. If it is one of them, give list_format'
        )

    def _label(self, columns: list[bytes], number: int) -> int:
        try:
            if len(columns) < 3:
                raise ValueError(f'there are {len(columns)} columns')
            if self.list_format == 'im2rec':
                int(columns[0])
                text = columns[1]
            else:
                if columns[0] not in (b'0', b'1'):
                    raise ValueError('the first column is neither 0 nor 1')
                self.unaligned += columns[0] == b'0'
                text = columns[2]
            label = float(text)
            if label < 0 or label != int(label):
                raise ValueError('the label is no whole number from 0')
        except (ValueError, OverflowError) as error:
            shown = b'\t'.join(columns)[:120].decode(errors='replace')
            raise ValueError(
                f'{self.path}, line {number}, is {shown!r}: {error}; expected '
                f'{_COLUMNS[self.list_format]}, separated by tabs'
            ) from None
        return int(label)


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
