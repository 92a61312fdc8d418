"""Letters for drawn pages: Pillow's own bundled face, and a Chinese font where the machine has one.

Text is set glyph by glyph at whole pixels, without kerning, so that the pixels do not depend on the layout
engine and each character's box is exact.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

__all__ = ["CharBox", "chinese_font_path", "draw_text", "ink_box", "line_height", "text_width"]

_CHINESE_PATHS = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
    "/usr/share/fonts/google-noto-cjk/NotoSansCJK-Regular.ttc",
    "/System/Library/Fonts/PingFang.ttc",
    "/System/Library/Fonts/STHeiti Light.ttc",
    "C:/Windows/Fonts/msyh.ttc",
    "C:/Windows/Fonts/simsun.ttc",
)
_INK = 96
"""Coverage (of 255) from which a pixel of a glyph counts as ink."""

Box = tuple[int, int, int, int]
CharBox = tuple[str, Box]


@dataclass(frozen=True)
class _Glyph:
    mask: Image.Image | None
    offset: tuple[int, int]
    ink: Box
    advance: int


@lru_cache(maxsize=1)
def chinese_font_path() -> str | None:
    """A font file with Chinese glyphs: ``MIMOVL_CJK_FONT``, fontconfig's first, a well-known path, or None."""
    named = os.environ.get("MIMOVL_CJK_FONT")
    candidates = [named] if named else []
    if not named and shutil.which("fc-list"):
        try:
            listed = subprocess.run(
                ["fc-list", ":lang=zh", "file"], capture_output=True, text=True, timeout=10, check=False
            )
            candidates += sorted(line.rstrip(": ") for line in listed.stdout.splitlines())
        except (OSError, subprocess.TimeoutExpired):
            pass
    for path in (*candidates, *_CHINESE_PATHS):
        if path and Path(path).is_file() and _has_chinese(path):
            return path
    return None


def _has_chinese(path: str) -> bool:
    """True if the face opens and 中 is not drawn as its missing-glyph box."""
    try:
        face = ImageFont.truetype(path, 16)
        return bytes(face.getmask("中")) not in (bytes(face.getmask("\U0010fffe")), b"")
    except (OSError, ValueError):
        return False


@lru_cache(maxsize=64)
def _face(size: int, chinese: bool) -> ImageFont.FreeTypeFont:
    if chinese:
        path = chinese_font_path()
        assert path is not None, "Chinese text drawn without a Chinese font"
        return ImageFont.truetype(path, size)
    face = ImageFont.load_default(size)
    assert isinstance(face, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return face


@lru_cache(maxsize=8192)
def _glyph(char: str, size: int, chinese: bool) -> _Glyph:
    face = _face(size, chinese)
    advance = max(1, round(face.getlength(char)))
    if char == " ":  # the bundled face's is so narrow that "174 587" reads as one number
        advance = max(advance, size // 3)
    canvas = Image.new("L", (3 * size, 3 * size))
    ImageDraw.Draw(canvas).text((size, size), char, fill=255, font=face)
    extent = canvas.getbbox()
    if extent is None:
        return _Glyph(None, (0, 0), (0, 0, 0, 0), advance)
    ink = canvas.point([255 * (level >= _INK) for level in range(256)]).getbbox() or extent
    offset = (extent[0] - size, extent[1] - size)
    return _Glyph(canvas.crop(extent), offset, (ink[0] - size, ink[1] - size, ink[2] - size, ink[3] - size), advance)


def line_height(size: int, *, chinese: bool = False) -> int:
    """Ascent plus descent, pixels."""
    return sum(_face(size, chinese).getmetrics())


def text_width(text: str, size: int, *, chinese: bool = False) -> int:
    """Advance width of a line, pixels."""
    return sum(_glyph(char, size, chinese).advance for char in text)


def draw_text(
    image: Image.Image, x: int, y: int, text: str, size: int, colour: tuple[int, int, int], *, chinese: bool = False
) -> list[CharBox]:
    """Draw a line with its ascent at ``y`` and return each visible character with its ink box.

    Args:
        image: What to draw on, mode RGB.
        x: Where the first advance box starts.
        y: Top of the line.
        text: One line.
        size: Font size, pixels.
        colour: Of the letters.
        chinese: Set in the Chinese face, which has Latin letters and digits too.

    Returns:
        (character, (x1, y1, x2, y2)) of each visible character; right and bottom are exclusive.
    """
    boxes: list[CharBox] = []
    for char in text:
        glyph = _glyph(char, size, chinese)
        if glyph.mask is not None:
            image.paste(colour, (x + glyph.offset[0], y + glyph.offset[1]), glyph.mask)
            x1, y1, x2, y2 = glyph.ink
            boxes.append((char, (x + x1, y + y1, x + x2, y + y2)))
        x += glyph.advance
    return boxes


def ink_box(chars: Sequence[CharBox]) -> Box:
    """The box around some characters."""
    boxes = [box for _, box in chars]
    return (
        min(box[0] for box in boxes),
        min(box[1] for box in boxes),
        max(box[2] for box in boxes),
        max(box[3] for box in boxes),
    )
