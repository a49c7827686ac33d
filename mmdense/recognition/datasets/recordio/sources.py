"""What a record file can be made from."""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from ..list_file import ListFile
from .layout import read_labels, read_layout
from .reader import RecordReader

#: Files of these kinds in a folder of a class are its images.
SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')


class Item(NamedTuple):
    """An image to write.

    Attributes:
        key: Its key in a file of im2rec.
        labels: All labels, the class first.
        content: The encoded image.
    """

    key: int
    labels: list[float]
    content: bytes


class Source(Protocol):
    """Encoded images by number, with the class of each."""

    labels: np.ndarray

    def read(self, number: int) -> Item:
        """An image.

        Raises:
            RecordError: It is damaged.
            OSError: Its file cannot be read.
        """

    def name(self, number: int) -> str:
        """What to call an image in messages."""

    def fingerprint(self) -> str:
        """Changes if the images or their order do."""


class FolderSource:
    """Folders of classes: the labels number the folders by name.

    As mmpretrain's `CustomDataset` does.

    Args:
        folder: The folder of the folders.

    Raises:
        FileNotFoundError: It is not there, or has no such images.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise FileNotFoundError(f'there is no folder {folder}')
        classes = sorted(
            entry.name for entry in os.scandir(folder) if entry.is_dir()
        )
        self.folder = folder
        self._files: list[str] = []
        counts = []
        for name in classes:
            files = sorted(
                os.path.join(root, file)
                for root, _, files in os.walk(folder / name)
                for file in files
                if file.lower().endswith(SUFFIXES) and not file.startswith('.')
            )
            self._files += [os.path.relpath(path, folder) for path in files]
            counts.append(len(files))
        if not self._files:
            raise FileNotFoundError(
                f'found no image in the folders of {folder}, expected '
                f'CLASS/NAME with one of {", ".join(SUFFIXES)}'
            )
        self.labels = np.repeat(np.arange(len(classes)), counts)

    def read(self, number: int) -> Item:
        content = (self.folder / self._files[number]).read_bytes()
        return Item(number, [float(self.labels[number])], content)

    def name(self, number: int) -> str:
        return str(self.folder / self._files[number])

    def fingerprint(self) -> str:
        digest = hashlib.sha256(self.labels.astype('<i8').tobytes())
        for file in self._files:
            digest.update(file.encode() + b'\0')
        return digest.hexdigest()


class ListSource:
    """The images of a `.lst` file.

    Args:
        images: The list.
        folder: Folder of its paths.
    """

    def __init__(self, images: ListFile, folder: Path) -> None:
        self.images, self.folder = images, folder
        self.labels = images.labels

    def read(self, number: int) -> Item:
        return Item(
            self.images.key(number),
            self.images.extra_labels(number),
            (self.folder / self.images.name(number)).read_bytes(),
        )

    def name(self, number: int) -> str:
        return str(self.folder / self.images.name(number))

    def fingerprint(self) -> str:
        content = hashlib.sha256(self.images.path.read_bytes()).hexdigest()
        return f'{content} {self.folder} {self.images.list_format}'


class RecordSource:
    """The images of another record file, numbered anew.

    Args:
        reader: The file.
        skip: Whether damaged records are left out, rather than an error.

    Raises:
        RecordError: A header is damaged and not skipped.
    """

    def __init__(self, reader: RecordReader, skip: bool = False) -> None:
        self.reader = reader
        self._positions = read_layout(reader).positions
        self.labels = read_labels(reader, self._positions)
        damaged = np.flatnonzero(self.labels < 0)
        if len(damaged) and not skip:
            reader.read_label(int(self._positions[damaged[0]]))

    def read(self, number: int) -> Item:
        position = int(self._positions[number])
        _, image = self.reader.read_labelled(position)
        return Item(number, image.labels.tolist(), image.content)

    def name(self, number: int) -> str:
        position = int(self._positions[number])
        return f'{self.reader.rec_file}/{self.reader.keys[position]}'

    def fingerprint(self) -> str:
        status = self.reader.rec_file.stat()
        index = self.reader.idx_file.read_bytes()
        return (
            f'{self.reader.rec_file} {status.st_size} {status.st_mtime_ns} '
            f'{hashlib.sha256(index).hexdigest()}'
        )


def open_source(
    path: Path,
    folder: Path | None = None,
    list_format: str = 'auto',
    skip: bool = False,
) -> Source:
    """A folder of classes, a `.lst` or a `.rec` file.

    Args:
        path: Which.
        folder: Of the paths in a list; None for that of the list.
        list_format: See :class:`~mmdense.recognition.datasets.list_file.
            ListFile`.
        skip: Whether damaged records are left out.

    Raises:
        FileNotFoundError: It is not there.
        ValueError: It is damaged.
    """
    if path.suffix == '.rec':
        return RecordSource(RecordReader(path), skip)
    if path.suffix == '.lst':
        return ListSource(ListFile(path, list_format), folder or path.parent)
    return FolderSource(path)
