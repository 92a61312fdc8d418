"""How much there is to see in a picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mimovl.curate.interleaved.blocks import picture
from mimovl.curate.interleaved.picture_facts import picture_facts
from mimovl.errors import MediaError
from mimovl.types import Media
from tests.curate.interleaved.pdf_pages import photo


def encoded(image: Image.Image, form: str = "PNG") -> Media:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return picture(buffer.getvalue())


def gradient() -> Image.Image:
    return Image.fromarray(np.tile(np.linspace(0, 255, 400, dtype=np.uint8), (300, 1)))


def drawing() -> Image.Image:
    image = Image.new("L", (400, 300), "white")
    pen = ImageDraw.Draw(image)
    for n in range(6):
        pen.rectangle((20 + 60 * n, 250 - 30 * n, 60 + 60 * n, 280), outline="black", width=3)
        pen.text((20 + 60 * n, 20), f"bar {n}", fill="black")
    return image


def test_blanks_and_gradients_hold_nothing_drawings_some_photos_most() -> None:
    blank = picture_facts(encoded(Image.new("RGB", (400, 300), "navy"))).information
    slow = picture_facts(encoded(gradient())).information
    drawn = picture_facts(encoded(drawing())).information
    full = picture_facts(picture(photo(1, (400, 300)))).information
    assert blank == 0 and slow < 0.15 < 0.3 < drawn < full


def test_a_jpeg_and_a_png_of_one_picture_hold_the_same() -> None:
    image = Image.open(io.BytesIO(photo(1, (400, 300))))
    jpeg, png = picture_facts(encoded(image, "JPEG")).information, picture_facts(encoded(image)).information
    assert jpeg == pytest.approx(png, rel=0.1)


def test_sides_are_those_of_the_picture() -> None:
    facts = picture_facts(picture(photo(1, (400, 100))))
    assert (facts.width, facts.height, facts.aspect) == (400, 100, 4.0)


def test_a_cut_off_picture_is_an_error_with_a_reason() -> None:
    for form in ("JPEG", "PNG"):
        data = photo(1, (400, 300), form)
        with pytest.raises(MediaError) as caught:
            picture_facts(Media("x", "image", data[: len(data) // 2], 400, 300))
        assert caught.value.reason
