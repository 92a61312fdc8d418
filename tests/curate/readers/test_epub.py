"""EPUB books become documents of whole chapters, or are dropped with the reason."""

from __future__ import annotations

from pathlib import Path

from mimovl.curate.interleaved.blocks import blocks_of
from mimovl.curate.readers.epub import EpubReader
from mimovl.curate.step import Dropped
from mimovl.media_check import check_media
from mimovl.types import Sample
from tests.curate.interleaved.books import write_epub
from tests.curate.interleaved.pdf_pages import photo

CHAPTER = (
    "<h1>Chapter {0}</h1><p>This is the text of chapter {0}, and it has a picture.</p><img src='img/a.jpg' alt='A'/>"
)


def read(folder: Path, **options: object) -> list[tuple[str, Sample | Dropped]]:
    reader = EpubReader(path=str(folder), **options)
    return [record for unit in reader.units() for record in reader.read(unit)]


def book(path: Path, chapters: int = 3, **more: bytes) -> Path:
    members = {"OEBPS/img/a.jpg": photo(1), **more}
    return write_epub(path, {f"c{n}": CHAPTER.format(n) for n in range(1, chapters + 1)}, members)


def test_a_book_is_a_document_in_the_order_of_its_chapters(tmp_path: Path) -> None:
    book(tmp_path / "b.epub")
    ((name, sample),) = read(tmp_path)
    assert name == "b.epub" and isinstance(sample, Sample)
    assert [block.kind for block in blocks_of(sample)] == ["heading", "text", "picture"] * 3
    assert [block.text for block in blocks_of(sample)][::3] == ["Chapter 1", "Chapter 2", "Chapter 3"]
    assert sample.meta["title"] == "A Book" and sample.meta["chapters"] == [1, 3] and sample.language == "en"
    check_media(sample)


def test_a_long_book_becomes_records_of_whole_chapters(tmp_path: Path) -> None:
    book(tmp_path / "b.epub", 5)
    found = read(tmp_path, characters_per_sample=100)
    assert [name for name, _ in found] == ["b.epub#c1", "b.epub#c3", "b.epub#c5"]


def test_a_bomb_among_the_pictures_costs_the_picture_only(tmp_path: Path) -> None:
    book(tmp_path / "b.epub", 1, **{"OEBPS/img/a.jpg": bytes(70 << 20)})
    ((_, sample),) = read(tmp_path)
    assert isinstance(sample, Sample) and sample.meta["pictures_dropped"] == {"zip_bomb": 1}


def test_a_bomb_among_the_chapters_ends_the_book(tmp_path: Path) -> None:
    book(tmp_path / "b.epub", 2, **{"OEBPS/c2.xhtml": bytes(70 << 20)})
    (_, found), *_ = read(tmp_path)
    assert isinstance(found, Dropped) and found.reason == "zip_bomb"


def test_what_is_no_book_is_dropped_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "b.epub").write_bytes(b"no zip")
    ((name, found),) = read(tmp_path)
    assert name == "b.epub" and isinstance(found, Dropped) and found.reason == "not_epub"


def test_a_book_of_nothing_has_no_text(tmp_path: Path) -> None:
    write_epub(tmp_path / "b.epub", {"c": "<nav>x</nav>"})
    ((_, found),) = read(tmp_path)
    assert isinstance(found, Dropped) and found.reason == "no_text"
