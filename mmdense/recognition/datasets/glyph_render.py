"""Rendering the ideographs of a face, and finding the ones it only claims."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from .glyph_file import pack_image, packed_length
from .glyph_fonts import Face

MARGIN = 1 / 12  # of the image, free on each side: room for small shifts
# A shape drawn for more code points than this is the face's sign for "no
# such glyph", whatever its cmap says; real look-alikes come in twos or threes.
MAX_LOOKALIKES = 4
_NONCHARACTER = 0x10FFFF  # no font may map it: draws the missing glyph
_PROBES = 200
_INK_PERCENTILE = 95


@dataclass(frozen=True)
class RenderedFace:
    """What a face can draw.

    Attributes:
        codepoints: uint32 `(n,)`, ascending.
        images: uint8 `(n, ceil(size / 4) * size)`, packed.
        font_px: Size of the font in px, at which most glyphs fill the image.
        blank: Code points of the cmap without ink.
        missing: Code points drawn with the missing glyph or a placeholder.
    """

    codepoints: NDArray[np.uint32]
    images: NDArray[np.uint8]
    font_px: int
    blank: int
    missing: int


class GlyphRenderer:
    """Draws glyphs of a face as grey images, ink 255 on ground 0.

    The ground is 0 because transforms pad with 0. The ink is centred, and
    faces get the font size at which their ink is equally large, so that
    neither tells faces apart; no stroke is clipped.

    Args:
        face: The face.
        size: Height and width of the images in px.
    """

    def __init__(self, face: Face, size: int) -> None:
        self.face, self.size = face, size
        self._limit = max(1, size - 2 * round(size * MARGIN))
        self._fonts: dict[int, ImageFont.FreeTypeFont] = {}
        self.font_px = self._fit()

    def draw(self, codepoint: int) -> Image.Image | None:
        """The `(size, size)` image of a glyph; None if it has no ink."""
        px, limit = self.font_px, self._limit
        while True:
            ink = self._ink(codepoint, px)
            if ink is None:
                return None
            extent = max(ink.size)
            if extent <= limit:
                break
            px = max(1, min(px - 1, px * limit // extent))
        image = Image.new('L', (self.size, self.size))
        image.paste(
            ink, tuple((self.size - length) // 2 for length in ink.size)
        )
        return image

    def _ink(self, codepoint: int, px: int) -> Image.Image | None:
        font = self._fonts.get(px)
        if font is None:
            # BASIC: complex layout changes nothing for a single ideograph,
            # and is not in every build of Pillow.
            font = self._fonts[px] = ImageFont.truetype(
                str(self.face.path),
                px,
                index=self.face.index,
                layout_engine=ImageFont.Layout.BASIC,
            )
        text = chr(codepoint)
        left, top, right, bottom = font.getbbox(text, anchor='ls')
        # A pixel more on each side: the box is rounded, and crop follows.
        canvas = Image.new('L', (right - left + 2, bottom - top + 2))
        ImageDraw.Draw(canvas).text(
            (1 - left, 1 - top), text, fill=255, font=font, anchor='ls'
        )
        box = canvas.getbbox()
        return canvas.crop(box) if box else None

    def _fit(self) -> int:
        """The font size at which most glyphs just fit."""
        codepoints = self.face.codepoints
        probes = codepoints[:: max(1, len(codepoints) // _PROBES)]
        extents = []
        for codepoint in probes:
            ink = self._ink(codepoint, self.size)
            if ink is not None:
                extents.append(max(ink.size))
        if not extents:
            return self.size
        extent = float(np.percentile(extents, _INK_PERCENTILE))
        return max(1, int(self.size * self._limit / extent))


def render_face(face: Face, size: int) -> RenderedFace:
    """Render all ideographs of a face that it really has.

    Args:
        face: The face.
        size: Height and width of the images in px.
    """
    renderer = GlyphRenderer(face, size)
    missing_glyph = _packed(renderer, _NONCHARACTER)
    by_image: defaultdict[bytes, list[int]] = defaultdict(list)
    blank = 0
    for codepoint in face.codepoints:
        image = _packed(renderer, codepoint)
        # Ink too faint for the lowest level is no ink either.
        if image is None or not any(image):
            blank += 1
        else:
            by_image[image].append(codepoint)

    kept: dict[int, bytes] = {}
    missing = 0
    for image, codepoints in by_image.items():
        if image == missing_glyph or len(codepoints) > MAX_LOOKALIKES:
            missing += len(codepoints)
        else:
            kept.update(dict.fromkeys(codepoints, image))
    order = sorted(kept)
    return RenderedFace(
        codepoints=np.array(order, dtype=np.uint32),
        images=np.frombuffer(
            b''.join(kept[codepoint] for codepoint in order), dtype=np.uint8
        ).reshape(len(order), packed_length(size)),
        font_px=renderer.font_px,
        blank=blank,
        missing=missing,
    )


def _packed(renderer: GlyphRenderer, codepoint: int) -> bytes | None:
    image = renderer.draw(codepoint)
    return None if image is None else pack_image(np.asarray(image)).tobytes()
