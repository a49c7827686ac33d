"""Making a record file from images, in a way that can be interrupted."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mmdense.distributed.atomic_files import partial_path, write_atomically

from .container import RecordError
from .header import MAX_LABEL, pack_image
from .images import check_whole, decode_image
from .processes import Track, map_in_order, no_bar
from .sources import Source
from .writer import RecordWriter

LAYOUTS = ('insightface', 'im2rec')


@dataclass
class Packing:
    """What is to be written.

    Attributes:
        source: The images.
        rec_file: The `.rec` file.
        layout: `insightface`: images by class, then records of identities
            and a meta record, as its `RecBuilder` writes them. `im2rec`:
            images alone.
        shuffle: Seed of a random order for `im2rec`, which readers that go
            from the start to the end need; None: the order of the source.
        skip: Whether damaged images are left out, rather than an error.
        decode: Whether each image is decoded to see if it is damaged; else
            only that it is not cut.
        workers: Number of processes that read images.
    """

    source: Source
    rec_file: Path
    layout: str = 'insightface'
    shuffle: int | None = None
    skip: bool = False
    decode: bool = True
    workers: int = 1
    order: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        labels = self.source.labels
        self.num_classes = int(labels.max()) + 1
        if self.rec_file.suffix != '.rec':
            raise ValueError(
                f'got {self.rec_file}, expected a file ending in .rec'
            )
        if self.num_classes - 1 > MAX_LABEL:
            raise ValueError(
                f'got labels up to {self.num_classes - 1}, but record files '
                'hold labels as float32, which has each whole number up to '
                '2^24 = 16777216 only; use image folders or a .lst file'
            )
        self.order = np.arange(len(labels))
        if self.layout == 'insightface':
            if self.shuffle is not None:
                raise ValueError(
                    "the layout 'insightface' has its images by class; "
                    "shuffle with the layout 'im2rec'"
                )
            if len(labels) + 1 + self.num_classes > MAX_LABEL:
                raise ValueError(
                    f'{len(labels)} images of {self.num_classes} classes are '
                    "too many for the layout 'insightface', whose meta "
                    "record has their number as float32; use 'im2rec'"
                )
            self.order = np.argsort(labels, kind='stable')
        elif self.layout != 'im2rec':
            raise ValueError(
                f'got the layout {self.layout!r}, expected '
                f'{" or ".join(map(repr, LAYOUTS))}'
            )
        elif self.shuffle is not None:
            np.random.default_rng(self.shuffle).shuffle(self.order)


def pack(job: Packing, track: Track = no_bar) -> list[str]:
    """Write a record file, its index and `property`.

    A second call after a kill goes on where the first one was; the bytes are
    those of a run that was not interrupted. A file that is there already is
    left alone.

    Args:
        job: What is to be written.
        track: Shows progress.

    Returns:
        The damaged images that were left out, with the reason.

    Raises:
        RecordError: An image is damaged and not skipped, or all are.
        OSError: A file cannot be read or written.
        ValueError: A label cannot be written.
    """
    if job.rec_file.exists():
        return []
    journal = _Journal(job)
    with RecordWriter(job.rec_file, resume=journal.goes_on) as writer:
        start = journal.start(len(writer.keys))
        numbers = job.order[start:].tolist()
        results = map_in_order(_payload, job, numbers, job.workers)
        place = start
        for chunk in track(results, len(numbers), len):
            for found in chunk:
                if isinstance(found, str):
                    if not job.skip:
                        raise RecordError(found)
                    journal.skip(place, found)
                else:
                    _write_image(job, writer, *found)
                place += 1
        kept = np.delete(job.order, sorted(journal.skipped))
        if not len(kept):
            raise RecordError(
                f'all {len(job.order)} images are damaged, the first: '
                f'{next(iter(journal.skipped.values()))}'
            )
        if job.layout == 'insightface':
            tail = _identity_records(job.source.labels[kept], job.num_classes)
            for number, (key, payload) in enumerate(tail, len(kept)):
                if number >= len(writer.keys):
                    writer.write(key, payload)
        _write_property(job, int(kept[0]))
    journal.remove()
    return list(journal.skipped.values())


def _payload(job: Packing, number: int) -> tuple | str:
    """Key, labels and content of an image, or what is wrong with it."""
    try:
        item = job.source.read(number)
        (decode_image if job.decode else check_whole)(item.content)
    except (OSError, RecordError) as error:
        name = job.source.name(number)
        # Either may have the name already.
        reason = getattr(error, 'strerror', None) or getattr(
            error, 'reason', error
        )
        return f'{name}: {reason}'
    return tuple(item)


def _write_image(
    job: Packing,
    writer: RecordWriter,
    key: int,
    labels: list[float],
    content: bytes,
) -> None:
    if job.layout == 'insightface':
        key, labels = len(writer.keys) + 1, labels[:1]
    elif job.shuffle is not None:
        key = len(writer.keys)
    label = labels if len(labels) > 1 else labels[0]
    writer.write(key, pack_image(label, content, id=key))


def _identity_records(
    labels: np.ndarray, num_classes: int
) -> Iterator[tuple[int, bytes]]:
    """The records after the images; a class without images has none of them.

    Args:
        labels: Of the images, ascending.
        num_classes: Number of classes.
    """
    starts = np.searchsorted(labels, np.arange(num_classes + 1)) + 1
    first = len(labels) + 1
    for number in range(num_classes):
        key = first + number
        ends = [int(starts[number]), int(starts[number + 1])]
        yield key, pack_image(ends, id=key)
    # RecBuilder writes it last and with this id2.
    yield 0, pack_image([first, first + num_classes], id=0, id2=1)


def _write_property(job: Packing, number: int) -> None:
    path = job.rec_file.parent / 'property'
    if not path.exists():
        image = decode_image(job.source.read(number).content)
        height, width = image.shape[:2]
        text = f'{job.num_classes},{height},{width}\n'
        write_atomically(path, text.encode())


class _Journal:
    """What a second run has to know: the job, and which images were skipped.

    A line is flushed before the record behind it is written.

    Attributes:
        goes_on: Whether there is a run of the same job to go on with.
        skipped: Reasons by place in the order of the images.
    """

    def __init__(self, job: Packing) -> None:
        self._path = partial_path(job.rec_file.with_suffix('.journal'))
        self.skipped: dict[int, str] = {}
        self._head = json.dumps(
            [
                job.layout,
                job.shuffle,
                job.skip,
                job.decode,
                job.source.fingerprint(),
            ]
        )
        lines = []
        if self._path.is_file():
            # A cut line is of an image that is looked at again.
            lines = self._path.read_text().split('\n')[:-1]
        self.goes_on = bool(lines) and lines[0] == self._head
        if self.goes_on:
            for line in lines[1:]:
                place, _, reason = line.partition('\t')
                self.skipped[int(place)] = reason

    def start(self, records: int) -> int:
        """Start after so many records of images; returns the place.

        Images behind it are looked at again, so what is noted of them goes.
        """
        start = records
        for place in sorted(self.skipped):
            if place <= start:
                start += 1
            else:
                del self.skipped[place]
        lines = [
            self._head,
            *(f'{place}\t{why}' for place, why in self.skipped.items()),
        ]
        write_atomically(self._path, ('\n'.join(lines) + '\n').encode())
        self._file = self._path.open('a')
        return start

    def skip(self, place: int, reason: str) -> None:
        """Note a damaged image."""
        reason = reason.replace('\n', ' ')
        self.skipped[place] = reason
        self._file.write(f'{place}\t{reason}\n')
        self._file.flush()

    def remove(self) -> None:
        """Everything is written."""
        self._file.close()
        self._path.unlink()
