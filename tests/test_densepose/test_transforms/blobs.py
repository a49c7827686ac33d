"""Images with a blob at each dense point, so that a picture tells where the
points have gone.
"""

import random

import numpy as np
from mmdet.structures.mask import BitmapMasks

from mmdense.densepose.functional.annotations import FramePoints
from mmdense.densepose.transforms import LoadDensePoseAnnotations
from tests.densepose_data import ellipse, encode

HEIGHT, WIDTH = 240, 320
SPACING = 40
SIGMA = 3.0


def make_results(
    loader: LoadDensePoseAnnotations, seed: int, channel: int = 0
) -> dict:
    """A loaded sample: three people, a point on each square of a grid.

    Args:
        loader: Builds the boxes.
        seed: Of the places.
        channel: Of the image, in which the blobs are; U says it again as
            (channel + 1) / 8.
    """
    rng = np.random.default_rng(seed)
    img = np.zeros((HEIGHT, WIDTH, 3), dtype=np.float32)
    people, masks = [], []
    for left, right in ((0, 120), (120, 200), (200, 320)):
        # Points first: at random in every square, away from its border.
        grid = np.stack(
            np.meshgrid(
                np.arange(left, right, SPACING), np.arange(0, 240, SPACING)
            ),
            axis=-1,
        ).reshape(-1, 2)
        xy = grid + rng.uniform(12, SPACING - 12, grid.shape)
        x1, y1 = xy.min(0) - rng.uniform(0, 8, 2)
        x2, y2 = xy.max(0) + rng.uniform(0, 8, 2)
        in_frame = (xy - (x1, y1)) / (x2 - x1, y2 - y1) * 256
        count = len(xy)
        points = FramePoints(
            xy=in_frame.astype(np.float32),
            part=rng.integers(1, 25, count).astype(np.uint8),
            uv=np.stack(
                (np.full(count, (channel + 1) / 8), rng.random(count)), axis=1
            ).astype(np.float32),
        )
        for x, y in xy:
            top, left = int(y) - 12, int(x) - 12
            ys, xs = np.mgrid[top : top + 25, left : left + 25] + 0.5
            distance = (xs - x) ** 2 + (ys - y) ** 2
            img[top : top + 25, left : left + 25, channel] += 250 * np.exp(
                -distance / (2 * SIGMA**2)
            )
        people.append(
            {
                'bbox': [x1, y1, x2, y2],
                'bbox_label': 0,
                'ignore_flag': 0,
                'densepose': {
                    'points': points,
                    'dp_masks': encode(ellipse((256, 256), (8, 8, 240, 240))),
                },
            }
        )
        masks.append(ellipse((HEIGHT, WIDTH), (x1, y1, x2 - x1, y2 - y1)))
    results = loader(
        {
            'img': img,
            'img_shape': (HEIGHT, WIDTH),
            'ori_shape': (HEIGHT, WIDTH),
            'instances': people,
        }
    )
    if loader.with_mask:
        results['gt_masks'] = BitmapMasks(masks, HEIGHT, WIDTH)
    return results


def seed_all(seed: int) -> None:
    """Mmdet draws from both."""
    np.random.seed(seed)
    random.seed(seed)


def worst_offset(results: dict, radius: int = 7) -> tuple[float, int]:
    """How far the visible points are from the blobs in the image.

    Args:
        results: After a transform.
        radius: Of the window around a point in which its blob is looked for,
            px of the transformed image; points nearer to the border are
            passed over.

    Returns:
        The largest distance between a point and the center of gravity of
        what is within its window, px; and how many points were looked at.
    """
    img = np.asarray(results['img'], dtype=np.float64)
    height, width = img.shape[:2]
    dense = results['gt_bboxes'].dense.cut_to(height, width).visible()
    # Flipped, U is 1 - U; both give the channel.
    u = dense.uv[:, 0].numpy() * 8
    channels = np.round(np.minimum(u, 8 - u)).astype(int) - 1
    worst, count = 0.0, 0
    for (x, y), channel in zip(dense.xy.tolist(), channels, strict=True):
        left, top = int(x) - radius, int(y) - radius
        right, bottom = int(x) + radius + 1, int(y) + radius + 1
        if min(left, top) < 0 or right > width or bottom > height:
            continue
        window = img[top:bottom, left:right, channel]
        ys, xs = np.mgrid[top:bottom, left:right] + 0.5
        # Only the blob: faint rims of neighbours would pull.
        weight = np.clip(window - 0.4 * window.max(), 0, None)
        count += 1
        if window.max() < 40:
            return float('inf'), count
        found = np.array(((weight * xs).sum(), (weight * ys).sum()))
        offset = np.linalg.norm(found / weight.sum() - (x, y))
        worst = max(worst, float(offset))
    return worst, count
