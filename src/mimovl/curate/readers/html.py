"""HTML files → interleaved documents: a page's own texts, tables and pictures in order.

    reader: html
    path: site/

Pictures are files beside the pages, inside ``path``; none is fetched from elsewhere, and each that is missing is
counted by reason in ``meta["pictures_dropped"]``.

Reasons of drops: those of :mod:`document_files <mimovl.curate.readers.document_files>`, binary_file, mixed_encodings,
too_deep, no_text.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field

from mimovl.curate.interleaved.blocks import document, plain_text
from mimovl.curate.interleaved.html_page import MAX_NESTING, HtmlPage, LoadPicture, read_html
from mimovl.curate.interleaved.html_text import decode_page, nesting
from mimovl.curate.interleaved.language import language_of
from mimovl.curate.interleaved.pictures_of_pages import MAX_PICTURE_BYTES, picture_loader
from mimovl.curate.readers.document_files import document_units, read_document
from mimovl.curate.step import Dropped, Reader, Unit
from mimovl.errors import MediaError
from mimovl.types import Sample

__all__ = ["HtmlReader", "parse_page"]

_MAX_BROKEN = 0.01
"""Share of characters without meaning from which a page was written in two encodings, or is no text."""


class HtmlReader(Reader):
    """HTML files of a folder, or one file."""

    reader: Literal["html"] = "html"
    path: str
    """A folder, looked through to its depth, or one file; ``.html``, ``.htm``, ``.xhtml`` and the same with ``.gz``."""
    source: str = "html"
    """The source that the samples name."""
    max_bytes: int = Field(default=32 << 20, ge=1)
    """A larger page is dropped."""
    pictures: bool = True
    """Whether to take pictures."""

    def units(self) -> list[Unit]:
        """One unit a file."""
        return document_units(self.path, (".html", ".htm", ".xhtml"))

    def read(self, unit: Unit) -> Iterator[tuple[str, Sample | Dropped]]:
        """The page."""
        yield unit.name, self._page(unit)

    def _page(self, unit: Unit) -> Sample | Dropped:
        data = read_document(str(unit.where), self.max_bytes)
        if isinstance(data, Dropped):
            return data
        root = Path(self.path) if Path(self.path).is_dir() else Path(self.path).parent

        def fetch(path: str) -> bytes:
            return _read_picture(root, path)

        page = parse_page(data, unit.name, picture_loader(unit.name, fetch) if self.pictures else None)
        if isinstance(page, Dropped):
            return page
        text = plain_text(page.blocks)
        if not text:
            return Dropped("no_text", f"{unit.name}: nothing but boilerplate ({page.num_boilerplate} parts)")
        meta: dict[str, Any] = {"document": unit.name, "site": PurePosixPath(unit.name).parent.as_posix()}
        for key, value in (("title", page.title), ("url", page.url)):
            if value:
                meta[key] = value
        if page.pictures_left_out:
            meta["pictures_dropped"] = dict(sorted(page.pictures_left_out.items()))
        return document(unit.name, page.blocks, source=self.source, language=language_of(text), meta=meta)


def parse_page(data: bytes, name: str, load: LoadPicture | None) -> HtmlPage | Dropped:
    """A page's blocks, or why it has none: binary_file, mixed_encodings, too_deep.

    Args:
        data: the page's bytes.
        name: used in the detail of a drop.
        load: how its pictures are got; None leaves them out.
    """
    decoded = decode_page(data)
    if decoded.broken > _MAX_BROKEN:
        reason = "binary_file" if decoded.broken > 0.1 or b"\x00" in data[:65536] else "mixed_encodings"
        return Dropped(reason, f"{name}: {decoded.broken:.1%} of its characters have no meaning in {decoded.encoding}")
    deep = nesting(decoded.text)
    if deep > MAX_NESTING:
        return Dropped("too_deep", f"{name}: elements within elements to a depth of {deep}, the limit is {MAX_NESTING}")
    return read_html(decoded.text, load)


def _read_picture(root: Path, path: str) -> bytes:
    file = root / path
    try:
        if not file.resolve().is_relative_to(root.resolve()):
            raise MediaError(f"{path} leads out of {root}", reason="outside")
        if file.stat().st_size > MAX_PICTURE_BYTES:
            raise MediaError(f"{path} is larger than {MAX_PICTURE_BYTES} bytes", reason="picture_too_large")
        return file.read_bytes()
    except MediaError:  # a ValueError too
        raise
    except (OSError, ValueError):  # ValueError: a null byte in the name
        raise MediaError(f"{path} is not there", reason="missing_picture") from None
