"""Making image files from a record file, in a way that can be interrupted."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from mmdense.distributed.atomic_files import partial_path, write_atomically

from .container import RecordError
from .images import check_whole, decode_image, suffix_of
from .layout import read_layout
from .processes import Track, map_in_order, no_bar
from .reader import RecordReader

LIST_NAME = 'train.lst'


@dataclass
class Unpacking:
    """What is to be written.

    Attributes:
        reader: The record file.
        folder: The folder to write to: an image becomes
            `CLASS/KEY.SUFFIX`, its bytes as they are.
        skip: Whether damaged images are left out, rather than an error.
        decode: Whether each image is decoded to see if it is damaged; else
            only that it is not cut.
        workers: Number of processes.
    """

    reader: RecordReader
    folder: Path
    skip: bool = False
    decode: bool = True
    workers: int = 1
    digits: int = field(init=False)

    def __post_init__(self) -> None:
        self.positions = read_layout(self.reader).positions
        self.listed = self.folder / LIST_NAME
        # Names in the order of the keys.
        self.digits = max(7, len(str(int(self.reader.keys.max()))))


def unpack(job: Unpacking, track: Track = no_bar) -> list[str]:
    """Write the images, and a list of them.

    The list, `train.lst` in the format of im2rec, has the labels as they
    are; folders lose those without an image. It is written last. A second
    call after a kill writes what is missing; where the list is, nothing is.

    Args:
        job: What is to be written.
        track: Shows progress.

    Returns:
        The damaged records that were left out, with the reason.

    Raises:
        RecordError: A record is damaged and not skipped.
        OSError: A file cannot be written.
    """
    if job.listed.exists():
        return []
    job.folder.mkdir(parents=True, exist_ok=True)
    lines, damaged = [], []
    results = map_in_order(_write, job, job.positions, job.workers)
    for chunk in track(results, len(job.positions), len):
        for line in chunk:
            if isinstance(line, RecordError):
                if not job.skip:
                    raise line
                damaged.append(str(line))
            else:
                lines.append(line)
    write_atomically(job.listed, ''.join(lines).encode())
    return damaged


def _write(job: Unpacking, position: int) -> str | RecordError:
    """The line of an image in the list, or why there is none."""
    reader = job.reader
    try:
        label, image = reader.read_labelled(position)
        with reader.naming(position):
            (decode_image if job.decode else check_whole)(image.content)
    except RecordError as error:
        return error
    key = int(reader.keys[position])
    name = f'{key:0{job.digits}}{suffix_of(image.content)}'
    path = job.folder / f'{label:07}' / name
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        partial = partial_path(path)
        partial.write_bytes(image.content)
        os.replace(partial, path)
    labels = '\t'.join(f'{value:.9g}' for value in image.labels.tolist())
    return f'{key}\t{labels}\t{label:07}/{name}\n'
