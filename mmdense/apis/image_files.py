"""Image files by folder or list, as a data set that survives bad ones."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from .image_pipeline import ImagePipeline, UnreadableImageError, stack_images

Item = Tensor | UnreadableImageError

ENDINGS = frozenset('.bmp .jpeg .jpg .pgm .png .ppm .tif .tiff .webp'.split())


class Names(Sequence):
    """Millions of names in two arrays, which forked workers share.

    A list of strings would be copied by each worker as it reads them, since
    reading changes their reference counts.
    """

    def __init__(self, names: Sequence[str]) -> None:
        encoded = [_encode(name) for name in names]
        self._bytes = np.frombuffer(b''.join(encoded), np.uint8)
        self._ends = np.cumsum([0, *map(len, encoded)])

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> str:
        start, stop = self._ends[index], self._ends[index + 1]
        return self._bytes[start:stop].tobytes().decode()


def _encode(name: str) -> bytes:
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        encoded = b'\n'
    if b'\n' in encoded:
        raise ValueError(
            f'the file name {name!r} has a line break or is not UTF-8, so it '
            'cannot be listed; rename the file'
        )
    return encoded


def find_images(source: Path) -> tuple[Path, Names]:
    """The images below a folder, sorted, or those that a list names.

    Args:
        source: A folder, searched recursively for the usual endings, or a
            `.txt` or `.lst` file with a path per line. Paths that are not
            absolute start at the folder of the list.

    Returns:
        The folder that the names are relative to, and the names.

    Raises:
        FileNotFoundError: There is no such folder or list.
        ValueError: No image is in it, or it is no list of paths.
    """
    if source.is_dir():
        names = sorted(_walk(source))
        if not names:
            raise ValueError(
                f'{source} has no image, expected files ending in '
                f'{" ".join(sorted(ENDINGS))}'
            )
        return source, Names(names)
    if not source.is_file():
        raise FileNotFoundError(
            f'{source} does not exist, expected a folder of images or a list'
        )
    if source.suffix not in ('.txt', '.lst'):
        raise ValueError(
            f'{source} is a file, expected a folder, or a .txt or .lst file '
            'with a path per line'
        )
    lines = source.read_text('utf-8').split('\n')
    names = [line.rstrip('\r') for line in lines if line.strip()]
    if not names:
        raise ValueError(f'{source} is empty, expected a path per line')
    tabs = next((line for line in names if '\t' in line), None)
    if tabs is not None:
        raise ValueError(
            f'{source} has lines with several columns ({tabs!r}), expected a '
            'path per line; make one with: cut -f COLUMN'
        )
    return source.parent, Names(names)


def _walk(folder: Path) -> Iterator[str]:
    for parent, _, files in os.walk(folder):
        prefix = Path(parent).relative_to(folder)
        for file in files:
            if os.path.splitext(file)[1].lower() in ENDINGS:
                yield (prefix / file).as_posix()


class ImageFiles(Dataset):
    """Images [start, stop) of a list, made ready for the network.

    An item is its number, from `start` on, and its (c, h, w) tensor or the
    error of an unreadable file.

    Args:
        root: What the names are relative to.
        names: All names.
        start: First image.
        stop: One past the last.
        pipeline: Reads and transforms one.
    """

    def __init__(
        self,
        root: Path,
        names: Names,
        start: int,
        stop: int,
        pipeline: ImagePipeline,
    ) -> None:
        self.root, self.names = root, names
        self.start, self.stop = start, stop
        self.pipeline = pipeline

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, index: int) -> tuple[int, Item]:
        number = self.start + index
        try:
            return number, self.pipeline(self.root / self.names[number])
        except UnreadableImageError as error:
            return number, error

    def collate(
        self, items: list[tuple[int, Item]]
    ) -> tuple[int, Tensor | None, dict[int, str]]:
        """A batch.

        Args:
            items: Of :meth:`__getitem__`.

        Returns:
            How many files it was made from; the (b, c, h, w) images of those
            that could be read, None if there are none; by number, why the
            others could not.

        Raises:
            ValueError: The images differ in size.
        """
        bad = {i: str(x) for i, x in items if not isinstance(x, Tensor)}
        names = [self.names[i] for i, _ in items if i not in bad]
        tensors = [x for _, x in items if isinstance(x, Tensor)]
        images = stack_images(tensors, names) if tensors else None
        return len(items), images, bad
