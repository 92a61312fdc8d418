"""EPUB books → interleaved documents: chapters in the order of the spine, each read like a page of HTML.

    reader: epub
    path: books/

A long book becomes several records, ``name#c1``, ``name#c7``, …, each of whole chapters.

Reasons of drops: not_epub, damaged_epub, encrypted, zip_bomb, no_chapters, no_text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal

from pydantic import Field

from mimovl.curate.interleaved.blocks import Block, count, document, plain_text
from mimovl.curate.interleaved.epub_archive import BrokenEpubError, EpubArchive
from mimovl.curate.interleaved.language import language_of
from mimovl.curate.interleaved.pictures_of_pages import picture_loader
from mimovl.curate.readers.document_files import document_units
from mimovl.curate.readers.html import parse_page
from mimovl.curate.step import Dropped, Reader, Unit
from mimovl.types import Sample

__all__ = ["EpubReader"]


@dataclass(slots=True)
class _Chapters:
    """Consecutive chapters of a book. ``first`` counts from 1."""

    first: int
    last: int
    blocks: list[Block] = field(default_factory=list)
    pictures_left_out: Counter[str] = field(default_factory=Counter)
    failed: dict[str, int] = field(default_factory=dict)
    """Chapters that could not be read, by reason."""

    @property
    def characters(self) -> int:
        """Of all texts."""
        return sum(len(block.text) for block in self.blocks)


class EpubReader(Reader):
    """EPUB books of a folder, or one book."""

    reader: Literal["epub"] = "epub"
    path: str
    """A folder, looked through to its depth, or one file."""
    source: str = "epub"
    """The source that the samples name."""
    characters_per_sample: int = Field(default=200_000, ge=1)
    """A record ends with the chapter that brings it to so many characters."""
    pictures: bool = True
    """Whether to take pictures."""

    def units(self) -> list[Unit]:
        """One unit a book."""
        return document_units(self.path, (".epub",))

    def read(self, unit: Unit) -> Iterator[tuple[str, Sample | Dropped]]:
        """The book, or its pieces."""
        try:
            book = EpubArchive(str(unit.where), name=unit.name)
        except BrokenEpubError as error:
            yield unit.name, Dropped(error.reason, str(error))
            return
        try:
            for piece in self._pieces(book):
                whole = piece.first == 1 and piece.last == len(book.chapters)
                sample_id = unit.name if whole else f"{unit.name}#c{piece.first}"
                yield sample_id, self._record(sample_id, unit.name, book.title, piece)
        except BrokenEpubError as error:
            yield f"{unit.name}#", Dropped(error.reason, str(error))
        finally:
            book.close()

    def _pieces(self, book: EpubArchive) -> Iterator[_Chapters]:
        """Chapters gathered until they are long enough.

        Raises:
            BrokenEpubError: zip_bomb; the book is read no further.
        """
        piece = _Chapters(1, 0)
        for number, path in enumerate(book.chapters, 1):
            piece.last = number
            load = picture_loader(path, book.read_picture) if self.pictures else None
            try:
                page = parse_page(book.read(path), f"{book.name}: {path}", load)
            except BrokenEpubError as error:
                if error.reason == "zip_bomb":
                    raise
                page = Dropped(error.reason)
            if isinstance(page, Dropped):
                piece.failed[page.reason] = piece.failed.get(page.reason, 0) + 1
            else:
                piece.blocks += page.blocks
                piece.pictures_left_out += page.pictures_left_out
            if piece.characters >= self.characters_per_sample:
                yield piece
                piece = _Chapters(number + 1, number)
        if piece.last >= piece.first:
            yield piece

    def _record(self, sample_id: str, name: str, title: str, piece: _Chapters) -> Sample | Dropped:
        text = plain_text(piece.blocks)
        if not text:
            return Dropped("no_text", f"{name}: no text in chapters {piece.first} to {piece.last} ({piece.failed})")
        meta: dict[str, Any] = {
            "document": name,
            "site": PurePosixPath(name).parent.as_posix(),
            "chapters": [piece.first, piece.last],
        }
        if title:
            meta["title"] = title
        if piece.failed:
            meta["chapters_failed"] = count({}, "", piece.failed)
        if piece.pictures_left_out:
            meta["pictures_dropped"] = count({}, "", piece.pictures_left_out)
        return document(sample_id, piece.blocks, source=self.source, language=language_of(text), meta=meta)
