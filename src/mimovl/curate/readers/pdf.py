"""PDF files → interleaved documents: texts and pictures of the pages in reading order, running headers left out.

    reader: pdf
    path: books/

A long file becomes several records, ``name#p1``, ``name#p65``, …, each with at most ``pages_per_sample`` pages.

Reasons of drops: those of :mod:`document_files <mimovl.curate.readers.document_files>`, password, damaged_pdf,
no_pages, not_pdf, no_text (a scan, or an empty page), garbled_text (fonts that do not say what their shapes mean).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, Literal

from pydantic import Field

from mimovl.curate.interleaved.blocks import document, plain_text
from mimovl.curate.interleaved.language import language_of
from mimovl.curate.interleaved.pdf_document import BrokenPdfError, PdfPiece, has_pictures, open_pdf, read_pdf
from mimovl.curate.readers.document_files import blocks_of_file, document_units, read_document
from mimovl.curate.step import Dropped, Reader, Unit
from mimovl.types import Sample

__all__ = ["PdfReader"]

_HEADER = 1024
"""Bytes at the beginning of a file within which ``%PDF`` must stand."""
_MAX_UNREADABLE = 0.2


class PdfReader(Reader):
    """PDF files of a folder, or one file."""

    reader: Literal["pdf"] = "pdf"
    path: str
    """A folder, looked through to its depth, or one file; ``.pdf`` and ``.pdf.gz``."""
    source: str = "pdf"
    """The source that the samples name."""
    pages_per_sample: int = Field(default=64, ge=1)
    """At most so many pages in one record; what is held in memory at once."""
    max_pages: int = Field(default=10_000, ge=1)
    """Pages beyond are not read."""
    max_bytes: int = Field(default=1 << 30, ge=1)
    """A larger file is dropped."""
    pictures: bool = True
    """Whether to take pictures."""
    min_characters: int = Field(default=1, ge=1)
    """A piece with less text is dropped as no_text."""

    def units(self) -> list[Unit]:
        """One unit a file."""
        return document_units(self.path, (".pdf",))

    def read(self, unit: Unit) -> Iterator[tuple[str, Sample | Dropped]]:
        """The document, or its pieces."""
        path = str(unit.where)
        opened = _open(path, unit.name, self.max_bytes)
        if isinstance(opened, Dropped):
            yield unit.name, opened
            return
        (shown, masks), source = opened
        try:
            pdf = open_pdf(source, name=unit.name)
        except BrokenPdfError as error:
            yield unit.name, Dropped(error.reason, str(error))
            return
        try:
            title = str(pdf.get_metadata_value("Title") or "").strip()
            for piece in read_pdf(
                pdf,
                pages_per_piece=self.pages_per_sample,
                max_pages=self.max_pages,
                pictures=self.pictures and shown,
                masks=masks,
            ):
                whole = piece.first == 1 and piece.last == piece.num_pages
                sample_id = unit.name if whole else f"{unit.name}#p{piece.first}"
                yield sample_id, self._record(sample_id, unit.name, title, piece)
        finally:
            pdf.close()

    def _record(self, sample_id: str, name: str, title: str, piece: PdfPiece) -> Sample | Dropped:
        pages = f"pages {piece.first} to {piece.last} of {piece.num_pages}"
        if piece.pages_failed == piece.last - piece.first + 1:
            return Dropped("damaged_pdf", f"{name}: none of {pages} can be opened")
        if piece.characters < self.min_characters:
            return Dropped("no_text", f"{name}: {piece.characters} characters on {pages}")
        if piece.unreadable > _MAX_UNREADABLE * piece.characters:
            return Dropped(
                "garbled_text",
                f"{name}: {piece.unreadable} of {piece.characters} characters have no meaning on {pages}",
            )
        meta: dict[str, Any] = {
            "document": name,
            "site": PurePosixPath(name).parent.as_posix(),
            "pages": [piece.first, piece.last],
        }
        if title:
            meta["title"] = title
        if piece.pages_failed:
            meta["pages_failed"] = piece.pages_failed
        if piece.pictures_left_out:
            meta["pictures_dropped"] = dict(sorted(piece.pictures_left_out.items()))
        language = language_of(plain_text(piece.blocks))
        return document(sample_id, piece.blocks, source=self.source, language=language, meta=meta)


def _open(path: str, name: str, max_bytes: int) -> tuple[tuple[bool, bool], Any] | Dropped:
    """Whether the file holds pictures and masks, and what PDFium is to open: the path, or a gzipped file's bytes."""
    if path.lower().endswith(".gz"):
        data = read_document(path, max_bytes)
        if isinstance(data, Dropped):
            return data
        head, shown, source = data[:_HEADER], has_pictures(iter((data,))), data
    else:
        head, size = b"", 0
        try:
            for block in blocks_of_file(path):
                head, size = head or block[:_HEADER], size + len(block)
                if size > max_bytes:
                    return Dropped("too_large", f"{name} is larger than {max_bytes} bytes")
            shown = has_pictures(blocks_of_file(path))
        except OSError as error:
            return Dropped("unreadable_file", f"{name}: {error.strerror or error}")
        if not size:
            return Dropped("empty_file", f"{name} has no bytes")
        source = path  # type: ignore[assignment]
    if b"%PDF" not in head:
        return Dropped("not_pdf", f"{name} does not begin with %PDF")
    return shown, source
