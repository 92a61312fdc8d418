"""A PDF file → documents of at most so many pages, blocks in reading order with pictures in place.

Memory holds the text and pictures of one such piece, whatever the length of the file: pages are opened one by one and
closed again. Running headers are known from the pages before, so a short last piece is cleaned like the others.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mimovl.curate.interleaved.blocks import Block
from mimovl.curate.interleaved.furniture import without_furniture
from mimovl.curate.interleaved.layout import Flow, Placed, order_page
from mimovl.curate.interleaved.paragraphs import Hyphens, body_height, flow_blocks, join_flows
from mimovl.curate.interleaved.pdf_page import Segment, page_segments, page_size, pdfium
from mimovl.curate.interleaved.pdf_pictures import page_pictures
from mimovl.errors import DataError

__all__ = ["BrokenPdfError", "PdfPiece", "has_pictures", "open_pdf", "read_pdf"]

_CONTEXT = 8
"""Pages before a piece from which its running headers are known."""
_PICTURE = re.compile(rb"/Subtype\s*/Image\b")
_MASK = re.compile(rb"/S?Mask\s*[\d\[]")
_MEANINGLESS = re.compile("[\ue000-\uf8ff\ufffd]")


class BrokenPdfError(DataError):
    """A PDF that cannot be read; ``reason`` is a short stable word for counting drops."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(slots=True)
class PdfPiece:
    """Consecutive pages of a PDF. ``first`` and ``last`` count from 1."""

    first: int
    last: int
    num_pages: int
    blocks: list[Block]
    pictures_left_out: Counter[str] = field(default_factory=Counter)
    pages_failed: int = 0
    characters: int = 0
    unreadable: int = 0
    """Characters that have no meaning: fonts without a table of what their shapes are."""


def open_pdf(source: Any, *, name: str) -> Any:
    """An open document.

    Args:
        source: a path, or the bytes of a file.
        name: used in errors.

    Raises:
        BrokenPdfError: ``password``, ``damaged_pdf`` or ``no_pages``.
        MissingExtraError: pypdfium2 is not installed.
    """
    helper, raw = pdfium()
    locked = (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY)
    try:
        document = helper.PdfDocument(source)
    except (helper.PdfiumError, ValueError, OSError) as error:
        if getattr(error, "err_code", None) in locked and _is_locked(helper, source, locked):
            raise BrokenPdfError(f"{name} is locked by a password", reason="password") from None
        raise BrokenPdfError(f"{name} is no PDF that can be opened: {error}", reason="damaged_pdf") from None
    if len(document) < 1:
        document.close()
        raise BrokenPdfError(f"{name} has no pages", reason="no_pages")
    return document


def _is_locked(helper: Any, source: Any, locked: tuple[int, int]) -> bool:
    """Whether it is this file that is locked: PDFium may give the error of the file before, so that one is replaced."""
    code = None
    for again in (b"no PDF", source):
        try:
            helper.PdfDocument(again).close()
        except (helper.PdfiumError, ValueError, OSError) as error:
            code = getattr(error, "err_code", None)
    return code in locked


def has_pictures(blocks: Iterator[bytes]) -> tuple[bool, bool]:
    """Whether a file holds any picture stream, and any with a mask: looking for one on every page costs time.

    A picture is a stream, and the dictionary of a stream is never compressed or encrypted.
    """
    tail, pictures, masks = b"", False, False
    for block in blocks:
        near = tail + block
        pictures = pictures or _PICTURE.search(near) is not None
        masks = masks or _MASK.search(near) is not None
        tail = block[-64:]
    return pictures, masks


def read_pdf(
    document: Any, *, pages_per_piece: int = 64, max_pages: int = 10_000, pictures: bool = True, masks: bool = True
) -> Iterator[PdfPiece]:
    """The document in pieces.

    Args:
        document: what :func:`open_pdf` returned; the caller closes it.
        pages_per_piece: at most so many pages in one.
        max_pages: pages beyond are not read.
        pictures: whether to look for pictures.
        masks: whether the file has pictures with a mask (:func:`has_pictures`).
    """
    helper, _ = pdfium()
    total = len(document)
    before: list[tuple[list[Segment], float]] = []
    for start in range(0, min(total, max_pages), pages_per_piece):
        end = min(total, max_pages, start + pages_per_piece)
        piece = PdfPiece(start + 1, end, total, [])
        found: list[tuple[list[Segment], float]] = []
        placed: list[list[Placed]] = []
        for index in range(start, end):
            try:
                segments, height, shown = _page(document, index, pictures, masks, piece.pictures_left_out)
            except (helper.PdfiumError, ValueError, OSError, MemoryError):
                piece.pages_failed += 1
                segments, height, shown = [], 0.0, []
            found.append((segments, height))
            placed.append(shown)
        known = before + found
        clean = without_furniture([segments for segments, _ in known], [height for _, height in known])[len(before) :]
        _fill(piece, clean, placed)
        yield piece
        before = known[-_CONTEXT:]


def _page(
    document: Any, index: int, pictures: bool, masks: bool, left_out: Counter[str]
) -> tuple[list[Segment], float, list[Placed]]:
    page = document[index]
    try:
        size = page_size(page)
        segments = page_segments(page, size)
        if not pictures:
            return segments, size.height, []
        shown = page_pictures(document, page, size, has_text=bool(segments), left_out=left_out, masks=masks)
        return segments, size.height, shown
    finally:
        page.close()


def _fill(piece: PdfPiece, pages: Sequence[Sequence[Segment]], placed: Sequence[Sequence[Placed]]) -> None:
    flows: list[list[Flow]] = [order_page(one, two) for one, two in zip(pages, placed, strict=True)]
    hyphens = Hyphens(segment.text for segments in pages for segment in segments)
    body = body_height(flows)
    pieces: list[tuple[Block, bool]] = []
    for number, columns in enumerate(flows, piece.first):
        for flow in columns:
            pieces += flow_blocks(flow, number, body, hyphens)
    piece.blocks = join_flows(pieces, hyphens)
    for block in piece.blocks:
        piece.characters += len(block.text)
        if not block.text.isascii():
            piece.unreadable += len(_MEANINGLESS.findall(block.text))
