"""Small record files with images made here."""

import cv2
import numpy as np

from mmdense.recognition.datasets.recordio import RecordWriter, pack_image


def make_image(number, suffix='.png', size=12):
    """An encoded image that no other number has; PNG keeps its pixels."""
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 256, (size, size + 2, 3), dtype=np.uint8)
    return cv2.imencode(suffix, pixels)[1].tobytes()


def pixels_of(content):
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)


def write_insightface(path, counts, contents=None):
    """Images by class, identity records, meta record; `counts` by class."""
    labels = np.repeat(np.arange(len(counts)), counts).tolist()
    if contents is None:
        contents = [make_image(n) for n in range(len(labels))]
    first = len(labels) + 1
    with RecordWriter(path) as writer:
        for key, (label, content) in enumerate(
            zip(labels, contents, strict=True), 1
        ):
            writer.write(key, pack_image(label, content, id=key))
        start = 1
        for label, count in enumerate(counts):
            writer.write(
                first + label, pack_image([start, start + count], id=first)
            )
            start += count
        writer.write(0, pack_image([first, first + len(counts)]))
    return labels, contents


def write_im2rec(path, labels, contents=None, first=0):
    """Images alone; a label may be several."""
    if contents is None:
        contents = [make_image(n) for n in range(len(labels))]
    with RecordWriter(path) as writer:
        for key, (label, content) in enumerate(
            zip(labels, contents, strict=True), first
        ):
            writer.write(key, pack_image(label, content, id=key))
    return contents
