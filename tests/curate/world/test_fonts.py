from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mimovl.curate.world import fonts
from mimovl.curate.world.fonts import chinese_font_path, draw_text, ink_box, line_height, text_width
from mimovl.curate.world.vocabulary import CHINESE_WORDS


@pytest.fixture
def font_search(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The search for a Chinese font starts anew in the test and after it."""
    chinese_font_path.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    chinese_font_path.cache_clear()


@pytest.mark.parametrize("size", range(10, 19))
def test_character_boxes_equal_the_ink_within_one_pixel(size: int) -> None:
    text = "abdfghijklmpqtwyABQRW0123456789"
    image = Image.new("RGB", (text_width(text, size) + 20, 40))
    for char, (x1, y1, x2, y2) in draw_text(image, 8, 6, text, size, (255, 255, 255)):
        alone = Image.new("RGB", image.size)
        before = text[: text.index(char)]
        draw_text(alone, 8 + text_width(before, size), 6, char, size, (255, 255, 255))
        ink = alone.convert("L").point([255 * (level >= 96) for level in range(256)]).getbbox()
        assert ink is not None
        assert np.abs(np.subtract(ink, (x1, y1, x2, y2))).max() <= 1, char


def test_text_stays_within_its_line() -> None:
    image = Image.new("RGB", (100, 60))
    chars = draw_text(image, 10, 10, "Qgjy|", 14, (255, 255, 255))
    left, top, right, bottom = ink_box(chars)
    assert left >= 9 and right <= 10 + text_width("Qgjy|", 14) + 1
    assert top >= 10 and bottom <= 10 + line_height(14)


def test_words_are_clearly_apart() -> None:
    chars = draw_text(Image.new("RGB", (100, 30)), 0, 0, "74 58", 14, (255, 255, 255))
    gap = chars[2][1][0] - chars[1][1][2]
    assert gap >= 4
    assert [char for char, _ in chars] == list("7458")


def test_without_a_chinese_font_there_is_none(font_search: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "no-font.ttf").write_bytes(b"not a font")
    font_search.setenv("MIMOVL_CJK_FONT", str(tmp_path / "no-font.ttf"))
    font_search.setattr(fonts, "_CHINESE_PATHS", ())
    assert chinese_font_path() is None


def test_a_font_without_chinese_glyphs_is_passed_over(font_search: pytest.MonkeyPatch, tmp_path: Path) -> None:
    latin = fonts._face(12, False).font_bytes  # the bundled face
    (tmp_path / "latin.ttf").write_bytes(latin)
    font_search.setenv("MIMOVL_CJK_FONT", str(tmp_path / "latin.ttf"))
    font_search.setattr(fonts, "_CHINESE_PATHS", ())
    assert chinese_font_path() is None


@pytest.mark.skipif(chinese_font_path() is None, reason="no Chinese font on this machine")
def test_chinese_words_are_drawn() -> None:
    shown = set()
    for word in CHINESE_WORDS:
        image = Image.new("RGB", (60, 40))
        chars = draw_text(image, 5, 5, word, 16, (255, 255, 255), chinese=True)
        assert [char for char, _ in chars] == list(word)
        shown.add(image.tobytes())
    assert len(shown) == len(CHINESE_WORDS)
