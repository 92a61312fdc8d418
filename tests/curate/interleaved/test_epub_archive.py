"""A book's archive: chapters in order, and every way it may be broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from mimovl.curate.interleaved.epub_archive import BrokenEpubError, EpubArchive
from tests.curate.interleaved.books import write_epub

ENCRYPTED = '<encryption><EncryptedData><CipherReference URI="{}"/></EncryptedData></encryption>'


def reason(path: Path, read: str = "") -> str:
    with pytest.raises(BrokenEpubError) as caught:
        book = EpubArchive(str(path), name="b.epub")
        try:
            book.read(read)
        finally:
            book.close()
    return caught.value.reason


def test_chapters_come_in_the_order_of_the_spine(tmp_path: Path) -> None:
    book = EpubArchive(str(write_epub(tmp_path / "b.epub", {"two": "b", "one": "a"})), name="b")
    assert book.chapters == ["OEBPS/two.xhtml", "OEBPS/one.xhtml"] and book.title == "A Book"
    assert b"a" in book.read("OEBPS/one.xhtml")
    book.close()


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"META-INF/container.xml": b"<a"}, "damaged_epub"),
        ({"META-INF/container.xml": b"<a/>"}, "damaged_epub"),
        ({"OEBPS/book.opf": b'<!DOCTYPE a [<!ENTITY x "y">]><a/>'}, "damaged_epub"),
        ({"OEBPS/book.opf": b"<package/>"}, "no_chapters"),
        ({"META-INF/encryption.xml": ENCRYPTED.format("OEBPS/one.xhtml").encode()}, "encrypted"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_broken_package_says_why(tmp_path: Path, more: dict[str, bytes], why: str) -> None:
    assert reason(write_epub(tmp_path / "b.epub", {"one": "a"}, more)) == why


def test_fonts_may_be_obfuscated(tmp_path: Path) -> None:
    more = {"META-INF/encryption.xml": ENCRYPTED.format("fonts/a.otf").encode()}
    EpubArchive(str(write_epub(tmp_path / "b.epub", {"one": "a"}, more)), name="b").close()


def test_a_bomb_is_cut_off_long_before_it_is_unpacked(tmp_path: Path) -> None:
    path = write_epub(tmp_path / "b.epub", {"one": "a"}, {"bomb": bytes(80 << 20)})
    assert path.stat().st_size < 1 << 20
    assert reason(path, "bomb") == "zip_bomb"


def test_files_that_are_no_books(tmp_path: Path) -> None:
    path = tmp_path / "b.epub"
    path.write_bytes(b"not a zip")
    assert reason(path) == "not_epub"
    whole = write_epub(path, {"one": "text " * 2000}).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert reason(path) == "not_epub"
    path.write_bytes(whole.replace(b"\x00\x00" + whole[60:64], b"\xff\xff" + whole[60:64], 1))
    assert reason(write_epub(path, {"one": "a"}), "missing") == "missing_member"
