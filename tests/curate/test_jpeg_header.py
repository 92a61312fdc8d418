import io

import numpy as np
import pytest
from PIL import Image

from mimovl.curate.jpeg_header import dc_scan, num_scans, read_header
from tests.curate.pictures import encoded, small_photo

PHOTO = small_photo(3)
PROGRESSIVE = encoded(PHOTO, progressive=True)


def test_the_header_says_what_pil_says() -> None:
    header = read_header(PROGRESSIVE)
    assert header is not None and (header.width, header.height, header.process) == (192, 128, 2)
    assert header.is_grey_or_ycc and PROGRESSIVE[header.scan : header.scan + 2] == b"\xff\xda"
    baseline = read_header(encoded(PHOTO))
    assert baseline is not None and baseline.process == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_read_in_either_byte_order(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a maker with a long name"
    exif[0x0112] = orientation
    for order in ("<", ">"):
        exif.endian = order
        header = read_header(encoded(PHOTO, exif=exif))
        assert header is not None and header.orientation == orientation


def test_colours_whose_first_component_is_no_brightness_are_told_apart() -> None:
    kinds = {
        "L": encoded(PHOTO.convert("L")),
        "CMYK": encoded(PHOTO.convert("CMYK")),
        "RGB": encoded(PHOTO, keep_rgb=True),
    }
    found = {name: read_header(data) for name, data in kinds.items()}
    assert {name: header is not None and header.is_grey_or_ycc for name, header in found.items()} == {
        "L": True,
        "CMYK": False,
        "RGB": False,
    }


def test_the_dc_scan_alone_is_a_jpeg_with_the_mean_of_every_block() -> None:
    header = read_header(PROGRESSIVE)
    assert header is not None
    part = dc_scan(PROGRESSIVE, header)
    assert part is not None and len(part) < len(PROGRESSIVE) / 3 and num_scans(part) == 1
    image = Image.open(io.BytesIO(part))
    image.draft("L", (24, 16))
    whole = np.asarray(PHOTO.convert("L").reduce(8), np.int16)
    # libjpeg-turbo smooths what has no finer scan, so that a cell is off by a few levels
    assert np.abs(np.asarray(image, np.int16) - whole).mean() <= 3


def test_a_cut_progressive_file_has_no_dc_scan_to_trust() -> None:
    header = read_header(PROGRESSIVE)
    assert header is not None
    assert dc_scan(PROGRESSIVE[: len(PROGRESSIVE) // 2], header) is None
    assert dc_scan(encoded(PHOTO), read_header(encoded(PHOTO))) is None  # type: ignore[arg-type]


def test_every_beginning_of_a_file_is_read_without_an_error() -> None:
    for data in (PROGRESSIVE, encoded(PHOTO)):
        for size in range(0, 700):
            read_header(data[:size])
    assert read_header(b"") is None and read_header(b"\xff\xd8\xff\xda") is None
