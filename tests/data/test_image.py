import io
import resource
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mimovl.data.image import (
    IMAGE_MEAN,
    IMAGE_STD,
    ImageSettings,
    image_size,
    open_image,
    patchify,
    resized_size,
    smart_resize,
)
from mimovl.errors import DataError, MediaError
from tests.data import small
from tests.data.small import encoded, noise

PICTURE = noise(40, 30)


def pixels(image):
    return np.asarray(image).astype(int)


def png(width, height, *, body=b"\x00" * 100, extra=b""):
    """A PNG whose header claims any size."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    idat = chunk(b"IDAT", zlib.compress(body))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + idat + extra + chunk(b"IEND", b"")


# ---------------------------------------------------------------- sizes


@settings(max_examples=300)
@given(height=st.integers(1, 5000), width=st.integers(1, 5000), most=st.integers(16, 4096))
def test_a_resized_side_divides_by_28_and_the_area_is_within_bounds(height, width, most):
    if max(height, width) > 200 * min(height, width):
        return
    least = 4 * 784
    new_height, new_width = smart_resize(height, width, min_pixels=least, max_pixels=most * 784)
    assert new_height % 28 == new_width % 28 == 0
    assert min(new_height, new_width) >= 28
    assert least <= new_height * new_width
    # Only a very long picture may exceed the largest area: its short side cannot go below 28.
    assert new_height * new_width <= most * 784 or min(new_height, new_width) == 28


@given(rows=st.integers(2, 60), columns=st.integers(2, 60))
def test_a_size_that_fits_is_left_alone(rows, columns):
    """So boxes in absolute pixels need no rescaling where pictures are made to size."""
    assert smart_resize(28 * rows, 28 * columns) == (28 * rows, 28 * columns)


@given(height=st.integers(28, 3000), width=st.integers(28, 3000))
def test_resizing_twice_is_resizing_once(height, width):
    once = smart_resize(height, width)
    assert smart_resize(*once) == once


def test_proportions_and_empty_sizes_are_refused_with_their_reason():
    with pytest.raises(MediaError, match="201×1 pixels is more than 200 times") as caught:
        smart_resize(1, 201)
    assert caught.value.reason == "aspect_ratio"
    with pytest.raises(MediaError, match="0×5 pixels has no area") as caught:
        smart_resize(5, 0)
    assert caught.value.reason == "empty_image"


def test_the_bounds_of_the_settings_are_used():
    assert resized_size(1000, 1000, ImageSettings(max_pixels=28 * 28 * 100)) == (280, 280)
    assert resized_size(10, 10, ImageSettings(min_pixels=28 * 28 * 9)) == (84, 84)


# ---------------------------------------------------------------- decoding


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM", "WEBP", "GIF", "TGA"])
def test_lossless_formats_give_the_same_pixels(format):
    image = PICTURE.quantize(64).convert("RGB") if format == "GIF" else PICTURE
    data = encoded(image, format, **({"lossless": True} if format == "WEBP" else {}))
    assert (pixels(open_image(data)) == pixels(image)).all()
    assert image_size(data) == (30, 40)


@pytest.mark.parametrize("format", ["JPEG", "AVIF", "JPEG2000"])
def test_lossy_formats_give_nearly_the_same_pixels(format):
    smooth = Image.linear_gradient("L").resize((40, 30)).convert("RGB")
    assert abs(pixels(open_image(encoded(smooth, format))) - pixels(smooth)).max() < 12


def test_cmyk_becomes_rgb():
    image = Image.new("CMYK", (20, 10), (255, 0, 0, 0))
    red, green, blue = open_image(encoded(image, "JPEG")).getpixel((5, 5))
    assert red < 30 and green > 150 and blue > 150


def test_sixteen_bit_grey_is_scaled_and_not_clipped():
    grey = np.array([[0, 257, 32768, 65535]], dtype=np.uint16).repeat(3, axis=0)
    for options in ({}, {"transparency": 0}):
        data = encoded(Image.fromarray(grey), "PNG", **options)
        assert [open_image(data).getpixel((x, 0)) for x in range(4)] == [(0,) * 3, (1,) * 3, (127,) * 3, (255,) * 3]


def test_a_palette_keeps_its_colours():
    image = PICTURE.quantize(16)
    assert (pixels(open_image(encoded(image))) == pixels(image.convert("RGB"))).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB", "L", "1"])
def test_transparency_lies_over_white(mode):
    """By an alpha channel, a palette entry, or one colour that stands for nothing."""
    black = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    if mode in ("RGBA", "LA"):
        data = encoded(black.convert(mode))
    else:
        data = encoded(Image.new(mode, (8, 8), 0), transparency=(0, 0, 0) if mode == "RGB" else 0)
    assert open_image(data).getpixel((4, 4)) == (255, 255, 255)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_and_the_size_tells_it(format, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    corner = Image.new("RGB", (60, 30), "white")
    corner.paste((255, 0, 0), (0, 0, 20, 10))
    data = encoded(corner, format, exif=exif)
    image = open_image(data)
    assert image_size(data) == (image.height, image.width) == ((60, 30) if orientation > 4 else (30, 60))
    right = orientation in (2, 3, 6, 7)
    bottom = orientation in (3, 4, 7, 8)
    x, y = (image.width - 4 if right else 3), (image.height - 4 if bottom else 3)
    red, green, _ = image.getpixel((x, y))
    assert red > 200 and green < 60


def test_a_png_whose_exif_follows_its_pixels_is_turned_and_its_size_tells_it():
    exif = Image.Exif()
    exif[0x0112] = 6
    raw = exif.tobytes().removeprefix(b"Exif\x00\x00")
    chunk = struct.pack(">I", len(raw)) + b"eXIf" + raw + struct.pack(">I", zlib.crc32(b"eXIf" + raw))
    data = png(4, 2, body=(b"\x00" + b"\x07" * 12) * 2, extra=chunk)
    assert image_size(data) == (4, 2)
    assert open_image(data).size == (2, 4)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_is_no_reason_to_lose_a_picture():
    for exif in (b"Exif\0\0garbage!", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"):
        data = encoded(PICTURE, "JPEG", exif=exif)
        assert image_size(data) == (30, 40)
        assert open_image(data).size == (40, 30)


def test_an_animation_used_as_a_picture_is_its_first_frame():
    frames = [noise(20, 20, seed) for seed in range(3)]
    data = encoded(frames[0], save_all=True, append_images=frames[1:], duration=100)
    assert (pixels(open_image(data)) == pixels(frames[0])).all()


# ---------------------------------------------------------------- refusals


def reason(data, read=open_image):
    with pytest.raises(MediaError, match="^the file: ") as caught:
        read(data, name="the file")
    assert isinstance(caught.value, DataError)
    assert "0x" not in str(caught.value), "an address in memory is no help"
    return caught.value.reason


@pytest.mark.parametrize("read", [open_image, image_size])
def test_an_empty_file_and_a_file_of_another_kind(read):
    assert reason(b"", read) == "empty_file"
    for data in (b"x", b"<svg/>", b"%PDF-1.7", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", encoded(PICTURE)[:20]):
        assert reason(data, read) in ("not_an_image", "corrupt_image")


def test_postscript_is_not_handed_to_an_interpreter(monkeypatch):
    import subprocess

    monkeypatch.setattr(subprocess, "check_call", lambda *a, **k: pytest.fail("an interpreter was started"))
    assert reason(encoded(PICTURE, "EPS")) == "not_an_image"


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_truncated_picture(format):
    data = encoded(noise(100, 100), format)
    assert reason(data[: len(data) // 2]) in ("corrupt_image", "not_an_image")


@settings(max_examples=200)
@given(format=st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "ICO", "TGA", "PPM"]), data=st.data())
@pytest.mark.filterwarnings("ignore")
def test_any_damage_gives_a_picture_or_a_reason(format, data):
    """Flipped, dropped and doubled bytes anywhere: never another exception."""
    raw = bytearray(encoded(PICTURE, format))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(raw) - 1))
        action = data.draw(st.sampled_from(["flip", "drop", "double"]))
        if action == "flip":
            raw[place] ^= data.draw(st.integers(1, 255))
        elif action == "drop":
            del raw[place]
        else:
            raw[place:place] = raw[place : place + 3]
    for read in (open_image, image_size):
        try:
            read(bytes(raw))
        except MediaError as error:
            assert error.reason in ("corrupt_image", "not_an_image", "too_many_pixels")


@pytest.mark.parametrize("read", [open_image, image_size])
@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF"])
def test_a_header_of_50000_by_50000_is_refused_without_decoding(read, kind):
    """Neither time nor memory is spent on it: 7.5 GB decoded, a megabyte allowed here."""
    side = 50_000
    if kind == "PNG":
        data = png(side, side)
    elif kind == "BMP":
        raw = bytearray(encoded(PICTURE, "BMP"))
        struct.pack_into("<ii", raw, 18, side, side)
        data = bytes(raw)
    else:
        raw = bytearray(encoded(PICTURE.quantize(8), "GIF"))
        struct.pack_into("<HH", raw, 6, side, side)
        data = bytes(raw)
    open_image(encoded(PICTURE, "TIFF"))  # PIL has loaded its plugins
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    try:
        assert reason(data, read) == "too_many_pixels"
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB
    with pytest.raises(MediaError, match=r"2500000000|2,500,000,000"):
        read(data)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_large_header_within_the_limit_is_read_without_decoding():
    assert image_size(png(12_000, 12_000)) == (12_000, 12_000)
    with pytest.raises(MediaError, match="limit"):
        image_size(png(14_000, 14_000))


# ---------------------------------------------------------------- patches


def test_every_value_of_a_patch_is_the_pixel_it_stands_for():
    """Frame pairs, then cells row by row, then the four patches of a cell; channel, frame, row, column within."""
    frames = [noise(56, 84, seed) for seed in range(3)]
    patches = patchify(frames, (84, 56), ImageSettings())
    assert patches.shape == (2 * 6 * 4, 1176)
    values = patches.view(2, 3, 2, 2, 2, 3, 2, 14, 14)  # pair, cell row, cell column, row, column, c, frame, y, x
    rng = np.random.default_rng(0)
    for _ in range(200):
        pair, down, right, row, column, channel, frame, y, x = (int(rng.integers(size)) for size in values.shape)
        source = frames[min(2 * pair + frame, 2)]  # the odd last frame is doubled
        pixel = source.getpixel(((2 * right + column) * 14 + x, (2 * down + row) * 14 + y))[channel]
        expected = (pixel / 255 - IMAGE_MEAN[channel]) / IMAGE_STD[channel]
        assert abs(values[pair, down, right, row, column, channel, frame, y, x].item() - expected) < 1e-5


def test_a_picture_fills_both_frames_of_its_pair():
    patches = patchify([noise(56, 56)], (56, 56), ImageSettings()).view(-1, 3, 2, 14, 14)
    assert torch.equal(patches[:, :, 0], patches[:, :, 1])


def test_a_picture_of_its_own_size_is_not_resampled():
    plain = patchify([PICTURE.resize((56, 28))], (28, 56), ImageSettings())
    assert torch.equal(
        plain, patchify([Image.fromarray(np.asarray(PICTURE.resize((56, 28))))], (28, 56), ImageSettings())
    )
    wider = patchify([PICTURE.resize((56, 28))], (28, 84), ImageSettings())
    assert wider.shape == (12, 1176)


def test_other_patch_sizes_are_followed():
    settings_ = ImageSettings(patch_size=8, merge_size=3, temporal_patch_size=1)
    assert settings_.factor == 24
    assert patchify([noise(48, 72)], (72, 48), settings_).shape == (54, 192)


def test_pictures_need_not_be_files():
    buffer = io.BytesIO()
    PICTURE.save(buffer, "PNG")
    assert small.encoded(PICTURE) == buffer.getvalue()
