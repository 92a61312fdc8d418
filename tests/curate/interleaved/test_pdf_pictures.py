"""Pictures of a page: the file's own JPEG, what is seen through a mask, and what is none."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable

import numpy as np
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from mimovl.curate.interleaved.layout import Placed
from mimovl.curate.interleaved.pdf_document import open_pdf
from mimovl.curate.interleaved.pdf_page import page_size
from mimovl.curate.interleaved.pdf_pictures import page_pictures
from tests.curate.interleaved.pdf_pages import photo


def pictures(draw: Callable[[Canvas], object], *, has_text: bool = True) -> tuple[list[Placed], Counter[str]]:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(400, 300))
    draw(canvas)
    canvas.save()
    pdf = open_pdf(buffer.getvalue(), name="t")
    page = pdf[0]
    left_out: Counter[str] = Counter()
    found = page_pictures(pdf, page, page_size(page), has_text=has_text, left_out=left_out)
    page.close()
    pdf.close()
    return found, left_out


def reader(data: bytes) -> ImageReader:
    return ImageReader(io.BytesIO(data))


def test_a_jpeg_keeps_its_bytes_and_its_place() -> None:
    data = photo(3)
    (one,), left_out = pictures(lambda canvas: canvas.drawImage(reader(data), 50, 60, 160, 120))
    assert one.media.data[:2] == b"\xff\xd8" and (one.media.width, one.media.height) == (160, 120)
    assert np.array_equal(Image.open(io.BytesIO(one.media.data)), Image.open(io.BytesIO(data)))
    assert [round(side) for side in (one.x0, one.y0, one.x1, one.y1)] == [50, 120, 210, 240]
    assert not left_out


def test_a_lossless_picture_comes_out_pixel_by_pixel() -> None:
    data = photo(4, form="PNG")
    (one,), _ = pictures(lambda canvas: canvas.drawImage(reader(data), 50, 60, 160, 120))
    shown = Image.open(io.BytesIO(one.media.data)).convert("RGB")
    assert np.array_equal(shown, Image.open(io.BytesIO(data)).convert("RGB"))


def test_a_masked_picture_is_seen_over_white() -> None:
    pixels = np.zeros((60, 80, 4), dtype=np.uint8)
    pixels[:, :40] = (255, 0, 0, 255)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    (one,), _ = pictures(lambda canvas: canvas.drawImage(reader(buffer.getvalue()), 50, 60, 80, 60, mask="auto"))
    shown = np.asarray(Image.open(io.BytesIO(one.media.data)).convert("RGB"))
    high, wide = shown.shape[:2]
    assert tuple(shown[high // 2, wide // 4]) == (255, 0, 0) and tuple(shown[high // 2, 3 * wide // 4]) == (
        255,
        255,
        255,
    )


def test_a_picture_inside_a_form_is_found_where_the_form_puts_it() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.beginForm("f")
        canvas.drawImage(reader(photo(5)), 0, 0, 80, 60)
        canvas.endForm()
        canvas.translate(100, 100)
        canvas.doForm("f")

    (one,), _ = pictures(draw)
    assert [round(side) for side in (one.x0, one.y0, one.x1, one.y1)] == [100, 140, 180, 200]


def test_specks_backgrounds_and_what_lies_off_the_page_are_counted() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.drawImage(reader(photo(1, (8, 8))), 10, 10, 8, 8)
        canvas.drawImage(reader(photo(2)), 0, 0, 400, 300)
        canvas.drawImage(reader(photo(3)), 500, 0, 80, 60)

    found, left_out = pictures(draw)
    assert not found and left_out == {"speck": 1, "background": 1, "outside_page": 1}


def test_a_scan_without_text_is_a_picture() -> None:
    found, _ = pictures(lambda canvas: canvas.drawImage(reader(photo(2)), 0, 0, 400, 300), has_text=False)
    assert len(found) == 1
