"""Going over a record file: what is in it, and is it whole."""

from dataclasses import dataclass, field

import numpy as np

from .container import RecordError
from .images import check_whole, decode_image
from .layout import Layout, read_labels, read_layout, read_property
from .processes import Track, map_in_order, no_bar
from .reader import RecordReader


@dataclass
class Report:
    """What :func:`check` has found.

    Attributes:
        layout: `insightface` or `im2rec`.
        records: Records in the index.
        images: Of them those that are images.
        num_classes: What the data set would take, None if nothing says.
        labels: int32 `(images,)`; -1 where a header is damaged.
        per_class: int64 `(identities,)`, images of each class that has any.
        sizes: Images by (height, width); empty if they were not decoded.
        damaged: Damaged records, in the order of the index.
        remarks: What does not agree, in words.
    """

    layout: str
    records: int
    images: int
    num_classes: int | None
    labels: np.ndarray
    per_class: np.ndarray
    sizes: dict[tuple[int, int], int] = field(default_factory=dict)
    damaged: list[RecordError] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def check(
    reader: RecordReader,
    decode: bool = True,
    workers: int = 1,
    track: Track = no_bar,
) -> Report:
    """Read all records of a file.

    Args:
        reader: The file.
        decode: Whether images are decoded; else only that none is cut.
        workers: Number of processes.
        track: Shows progress.

    Raises:
        RecordError: The meta record is damaged, so that nothing is known of
            the others.
    """
    layout = read_layout(reader)
    labels = read_labels(reader, layout.positions)
    said = read_property(reader.rec_file.parent)
    report = Report(
        'im2rec' if layout.meta is None else 'insightface',
        len(reader),
        len(labels),
        said['num_classes'] if said else layout.identities,
        labels,
        np.unique(labels[labels >= 0], return_counts=True)[1],
    )
    _compare(report, reader, layout, said)
    results = map_in_order(
        _check_image, (reader, decode), layout.positions, workers
    )
    for chunk in track(results, len(labels), len):
        for found in chunk:
            if isinstance(found, RecordError):
                report.damaged.append(found)
            elif found is not None:
                report.sizes[found] = report.sizes.get(found, 0) + 1
    return report


def _check_image(
    shared: tuple[RecordReader, bool], position: int
) -> tuple[int, int] | RecordError | None:
    reader, decode = shared
    try:
        _, image = reader.read_labelled(position)
        with reader.naming(position):
            if decode:
                height, width = decode_image(image.content).shape[:2]
                return height, width
            check_whole(image.content)
    except RecordError as error:
        return error
    return None


def _compare(
    report: Report,
    reader: RecordReader,
    layout: Layout,
    said: dict | None,
) -> None:
    """Whether labels, identity records and `property` agree."""
    labels, remarks = report.labels, report.remarks
    counted = layout.identities
    if said and counted is not None and said['num_classes'] != counted:
        remarks.append(
            f'property says {said["num_classes"]} identities, the meta record '
            f'{counted}'
        )
    top = int(labels.max()) if len(labels) else -1
    if report.num_classes is not None and top >= report.num_classes:
        remarks.append(
            f'there are labels up to {top}, expected labels below '
            f'{report.num_classes}'
        )
    empty = top + 1 - len(report.per_class)
    if empty:
        remarks.append(f'{empty} of the labels from 0 to {top} have no image')
    double = len(reader) - len(np.unique(reader.offsets))
    if double:
        remarks.append(f'{double} records are in the index under two keys')
    for number in range(counted or 0):
        position = reader.find(len(labels) + 1 + number)
        try:
            if position < 0:
                raise RecordError('is not in the index')
            with reader.naming(position):
                first, stop = reader.read_image(position).labels[:2].tolist()
        except (RecordError, ValueError) as error:
            remarks.append(f'identity record {number}: {error}')
            continue
        within = labels[int(first) - 1 : int(stop) - 1]
        if (within != number).any():
            remarks.append(
                f'identity record {number} says images {first:.0f} to '
                f'{stop - 1:.0f}, which have other labels'
            )
