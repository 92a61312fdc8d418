"""Whole files: pieces, pages that carry on, and what cannot be opened."""

from __future__ import annotations

import io
import random
import tracemalloc

import pytest
from reportlab.pdfgen.canvas import Canvas

from mimovl.curate.interleaved.pdf_document import BrokenPdfError, has_pictures, open_pdf, read_pdf
from tests.curate.interleaved.pdf_pages import draw_page, write_pdf


def book(pages: int, **options: object) -> bytes:
    rng = random.Random(pages)
    drawn = [draw_page(rng, columns=1, number=n + 1, pictures=bool(options)) for n in range(pages)]
    return write_pdf(drawn, rng, written="natural")


def test_pieces_hold_all_pages_and_know_the_header_from_the_pages_before() -> None:
    pdf = open_pdf(book(7), name="t")
    pieces = list(read_pdf(pdf, pages_per_piece=3))
    pdf.close()
    assert [(piece.first, piece.last, piece.num_pages) for piece in pieces] == [(1, 3, 7), (4, 6, 7), (7, 7, 7)]
    assert {block.page for piece in pieces for block in piece.blocks} == set(range(1, 8))
    assert not any("Drawn Pages" in block.text for piece in pieces for block in piece.blocks)


def test_pages_beyond_the_limit_are_not_read() -> None:
    pdf = open_pdf(book(4), name="t")
    assert [piece.last for piece in read_pdf(pdf, max_pages=2)] == [2]
    pdf.close()


def test_a_word_broken_at_the_end_of_a_page_is_mended() -> None:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(300, 300))
    for lines in (
        ["The page ends here, in the midst", "of a sentence that has an exam-"],
        ["ple word, and ends here."],
    ):
        for number, words in enumerate(lines):
            canvas.drawString(20, 250 - 14 * number, words)
        canvas.showPage()
    canvas.save()
    pdf = open_pdf(buffer.getvalue(), name="t")
    (piece,) = read_pdf(pdf)
    pdf.close()
    assert [block.text for block in piece.blocks] == [
        "The page ends here, in the midst of a sentence that has an example word, and ends here."
    ]


def test_memory_holds_one_piece_whatever_the_length() -> None:
    peaks = []
    for pages in (15, 45):
        data = book(pages)
        pdf = open_pdf(data, name="t")
        tracemalloc.start()
        for _ in read_pdf(pdf, pages_per_piece=5):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        pdf.close()
    assert peaks[1] < 1.5 * peaks[0]


@pytest.mark.parametrize(
    "data", [b"%PDF-1.4\n", b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer<</Root 1 0 R>>", b"x" * 999]
)
def test_what_is_no_pdf_says_so(data: bytes) -> None:
    with pytest.raises(BrokenPdfError, match="lost.pdf") as caught:
        open_pdf(data, name="lost.pdf")
    assert caught.value.reason in ("damaged_pdf", "no_pages")


def test_a_picture_stream_is_found_across_blocks() -> None:
    assert has_pictures(iter([b"<< /Type /XObject /Sub", b"type /Image /Width 3"])) == (True, False)
    assert has_pictures(iter([b"/Subtype/Image/SMa", b"sk 3 0 R>>"])) == (True, True)
    assert has_pictures(iter([b"/ProcSet [/PDF /ImageB] /SMask /None", b"/Subtype /Form"])) == (False, False)
