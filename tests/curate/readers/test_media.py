"""Pictures by bytes, paths and data URLs; no path leads out of the folder, no URL is fetched unasked."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mimovl.curate.readers.images import Images
from mimovl.curate.readers.media import inside, picture_of
from mimovl.errors import MediaError
from mimovl.picture import image_size
from tests.curate.readers.reading import encoded, write

PNG = encoded()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "in" / "a.png", PNG)
    write(tmp_path / "secret.png", PNG)
    write(tmp_path / "in" / "text.png", "words")
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "in" / "circle").symlink_to(tmp_path / "in" / "circle")
    return tmp_path / "in"


@pytest.mark.parametrize(
    "value",
    [
        PNG,
        {"bytes": PNG, "path": "elsewhere.png"},
        {"bytes": None, "path": "a.png"},
        "a.png",
        "./x/../a.png",
        "data:image/png;base64," + base64.b64encode(PNG).decode(),
        {"image_url": {"url": "data:image/png;base64," + base64.b64encode(PNG).decode()}},
    ],
)
def test_a_picture_is_had_in_every_form(folder: Path, value: Any) -> None:
    media = Images(path=".").picture(value, folder, "x")
    assert media.data == PNG and (media.width, media.height) == (40, 30)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (7, "no_picture"),
        ("", "no_picture"),
        ({}, "no_picture"),
        ("data:image/png,abc", "no_picture"),
        ("data:image/png;base64,%%%", "no_picture"),
        ("none.png", "missing_file"),
        (".", "missing_file"),
        ("a" * 5000, "missing_file"),
        ("a\0b", "missing_file"),
        ("circle", "missing_file"),
        ("../secret.png", "outside_folder"),
        ("/etc/passwd", "outside_folder"),
        ("link.png", "outside_folder"),
        ("file:///etc/passwd", "outside_folder"),
        ("http://example.org/a.png", "network_off"),
        ("ftp://example.org/a.png", "network_off"),
        ("text.png", "not_an_image"),
        (b"", "empty_file"),
    ],
)
def test_what_is_no_picture_of_the_folder_has_its_reason(folder: Path, value: Any, reason: str) -> None:
    with pytest.raises(MediaError) as caught:
        Images(path=".").picture(value, folder, "x")
    assert caught.value.reason == reason


def test_a_picture_of_too_many_bytes_is_not_read(folder: Path) -> None:
    with pytest.raises(MediaError) as caught:
        Images(path=".", max_bytes=100).picture("a.png", folder, "x")
    assert caught.value.reason == "too_large"


def test_a_root_of_its_own_takes_the_place_of_the_files_folder(folder: Path, tmp_path: Path) -> None:
    assert Images(path=".", media_root=str(folder)).picture("a.png", tmp_path / "no", "x").data == PNG
    assert inside(folder, "a.png", "x") == folder / "a.png"


@pytest.mark.parametrize("size", [(40, 30), (512, 511)])
@pytest.mark.parametrize("settings", [{}, {"progressive": True}, {"subsampling": 0}, {"comment": b"\xff\xe1 no tag"}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("turn", [0, 1, 6])
def test_a_jpegs_size_is_what_pil_says(size: tuple[int, int], settings: dict[str, Any], mode: str, turn: int) -> None:
    exif = Image.Exif()
    if turn:
        exif[0x0112] = turn
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, "JPEG", exif=exif, **settings)
    media = picture_of(buffer.getvalue(), "x")
    assert (media.height, media.width) == image_size(buffer.getvalue())
    assert (media.width, media.height) == (size[::-1] if turn == 6 else size)
