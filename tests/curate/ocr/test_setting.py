import random

from PIL import Image

from mimovl.curate.ocr.canvas import Canvas, union
from mimovl.curate.ocr.faces import Face
from mimovl.curate.ocr.setting import Hand, set_line, set_paragraph, width_of
from tests.curate.ocr.drawing import PILLOW, needs_chinese, stock

HAND = Hand(Face(""), 18, (0, 0, 0), random.Random(0))
TEXT = "the quick brown fox jumps over the lazy dog and then sleeps in the warm sun until noon".split()


def page() -> Canvas:
    return Canvas.on(Image.new("RGB", (400, 300), (255, 255, 255)))


def lines_of(canvas: Canvas) -> list[str]:
    return [
        canvas.text_of([one for one in canvas.elements if one.line == line]) for line in range(canvas.num_lines)
    ]  # fmt: skip


def test_a_paragraph_breaks_at_the_columns_edge_and_loses_no_word() -> None:
    canvas = page()
    bottom = set_paragraph(canvas, TEXT, (20, 10, 220, 300), HAND, canvas.block("text"), indent=30)
    assert " ".join(lines_of(canvas)) == " ".join(TEXT) and canvas.num_lines > 2
    boxes = [box for box in canvas.boxes() if box is not None]
    x1, y1, x2, y2 = union(boxes)
    assert 18 <= x1 and x2 <= 222 and 10 <= y1 and y2 <= bottom and boxes[0][0] >= 48


def test_what_does_not_fit_is_left_out_a_line_at_a_time() -> None:
    canvas = page()
    set_paragraph(canvas, TEXT, (20, 10, 220, 10 + 2 * HAND.pitch), HAND, canvas.block("text"))
    written = " ".join(lines_of(canvas))
    assert canvas.num_lines == 2 and " ".join(TEXT).startswith(written)
    assert set_paragraph(canvas, TEXT, (20, 10, 220, 20), HAND, 0) == 10


def test_text_is_aligned_as_asked() -> None:
    starts = []
    for align in ("left", "centre", "right"):
        canvas = page()
        set_paragraph(canvas, ["word"], (20, 10, 380, 100), HAND, canvas.block("text"), align=align)
        starts.append(canvas.boxes()[0])
    left, centre, right = starts
    assert left is not None and centre is not None and right is not None
    assert left[0] <= 22 and right[2] >= 376 and abs((centre[0] + centre[2]) / 2 - 200) <= 2


def test_a_line_that_was_begun_goes_on_well_apart() -> None:
    canvas = page()
    words, line = HAND.words(["a", "b"]), canvas.line()
    set_line(canvas, words, 10, 40, HAND, canvas.block("list"), line)
    set_line(canvas, HAND.words(["9.99"]), 300, 40, HAND, 0, line)
    assert lines_of(canvas) == ["a b 9.99"] and width_of(words, HAND) > 10


def test_a_stock_gives_hands_in_its_faces() -> None:
    hand = PILLOW.hand(random.Random(0), 20, (0, 0, 0), "hand")
    assert hand.face == Face("", name="Pillow") and hand.style == "hand" and hand.at(30).size == 30


@needs_chinese
def test_chinese_lines_have_no_spaces_and_do_not_begin_with_a_stop() -> None:
    chinese = stock(chinese=True)
    for seed in range(10):
        rng = random.Random(seed)
        canvas = page()
        tokens = chinese.phrases(rng).paragraph(4)
        set_paragraph(canvas, tokens, (20, 10, 240, 300), chinese.hand(rng, 18, (0, 0, 0)), canvas.block("text"))
        written = lines_of(canvas)
        assert "".join(tokens).startswith("".join(written)) and len(written) > 2
        assert not any(line[0] in "，。" for line in written)
