"""A folder of pictures: captions beside them, drops for what is none."""

from __future__ import annotations

from pathlib import Path

from mimovl.curate.readers.images import Images
from tests.curate.readers.reading import encoded, kept, read_all, reasons, write


def test_pictures_are_records_and_texts_beside_them_captions(tmp_path: Path) -> None:
    write(tmp_path / "b" / "2.jpg", encoded(2, kind="JPEG"))
    write(tmp_path / "b" / "2.txt", "\ufeffa bird\n")
    write(tmp_path / "1.PNG", encoded(1))
    write(tmp_path / ".hidden.png", encoded(3))
    write(tmp_path / "notes.txt", "none")
    found = kept(read_all(Images(path=str(tmp_path), unit_files=1)))
    assert list(found) == ["1.PNG", "b/2.jpg"]
    assert found["b/2.jpg"].messages[0].text == "a bird" and found["1.PNG"].messages[0].text == ""
    assert [part.type for part in found["1.PNG"].messages[0].content] == ["image"]


def test_wrong_endings_are_read_by_content_and_what_is_no_picture_is_dropped(tmp_path: Path) -> None:
    write(tmp_path / "really-png.jpg", encoded(1))
    write(tmp_path / "words.jpg", "words")
    write(tmp_path / "empty.png", b"")
    write(tmp_path / "latin.png", encoded(2))
    write(tmp_path / "latin.txt", b"caf\xe9")
    found = read_all(Images(path=str(tmp_path)))
    assert list(kept(found)) == ["really-png.jpg"]
    assert reasons(found) == {"empty.png": "empty_file", "latin.png": "bad_encoding", "words.jpg": "not_an_image"}
