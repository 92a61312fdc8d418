import numpy as np
import pytest

from mimovl.curate.ocr.canvas import union
from mimovl.curate.ocr.pages import make_document, make_notes, make_receipt
from tests.curate.ocr.drawing import draw, needs_chinese

MAKERS = [make_document, make_notes, make_receipt]


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_pages_have_sides_of_28_and_all_text_inside(make: object) -> None:
    for seed in range(4):
        canvas = draw(make, seed)  # type: ignore[arg-type]
        assert canvas.size[0] % 28 == 0 and canvas.size[1] % 28 == 0
        boxes = canvas.boxes()
        assert len(boxes) >= 5 and all(box is not None for box in boxes)
        x1, y1, x2, y2 = union([box for box in boxes if box])
        assert x1 > 0 and y1 > 0 and x2 < canvas.size[0] and y2 < canvas.size[1]


def test_words_of_a_document_do_not_lie_on_each_other() -> None:
    for seed in range(4):
        canvas = draw(make_document, seed)
        ink = canvas.amounts()
        for element, box, amount in zip(canvas.elements, canvas.boxes(), ink, strict=True):
            if element.text and box is not None:  # all of a word's ink is its own
                assert amount > 0.08 * (box[2] - box[0]) * (box[3] - box[1]), element


def test_a_document_is_read_column_by_column_from_the_top() -> None:
    found = 0
    for seed in range(40):
        if found >= 2:  # pages of two columns; which seeds give them depends on the machine's typefaces
            break
        canvas = draw(make_document, seed)
        boxes = canvas.boxes()
        body = [
            (one.line, box)
            for one, box in zip(canvas.elements, boxes, strict=True)
            if one.text and box and canvas.blocks[one.block].role == "text"
        ]
        for (line, box), (next_line, below) in zip(body, body[1:], strict=False):
            if next_line == line:
                assert below[0] > box[0]
            elif below[3] < box[1]:  # up again: the next column
                assert below[0] > canvas.size[0] * 0.4
                found += 1
    assert found >= 2


def test_a_receipt_adds_up() -> None:
    for seed in range(6):
        canvas = draw(make_receipt, seed)
        costs = [
            round(100 * float(one.text))
            for one in canvas.elements
            if canvas.blocks[one.block].role == "list" and one.text.replace(".", "").isdigit() and "." in one.text
        ]
        assert len(costs) >= 4 and sum(costs[:-1]) == costs[-1]


def test_notes_are_written_unevenly() -> None:
    canvas = draw(make_notes, 1)
    tops = [box[3] for one, box in zip(canvas.elements, canvas.boxes(), strict=True) if box and one.line == 0]
    assert len(tops) > 2 and len(set(tops)) > 1
    assert {block.role for block in canvas.blocks} == {"handwriting"}


def test_the_same_chance_draws_the_same_page() -> None:
    for make in MAKERS:
        first, second = draw(make, 3), draw(make, 3)
        assert first.image.tobytes() == second.image.tobytes() and first.boxes() == second.boxes()
        assert first.image.tobytes() != draw(make, 4).image.tobytes()


@needs_chinese
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_chinese_pages_are_chinese(make: object) -> None:
    canvas = draw(make, 2, chinese=True)  # type: ignore[arg-type]
    text = "".join(one.text for one in canvas.elements)
    assert np.mean(["\u4e00" <= char <= "\u9fff" for char in text]) > 0.2
    assert canvas.chinese
