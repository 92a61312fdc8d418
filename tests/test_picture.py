import io

import numpy as np
import pytest
from PIL import Image

from mimovl.errors import MediaError
from mimovl.picture import FORMATS, MAX_HEADER_PIXELS, as_file, decoding, opened, to_rgb
from tests.curate.pictures import encoded


def test_formats_that_would_start_another_program_are_not_read() -> None:
    assert "EPS" not in FORMATS
    with pytest.raises(MediaError) as caught:
        opened(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a")
    assert caught.value.reason == "not_an_image"


def test_a_header_is_read_without_decoding_and_claims_are_limited() -> None:
    assert opened(encoded(Image.new("L", (70, 30)), "PNG"), "a").size == (70, 30)
    huge = encoded(Image.new("1", (20_000, 10_000)), "PNG")
    assert 20_000 * 10_000 > MAX_HEADER_PIXELS
    with pytest.raises(MediaError, match="20") as caught:
        opened(huge, "bomb")
    assert caught.value.reason == "too_many_pixels"


def test_a_file_is_read_from_its_beginning() -> None:
    file = io.BytesIO(b"abc")
    file.seek(2)
    assert as_file(file).read() == as_file(b"abc").read() == b"abc"


def test_wide_grey_is_scaled_and_transparency_lies_over_white() -> None:
    wide = Image.fromarray(np.array([[0, 257 * 100, 65535]], np.uint16))
    assert np.asarray(to_rgb(wide))[0, :, 0].tolist() == [0, 100, 255]
    clear = Image.new("RGBA", (1, 1), (9, 9, 9, 0))
    assert to_rgb(clear).getpixel((0, 0)) == (255, 255, 255)


def test_a_decoder_that_raises_anything_is_a_media_error_but_memory_is_not() -> None:
    with pytest.raises(MediaError) as caught, decoding("a", "damaged", "corrupt_image"):
        raise KeyError("tag")
    assert caught.value.reason == "corrupt_image"
    with pytest.raises(MemoryError), decoding("a", "damaged", "corrupt_image"):
        raise MemoryError
