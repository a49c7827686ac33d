"""The files of a synthetic data set, written such that runs can be continued.

    train/000000000001.jpg ...   val/...
    annotations/train.json       annotations/val.json
    journal.jsonl                options, then one line for each finished image

The journal is all that a later run needs: it makes what is not listed there,
then joins the annotations anew.
"""

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from .annotations import CATEGORIES
from .sample import Sample

SPLITS = ('train', 'val')
#: Raise it when equal options no longer give equal images.
GENERATOR_VERSION = 1


class Journal:
    """What of a data set is finished.

    Args:
        folder: Of the data set; made if it does not exist.
        options: What images depend on, as JSON can hold it.

    Raises:
        ValueError: The folder holds a data set of other options.
    """

    def __init__(self, folder: Path, options: dict[str, Any]) -> None:
        self.path = folder / 'journal.jsonl'
        self.folder = folder
        self.options = {'version': GENERATOR_VERSION, **options}
        for name in (*SPLITS, 'annotations'):
            (folder / name).mkdir(parents=True, exist_ok=True)
        #: Where the line of each finished image begins.
        self.places: dict[int, int] = {}
        if self.path.exists():
            self._read()
        self._file = self.path.open('ab')
        if self._file.tell() == 0:
            self._write(self.options)

    def _read(self) -> None:
        end = 0
        with self.path.open('rb') as file:
            for number, line in enumerate(iter(file.readline, b'')):
                if not line.endswith(b'\n'):
                    break  # A run was killed while it wrote this.
                content = json.loads(line)
                if number == 0:
                    self._check(content)
                else:
                    self.places[content['index']] = end
                end = file.tell()
        os.truncate(self.path, end)

    def _check(self, found: dict[str, Any]) -> None:
        different = [
            f'{key}: {found.get(key)} there, {self.options.get(key)} now'
            for key in sorted({*found, *self.options})
            if found.get(key) != self.options.get(key)
        ]
        if different:
            raise ValueError(
                f'{self.folder} holds a data set made with other options '
                f'({"; ".join(different)}); give the same ones to continue '
                'it, or another --out'
            )

    def _write(self, content: dict[str, Any]) -> None:
        self._file.write(json.dumps(content).encode() + b'\n')
        self._file.flush()

    def add(self, record: dict[str, Any]) -> None:
        """Note that an image is finished; see :func:`write_image`."""
        self.places[record['index']] = self._file.tell()
        self._write(record)

    def join(self, num_images: int) -> dict[str, int]:
        """Write the annotation files of the first images.

        Returns:
            How many people each split has.
        """
        people = {}
        for split in SPLITS:
            people[split] = self._join_split(split, num_images)
        return people

    def _join_split(self, split: str, num_images: int) -> int:
        path = self.folder / 'annotations' / f'{split}.json'
        partial = path.with_suffix('.partial')
        head = {
            'info': {
                'description': 'Synthetic bodies of mmdense, no real people',
                'options': self.options,
            },
            'licenses': [],
            'categories': CATEGORIES,
        }
        count = 0
        # Piece by piece, since a large set would not fit into the memory.
        with partial.open('w', encoding='utf-8') as file:
            file.write(json.dumps(head)[:-1] + ', "images": [')
            for number, record in enumerate(self._records(split, num_images)):
                file.write(',\n' if number else '\n')
                file.write(json.dumps(record['image']))
            file.write('],\n"annotations": [')
            for record in self._records(split, num_images):
                for annotation in record['annotations']:
                    file.write(',\n' if count else '\n')
                    file.write(json.dumps(annotation))
                    count += 1
            file.write(']}\n')
        os.replace(partial, path)
        return count

    def _records(
        self, split: str, num_images: int
    ) -> Iterator[dict[str, Any]]:
        with self.path.open('rb') as file:
            for index in sorted(self.places):
                if index < num_images:
                    file.seek(self.places[index])
                    record = json.loads(file.readline())
                    if record['split'] == split:
                        yield record

    def close(self) -> None:
        self._file.close()


def split_of(index: int, val_fraction: float) -> str:
    """Which split an image belongs to, however many there are in all.

    Images for validation are evenly spaced.
    """
    ends = int((index + 1) * val_fraction + 1e-9)
    return SPLITS[ends > int(index * val_fraction + 1e-9)]


def least_with_val(val_fraction: float) -> int:
    """How many images there must be for one of them to be in `val`.

    Args:
        val_fraction: Above 0.
    """
    return math.ceil((1 - 1e-9) / val_fraction)


def write_image(
    folder: Path, sample: Sample, index: int, split: str
) -> dict[str, Any]:
    """Write the image file of a sample.

    Returns:
        Its record, for :meth:`Journal.add`.
    """
    name = f'{index + 1:012d}.jpg'
    path = folder / split / name
    # Under another name until it is whole.
    partial = path.with_suffix('.partial')
    image = sample.rendering.image
    Image.fromarray(image).save(partial, 'JPEG', quality=sample.quality)
    os.replace(partial, path)
    return {
        'index': index,
        'split': split,
        'image': {
            'id': index + 1,
            'file_name': name,
            'width': image.shape[1],
            'height': image.shape[0],
        },
        'annotations': sample.annotations,
    }
