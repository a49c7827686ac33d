"""People whose exact dense pose is known, on an ellipsoid."""

import numpy as np

from mmdense.densepose.evaluation.detections import Detections
from tests.toy_surface import ellipsoid

HEIGHT, WIDTH = 150, 200
# With fractions, which the published evaluator cuts off.
BOXES = ((10.4, 20.7, 61.8, 93.9), (90.3, 15.2, 80.6, 120.5))
PARTS = (1, 2, 3, 4)


def make_surface():
    return ellipsoid()


def exact_iuv(box, seed):
    """Stripes of all parts; each pixel has its own (u, v)."""
    rng = np.random.default_rng(seed)
    rows, columns = int(box[3]), int(box[2])
    iuv = rng.integers(20, 236, (3, rows, columns), dtype=np.uint8)
    stripe = np.arange(rows) * len(PARTS) // rows
    iuv[0] = np.array(PARTS)[stripe][:, None]
    return iuv


def annotation(number, box, iuv, points=60, **fields):
    """What is annotated if the IUV is the truth."""
    rng = np.random.default_rng(number)
    _, rows, columns = iuv.shape
    y, x = (rng.uniform(0.002, 0.998, points) for _ in range(2))
    part, u, v = iuv[:, (y * rows).astype(int), (x * columns).astype(int)]
    return dict(
        id=number,
        image_id=7,
        category_id=1,
        iscrowd=0,
        area=float(box[2] * box[3]),
        bbox=list(box),
        dp_x=(256 * x).tolist(),
        dp_y=(256 * y).tolist(),
        dp_I=part.tolist(),
        dp_U=(u / 255).tolist(),
        dp_V=(v / 255).tolist(),
        dp_masks=dict(size=[256, 256], counts=[0, 256 * 256]),
        **fields,
    )


def make_content(annotations, images=(7,)):
    return dict(
        images=[dict(id=i, height=HEIGHT, width=WIDTH) for i in images],
        categories=[dict(id=1, name='person'), dict(id=3, name='dog')],
        annotations=annotations,
    )


def perfect():
    """Annotations of two people in image 7, and detections of both."""
    iuvs = [exact_iuv(box, seed) for seed, box in enumerate(BOXES)]
    annotations = [
        annotation(number + 1, box, iuv)
        for number, (box, iuv) in enumerate(zip(BOXES, iuvs, strict=True))
    ]
    detections = Detections(np.array(BOXES), np.array([0.9, 0.8]), iuvs)
    return annotations, detections
