"""Contact sheets: look at them before you train."""

import colorsys
from collections.abc import Iterable

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..surface.parts import NUM_PARTS
from .sample import Sample
from .studio import Studio

Pixels = NDArray[np.uint8]

_GREY = 0.35
_MARGIN = 4


def draw_sheet(
    studio: Studio,
    samples: Iterable[Sample],
    tile: int = 240,
    columns: int = 2,
) -> Image.Image:
    """Images with boxes and points, their parts, U and V, side by side.

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
    colors = np.array(
        [
            colorsys.hsv_to_rgb(i * 0.618034 % 1, 0.7, 1 - 0.3 * (i % 2))
            for i in range(NUM_PARTS)
        ]
    )
    turbo = matplotlib.colormaps['turbo']
    pictures = [_with_points(sample, colors, tile)]
    for values in (
        colors[part.astype(int) - 1],
        turbo(uv[:, 0])[:, :3],
        turbo(uv[:, 1])[:, :3],
    ):
        picture = rendering.image.mean(-1, keepdims=True).repeat(3, -1) * _GREY
        picture[seen] = values * 255
        pictures.append(Image.fromarray(picture.astype(np.uint8)))
    for picture in pictures:
        picture.thumbnail((tile, tile), Image.Resampling.LANCZOS)
    strip = Image.new('RGB', (4 * tile, pictures[0].height), 'white')
    for number, picture in enumerate(pictures):
        strip.paste(picture, (number * tile, 0))
    return strip


def _with_points(
    sample: Sample, colors: NDArray[np.float64], tile: int
) -> Image.Image:
    """What the annotations say, drawn into the image."""
    picture = Image.fromarray(sample.rendering.image)
    scale = 2 * tile / max(picture.size)
    picture = picture.resize(
        (round(picture.width * scale), round(picture.height * scale))
    )
    draw = ImageDraw.Draw(picture)
    for item in sample.annotations:
        x, y, width, height = (scale * side for side in item['bbox'])
        draw.rectangle((x, y, x + width, y + height), outline='white')
        for px, py, part in zip(
            item['dp_x'], item['dp_y'], item['dp_I'], strict=True
        ):
            at = np.array([x + px * width / 256, y + py * height / 256])
            color = tuple((colors[part - 1] * 255).astype(int).tolist())
            draw.ellipse((*(at - 1.5), *(at + 1.5)), fill=color)
    return picture
