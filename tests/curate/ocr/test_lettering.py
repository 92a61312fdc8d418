import random

import numpy as np
import pytest

from mimovl.curate.ocr.faces import Face, font
from mimovl.curate.ocr.lettering import STYLES, Style, letter, line_pitch, space_width
from tests.curate.ocr.drawing import extent

PILLOW = Face("")


@pytest.mark.parametrize("style", STYLES)
def test_a_mask_is_cut_to_its_word_and_differs_from_plain(style: Style) -> None:
    plain = letter("Mango", PILLOW, 32, "plain", random.Random(0))
    drawn = letter("Mango", PILLOW, 32, style, random.Random(0))
    assert plain is not None and drawn is not None
    assert drawn.mask.getbbox() == (0, 0, *drawn.mask.size)
    assert 60 < drawn.mask.width < 160 and 20 < drawn.mask.height < 80
    assert style == "plain" or drawn.mask.tobytes() != plain.mask.tobytes()


@pytest.mark.parametrize("style", STYLES)
def test_most_of_a_words_ink_stays_readable(style: Style) -> None:
    for seed in range(6):
        drawn = letter("Reading", PILLOW, 30, style, random.Random(seed))
        plain = letter("Reading", PILLOW, 30, "plain", random.Random(seed))
        assert drawn is not None and plain is not None
        ink = np.asarray(drawn.mask, dtype=float).sum() / np.asarray(plain.mask, dtype=float).sum()
        assert 0.4 < ink < 2.0, (style, ink)


def test_a_mask_lies_where_the_typeface_puts_it() -> None:
    drawn = letter("jay", PILLOW, 40, "plain", random.Random(0))
    assert drawn is not None
    left, top, right, bottom = font(PILLOW, 40).getbbox("jay", anchor="ls")
    box = extent(drawn.mask, 1)
    assert box is not None
    placed = (drawn.left + box[0], drawn.top + box[1], drawn.left + box[2], drawn.top + box[3])
    assert np.abs(np.subtract(placed, (left, top, right, bottom))).max() <= 1


def test_the_same_chance_gives_the_same_word() -> None:
    for style in STYLES:
        first, second = (letter("again", PILLOW, 24, style, random.Random(9)) for _ in range(2))
        assert first is not None and second is not None
        assert first.mask.tobytes() == second.mask.tobytes()


def test_what_has_no_ink_is_no_word() -> None:
    assert letter(" ", PILLOW, 20, "plain", random.Random(0)) is None
    assert letter(" ", PILLOW, 20, "hand", random.Random(0)) is None


def test_spaces_are_wide_enough_to_part_words() -> None:
    assert space_width(PILLOW, 40) >= 10 and line_pitch(PILLOW, 40) >= 40
