import math
import random

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mimovl.curate.ocr.canvas import Canvas, union
from mimovl.curate.ocr.pages import make_document, make_notes, make_receipt
from mimovl.curate.ocr.scenes import make_package
from mimovl.curate.ocr.tables import make_table
from tests.curate.ocr.drawing import Recorder, draw, extent, overlap

MAKERS = [make_document, make_notes, make_receipt, make_table, make_package]


def disc(side: int) -> Image.Image:
    mask = Image.new("L", (side, side))
    ImageDraw.Draw(mask).ellipse((0, 0, side - 1, side - 1), fill=255)
    return mask


def canvas_with(*discs: tuple[int, int, int]) -> Canvas:
    canvas = Canvas.on(Image.new("RGB", (200, 120), (255, 255, 255)))
    block = canvas.block("text")
    for x, y, side in discs:
        canvas.put(disc(side), x, y, (0, 0, 0), "o", block=block, line=canvas.line())
    return canvas


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_boxes_equal_the_ink_of_the_text_drawn_alone_within_one_pixel(
    make: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(2):
        recorder = Recorder(monkeypatch)
        canvas = draw(make, seed)  # type: ignore[arg-type]
        assert len(canvas.elements) > 5
        for number, box in enumerate(canvas.boxes()):
            if canvas.elements[number].text:  # rules of a table go behind its letters
                alone = extent(recorder.alone(canvas.elements[number], canvas.size))
                assert box is not None and alone is not None
                assert np.abs(np.subtract(box, alone)).max() <= 1, canvas.elements[number]


def test_the_letters_in_the_picture_are_where_the_boxes_say(monkeypatch: pytest.MonkeyPatch) -> None:
    from mimovl.curate.ocr import pages

    monkeypatch.setattr(pages, "paper", lambda rng, size: Image.new("RGB", size, (255, 255, 255)))
    canvas = draw(make_document, 5)
    dark = 255 - np.asarray(canvas.image.convert("L")).astype(int)
    count = 0
    for element, box in zip(canvas.elements, canvas.boxes(), strict=True):
        if element.text and box is not None:
            x1, y1, x2, y2 = box
            inside = dark[y1:y2, x1:x2]
            assert (inside[0] > 60).any() and (inside[-1] > 60).any(), element
            assert (inside[:, 0] > 60).any() and (inside[:, -1] > 60).any(), element
            count += 1
    assert count > 50


def test_a_warp_moves_boxes_with_the_ink() -> None:
    canvas = canvas_with((20, 20, 40), (100, 50, 50))
    angle = math.radians(20)
    turn = np.array([[math.cos(angle), -math.sin(angle), 60.0], [math.sin(angle), math.cos(angle), 10.0], [4e-4, 0, 1]])
    bent = canvas.warp(turn, (280, 220))
    for number, (x, y, side) in enumerate(((20, 20, 40), (100, 50, 50))):
        single = canvas_with((x, y, side))
        inverse = np.linalg.inv(turn)
        data = tuple((inverse / inverse[2, 2]).ravel()[:8])
        dark = Image.eval(single.image.convert("L"), lambda level: 255 - level)
        alone = extent(dark.transform((280, 220), Image.Transform.PERSPECTIVE, data, Image.Resampling.BICUBIC))
        box = bent.boxes()[number]
        assert box is not None and alone is not None and overlap(box, alone) >= 0.95


def test_scaling_moves_boxes_in_proportion() -> None:
    box = canvas_with((20, 20, 40)).scale((400, 360)).boxes()[0]
    assert box is not None and np.abs(np.subtract(box, (40, 60, 120, 180))).max() <= 2


def test_what_leaves_the_picture_has_no_box() -> None:
    gone = canvas_with((20, 20, 40), (100, 50, 50)).warp(np.array([[1, 0, -90.0], [0, 1, 0], [0, 0, 1]]), (200, 120))
    assert gone.boxes() == [None, (10, 50, 60, 100)]


def test_laying_one_on_another_hands_over_its_elements_and_hides_what_is_below() -> None:
    below, above = canvas_with((20, 20, 40), (150, 20, 30)), canvas_with((30, 30, 20))
    alpha = Image.new("L", (200, 120))
    alpha.paste(255, (0, 0, 100, 120))
    above.laid_on(below, alpha)
    assert below.boxes() == [None, (150, 20, 180, 50), (30, 30, 50, 50)]
    assert below.elements[2].line == 2 and below.elements[2].block == 1 and below.num_lines == 3


def test_amounts_are_covered_pixels() -> None:
    canvas = canvas_with((20, 20, 40))
    assert canvas.amounts() == pytest.approx([np.asarray(disc(40)).sum() / 255])


def test_words_are_joined_with_spaces_but_where_none_belongs() -> None:
    canvas = canvas_with((0, 0, 9), (20, 0, 9), (40, 0, 9))
    canvas.elements[2].spaced = False
    assert canvas.text_of(canvas.elements) == "o oo"
    assert union([(1, 5, 3, 9), (0, 6, 2, 12)]) == (0, 5, 3, 12)


def test_touching_words_keep_their_own_boxes() -> None:
    rng = random.Random(0)
    for _ in range(20):
        side = rng.randint(12, 30)
        boxes = canvas_with((20, 20, side), (20 + side, 20, side)).boxes()
        assert boxes == [(20, 20, 20 + side, 20 + side), (20 + side, 20, 20 + 2 * side, 20 + side)]
