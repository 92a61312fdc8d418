import io
import random
import struct
import zlib
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from mimovl.curate.decode import REASONS, decode
from mimovl.curate.signature import sign
from mimovl.data.image import open_image
from mimovl.errors import MediaError
from tests.curate.pictures import encoded, small_photo

PHOTO = small_photo(1)


def reason_of(data: bytes) -> str:
    try:
        decode(data)
    except MediaError as error:
        return error.reason
    return ""


def wide_png(values: np.ndarray, colour: int) -> bytes:
    """A PNG of 16-bit samples, written by hand: PIL writes no 16-bit colour."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def good_files() -> dict[str, bytes]:
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [small_photo(seed, 64, 48) for seed in range(3)]
    return {
        "jpeg": encoded(PHOTO),
        "progressive": encoded(PHOTO, progressive=True),
        "cmyk": encoded(PHOTO.convert("CMYK")),
        "turned": encoded(PHOTO, exif=exif),
        "png": encoded(PHOTO, "PNG"),
        "palette": encoded(PHOTO.quantize(64), "PNG"),
        "16-bit grey": wide_png(np.asarray(PHOTO.convert("L")).astype(np.uint16) * 257, 0),
        "16-bit colour": wide_png(np.asarray(PHOTO).astype(np.uint16) * 257, 2),
        "webp": encoded(PHOTO, "WEBP", lossless=True),
        "animated webp": encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True),
        "gif": encoded(PHOTO.quantize(64), "GIF"),
        "animated gif": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "animated png": encoded(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        "tiff": encoded(PHOTO, "TIFF", compression="tiff_lzw"),
        "two pages": encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:]),
        "transparent": encoded(PHOTO.convert("RGBA"), "PNG"),
    }


@pytest.mark.parametrize("name", good_files())
def test_what_is_decoded_training_reads_to_the_same_pixels(name: str) -> None:
    data = good_files()[name]
    assert np.array_equal(np.asarray(decode(data).image), np.asarray(open_image(data)))


@pytest.mark.parametrize("name", ["png", "16-bit colour", "webp", "tiff", "transparent"])
def test_lossless_files_come_back_as_they_were(name: str) -> None:
    assert np.array_equal(np.asarray(decode(good_files()[name]).image), np.asarray(PHOTO))


def test_cmyk_wide_grey_and_palettes_are_decoded_close_to_the_original() -> None:
    files = good_files()
    original = np.asarray(PHOTO, np.int16)
    assert np.abs(np.asarray(decode(files["cmyk"]).image) - original).mean() < 8
    assert np.array_equal(np.asarray(decode(files["16-bit grey"]).image)[:, :, 0], np.asarray(PHOTO.convert("L")))
    assert np.abs(np.asarray(decode(files["palette"]).image) - original).mean() < 20


def test_exif_turns_the_picture_upright() -> None:
    upright = np.asarray(decode(good_files()["turned"]).image)
    assert np.array_equal(upright, np.rot90(np.asarray(decode(good_files()["jpeg"]).image), -1))


def test_of_an_animation_the_first_frame_is_read_and_said_so() -> None:
    for name in ("animated webp", "animated png", "two pages"):
        decoded = decode(good_files()[name])
        assert decoded.animated and np.array_equal(np.asarray(decoded.image), np.asarray(small_photo(0, 64, 48)))
    assert decode(good_files()["animated gif"]).animated and not decode(good_files()["gif"]).animated


def test_content_decides_what_a_file_is() -> None:
    assert (decode(good_files()["webp"]).format, decode(good_files()["tiff"]).format) == ("WEBP", "TIFF")


@pytest.mark.parametrize("name", ["jpeg", "progressive", "png", "gif", "tiff"])
def test_a_file_that_ends_early_is_refused(name: str) -> None:
    data = good_files()[name]
    assert reason_of(data[: len(data) * 2 // 3]) in ("truncated", "corrupt_image")
    assert name not in ("jpeg", "progressive", "png") or reason_of(data[: len(data) * 2 // 3]) == "truncated"


def test_bombs_are_refused_by_their_header() -> None:
    data = bytearray(encoded(Image.new("L", (8, 8)), "PNG"))
    data[16:24] = struct.pack(">II", 60_000, 60_000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    assert reason_of(bytes(data)) == "too_many_pixels"
    progressive = good_files()["progressive"]
    scan = progressive.rindex(b"\xff\xda")
    assert reason_of(progressive[:-2] + progressive[scan:-2] * 600 + b"\xff\xd9") == "too_many_scans"
    with pytest.raises(MediaError, match="24,576 pixels, the limit is 1,000"):
        decode(encoded(PHOTO), max_pixels=1000)


def test_float_pixels_of_unknown_range_are_refused_not_clipped() -> None:
    unit = Image.fromarray(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8))
    assert reason_of(encoded(unit, "TIFF")) == "value_range"
    bytes_like = Image.fromarray(np.linspace(0, 255, 64, dtype=np.float32).reshape(8, 8))
    assert reason_of(encoded(bytes_like, "TIFF")) == ""
    assert reason_of(encoded(Image.fromarray(np.full((8, 8), 1 << 20, np.int32)), "TIFF")) == "value_range"


def broken_files(count: int) -> list[bytes]:
    """Files cut, emptied, overwritten, mixed up, and bombs."""
    rng = random.Random(0)
    good = list(good_files().values())
    files = []
    for number in range(count):
        data = bytearray(rng.choice(good))
        kind = number % 6
        if kind == 0:
            del data[rng.randrange(1, len(data)) :]
        elif kind == 1:
            for _ in range(rng.randrange(1, 60)):
                data[rng.randrange(len(data))] = rng.randrange(256)
        elif kind == 2:
            place = rng.randrange(len(data))
            data[place : place + rng.randrange(1, 2000)] = b""
        elif kind == 3:
            data = bytearray(rng.choice((b"", b"\0" * 50, b"<html>404</html>", rng.randbytes(500))))
        elif kind == 4:
            data = data[: len(data) // 2] + bytearray(rng.choice(good))[len(data) // 3 :]
        else:
            data[: rng.randrange(1, 40)] = rng.randbytes(rng.randrange(1, 40))
        files.append(bytes(data))
    return files


@pytest.mark.filterwarnings("ignore")
def test_a_thousand_broken_files_are_read_or_refused_with_a_reason_and_none_crashes() -> None:
    files = broken_files(1000)
    reasons = Counter(reason_of(data) for data in files)
    assert set(reasons) <= {"", *REASONS} and sum(reasons.values()) == 1000
    assert reasons["truncated"] > 50 and reasons["not_an_image"] > 100 and reasons["empty_file"] > 10
    signatures, refused = sign(files)
    assert len(signatures) + len(refused) == 1000 and {error.reason for error in refused.values()} <= set(REASONS)


def test_errors_name_the_file() -> None:
    with pytest.raises(MediaError, match="photos/7.jpg"):
        decode(io.BytesIO(b"GIF89a").getvalue(), name="photos/7.jpg")
