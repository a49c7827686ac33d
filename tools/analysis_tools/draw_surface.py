"""Draw a body surface from four sides: parts, with lines of equal U and V.

    python tools/analysis_tools/draw_surface.py body.png
    python tools/analysis_tools/draw_surface.py mesh.png --surface mesh.npz

Without a surface it is the body that ships. Dark blue lines are of equal U,
dark red ones of equal V, ten to a chart; the darker the part, the steeper the
surface. docs/body_surface.md says what a surface may be.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import distance_transform_edt

from mmdense.densepose.surface import BodySurface, build_surface
from mmdense.densepose.synthetic.geometry import interpolate
from mmdense.densepose.visualization.body_views import (
    OVERSAMPLING,
    VIEWS,
    View,
    look_at,
    shrink,
)
from mmdense.densepose.visualization.drawing import PART_COLORS

LINE_COLORS = np.array([[40, 40, 130], [130, 25, 25]])
ERRORS = (FileNotFoundError, ImportError, OSError, TypeError, ValueError)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool; errors of the user end in one line."""
    args = parse_args(argv)
    try:
        surface = build_surface(args.surface)
        views = [
            draw(surface, angle, args.height, args.lines)
            for angle in VIEWS.values()
        ]
        args.output.parent.mkdir(parents=True, exist_ok=True)
        # Few colours are enough, and make a small file.
        sheet = Image.fromarray(np.concatenate(views, 1))
        sheet.quantize(200, dither=Image.Dither.NONE).save(
            args.output, optimize=True
        )
    except ERRORS as error:
        sys.exit(f'error: {error}')
    print(f'{args.output}: {", ".join(VIEWS)}')


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('output', type=Path, help='picture to write')
    parser.add_argument('--surface', help='default: the body that ships')
    parser.add_argument('--height', type=int, default=640, help='pixels')
    parser.add_argument(
        '--lines', type=int, default=10, help='per chart and direction'
    )
    return parser.parse_args(argv)


def draw(
    surface: BodySurface, degrees: float, height: int, lines: int
) -> np.ndarray:
    """One view (height, W, 3) uint8, as wide as it must be."""
    view = look_at(surface, degrees, height)
    small = shrink(paint(surface, view, lines)).round().astype(np.uint8)
    shown = view.seen.triangle[::OVERSAMPLING, ::OVERSAMPLING]
    return write_numbers(small, surface, shown)


def paint(surface: BodySurface, view: View, lines: int) -> np.ndarray:
    """Colours (H, W, 3) of what is seen, on white."""
    (triangle, weights, _), body, light = view
    faces, corners = triangle[body], weights[body]
    part = np.zeros(triangle.shape, int)
    part[body] = surface.face_part[faces]
    colors = PART_COLORS[part].astype(float)
    # A light tint leaves the lines visible on all parts.
    colors = 0.55 * colors + 0.45 * 255
    uv = interpolate(surface.uv, surface.chart_faces()[faces], corners)
    for k in range(2):
        step = np.zeros(triangle.shape)
        step[body] = np.floor(uv[:, k] * lines)
        line = np.zeros(triangle.shape, bool)
        for axis in (0, 1):
            same = part == np.roll(part, -1, axis)
            line |= same & (step != np.roll(step, -1, axis))
        colors[line] = LINE_COLORS[k]
    colors[body] *= (0.5 + 0.5 * light)[:, None]
    colors[~body] = 255
    return colors


def write_numbers(
    picture: np.ndarray, surface: BodySurface, triangle: np.ndarray
) -> np.ndarray:
    """The number of each part, where most room is around it."""
    part = np.where(triangle >= 0, surface.face_part[triangle], 0)
    image = Image.fromarray(picture)
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=max(10, len(picture) // 45))
    for number in np.unique(part[part > 0]).tolist():
        room = distance_transform_edt(np.pad(part == number, 1))[1:-1, 1:-1]
        if room.max() < font.size / 3:
            continue
        middle = np.unravel_index(room.argmax(), room.shape)
        pen.text(
            (int(middle[1]), int(middle[0])),
            str(number),
            fill='black',
            font=font,
            anchor='mm',
            stroke_width=2,
            stroke_fill='white',
        )
    return np.asarray(image)


if __name__ == '__main__':
    main()
