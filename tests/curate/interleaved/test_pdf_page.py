"""Segments of a page: where they stand, upright whatever the page's turn, cut where the pen jumps."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from reportlab.pdfgen.canvas import Canvas

from mimovl.curate.interleaved.pdf_document import open_pdf
from mimovl.curate.interleaved.pdf_page import PageSize, Segment, page_segments, page_size, place


def segments(draw: Callable[[Canvas], object], size: tuple[float, float] = (400, 300), turn: int = 0) -> list[Segment]:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=size)
    canvas.setPageRotation(turn)
    canvas.setFont("Times-Roman", 10)
    draw(canvas)
    canvas.save()
    pdf = open_pdf(buffer.getvalue(), name="t")
    page = pdf[0]
    found = page_segments(page, page_size(page))
    page.close()
    pdf.close()
    return found


def test_a_segment_lies_where_its_text_was_drawn() -> None:
    (one,) = segments(lambda canvas: canvas.drawString(50, 200, "hello there"))
    assert one.text == "hello there"
    assert one.x0 == pytest.approx(50, abs=1) and 90 < one.x1 < 105
    assert one.y0 < 100 < one.y1, "the baseline is 200 above the bottom of a page of 300"


def test_a_jump_cuts_and_a_wide_space_does_not() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.drawString(50, 200, "left column")
        canvas.drawString(200, 200, "right column")
        line = canvas.beginText(50, 150)
        line.setWordSpace(6)
        line.textOut("spread out words")
        canvas.drawText(line)

    assert [one.text for one in segments(draw)] == ["left column", "right column", "spread out words"]


def test_a_line_across_two_baselines_is_two_segments() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.drawString(50, 200, "left ends with a-")
        canvas.drawString(200, 190, "right begins")

    assert [one.text for one in segments(draw)] == ["left ends with a", "right begins"]
    assert segments(draw)[0].hyphen


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_turned_page_is_read_as_it_is_shown(turn: int) -> None:
    def draw(canvas: Canvas) -> None:
        canvas.translate(*{90: (300, 0), 180: (400, 300), 270: (0, 400)}[turn])
        canvas.rotate(turn)
        canvas.drawString(20, 100, "shown upright on one line")

    (one,) = segments(draw, turn=turn)
    assert one.text == "shown upright on one line"
    assert one.x1 - one.x0 > 5 * one.height and one.x0 == pytest.approx(20, abs=2)


def test_text_that_runs_up_the_page_is_left_out() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.drawString(50, 250, "body")
        canvas.rotate(90)
        canvas.drawString(50, -20, "stamp at the side")

    assert [one.text for one in segments(draw)] == ["body"]


def test_an_empty_page_has_no_segments() -> None:
    assert segments(lambda canvas: canvas.showPage()) == []


def test_a_box_turns_with_the_page() -> None:
    for turns in range(4):
        size = PageSize(0, 0, 400, 300, turns)
        x0, y0, x1, y1 = place(size, 0, 0, 400, 300)
        assert (x0, y0, x1, y1) == (0, 0, size.width, size.height)
