"""Contact sheets: look at them before you train."""

import colorsys
from collections.abc import Iterable

import matplotlib
import numpy as np
from PIL import Image, ImageDraw

from ..functional.annotations import FRAME_SIZE
from ..surface.parts import NUM_PARTS
from .sample import Sample
from .studio import Studio

_GREY = 0.35
_PART_COLORS = np.array(
    [
        colorsys.hsv_to_rgb(i * 0.618034 % 1, 0.7, 1 - 0.3 * (i % 2))
        for i in range(NUM_PARTS)
    ]
)
_MARGIN = 4


def draw_sheet(
    studio: Studio,
    samples: Iterable[Sample],
    tile: int = 240,
    columns: int = 2,
) -> Image.Image:
    """Images with boxes, parts with points, U and V, side by side.

    Args:
        studio: What images share.
        samples: What to draw.
        tile: Longer side of a picture, in pixels.
        columns: Samples in a row.
    """
    strips = [_strip(studio, sample, tile) for sample in samples]
    rows = [strips[i : i + columns] for i in range(0, len(strips), columns)]
    heights = [max(s.height for s in row) + _MARGIN for row in rows]
    sheet = Image.new('RGB', (columns * 4 * tile, sum(heights)), 'white')
    top = 0
    for row, height in zip(rows, heights, strict=True):
        for column, strip in enumerate(row):
            sheet.paste(strip, (column * 4 * tile, top))
        top += height
    return sheet


def _strip(studio: Studio, sample: Sample, tile: int) -> Image.Image:
    rendering = sample.rendering
    seen = rendering.face >= 0
    part, uv = studio.chart_points(
        rendering.face[seen], rendering.weights[seen]
    )
    turbo = matplotlib.colormaps['turbo']
    pictures = [Image.fromarray(rendering.image)]
    for values in (
        _PART_COLORS[part.astype(int) - 1],
        turbo(uv[:, 0])[:, :3],
        turbo(uv[:, 1])[:, :3],
    ):
        picture = rendering.image.mean(-1, keepdims=True).repeat(3, -1) * _GREY
        picture[seen] = values * 255
        pictures.append(Image.fromarray(picture.astype(np.uint8)))
    scale = tile / max(pictures[0].size)
    size = [round(side * scale) for side in pictures[0].size]
    strip = Image.new('RGB', (4 * tile, size[1]), 'white')
    for number, picture in enumerate(pictures):
        picture = picture.resize(size, Image.Resampling.LANCZOS)
        if number < 2:
            _draw_annotations(picture, sample, scale, with_points=number == 1)
        strip.paste(picture, (number * tile, 0))
    return strip


def _draw_annotations(
    picture: Image.Image, sample: Sample, scale: float, with_points: bool
) -> None:
    """What the annotations say, drawn into an image."""
    draw = ImageDraw.Draw(picture)
    for item in sample.annotations:
        x, y, width, height = (scale * side for side in item['bbox'])
        if not with_points:
            draw.rectangle((x, y, x + width, y + height), outline='white')
            continue
        for px, py in zip(item['dp_x'], item['dp_y'], strict=True):
            at = x + px * width / FRAME_SIZE, y + py * height / FRAME_SIZE
            draw.point(at, fill='white')
