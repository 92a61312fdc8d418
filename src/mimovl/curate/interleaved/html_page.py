"""An HTML page → blocks: its own texts, tables and pictures in order, without menus, banners and footers.

Boilerplate is told by what the page itself says of its parts (tags, roles, words of class and id), and then by links:
a block that is nearly all link and has no sentence is navigation. A part that holds most of the page's text is never
taken for boilerplate, whatever it is called.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from mimovl.curate.interleaved.blocks import Block, BlockKind, clean_text, table_text
from mimovl.curate.interleaved.paragraphs import is_caption
from mimovl.errors import MediaError, MissingExtraError
from mimovl.types import Media

__all__ = ["MAX_NESTING", "HtmlPage", "LoadPicture", "read_html"]

MAX_NESTING = 1000
"""Elements within elements beyond which a page is not parsed: the parser's time grows with the square of it."""

LoadPicture = Callable[[str], Media]
"""A picture by the address a page gives; raises ``MediaError`` whose reason is counted."""

_SKIPPED = frozenset(
    "script style noscript template nav aside footer form button select option textarea svg iframe object canvas "
    "dialog menu title head link meta audio video map rt rp".split()
)
_BLOCKS = frozenset(
    "address article blockquote body center dd details div dl dt figcaption figure h1 h2 h3 h4 h5 h6 header hr html li "
    "main ol p pre section summary table tbody td tfoot th thead tr ul caption".split()
)
_HEADINGS = frozenset("h1 h2 h3 h4 h5 h6".split())
_ROLES = frozenset("navigation banner contentinfo search complementary menu menubar dialog alert alertdialog".split())
_NAMES = frozenset(
    "nav navbar navigation navheader navfooter menu breadcrumb breadcrumbs sidebar sphinxsidebar footer cookie cookies "
    "consent share sharing social related comment comments ad ads advert advertisement promo newsletter subscribe "
    "pagination pager toc toctree headerlink skip modal popup login signup copyright sponsor banner editsection "
    "docnav navbox catlinks printfooter mw-jump-link".split()
)
_SPLIT = re.compile(r"[\s_\-:/]+")
_SPACE = re.compile(r"\s+")
_CJK_BREAK = re.compile(r"(?<=[\u2e80-\u9fff\uff00-\uffef])\s*\n\s*(?=[\u2e80-\u9fff\uff00-\uffef])")
_SENTENCE = re.compile(r"[.!?。！？；;:：]\s|[.!?。！？]$")


@dataclass(slots=True)
class HtmlPage:
    """What a page holds, and what was left out of it."""

    title: str = ""
    url: str = ""
    blocks: list[Block] = field(default_factory=list)
    pictures_left_out: Counter[str] = field(default_factory=Counter)
    num_boilerplate: int = 0
    """Parts and blocks that were taken for boilerplate."""


@dataclass(slots=True)
class _Piece:
    kind: BlockKind | Literal["item"]
    text: str = ""
    linked: int = 0
    """Characters of the text that are links."""
    media: Media | None = None
    alt: str = ""


def read_html(text: str, load: LoadPicture | None = None) -> HtmlPage:
    """The blocks of a page.

    Args:
        text: the page, no deeper than ``MAX_NESTING`` (:func:`html_text.nesting`).
        load: how to get a picture; None leaves pictures out.

    Raises:
        MissingExtraError: selectolax is not installed.
    """
    try:
        from selectolax.lexbor import LexborHTMLParser
    except ImportError:
        raise MissingExtraError("selectolax", "curate", "reading HTML") from None
    tree = LexborHTMLParser(text)
    page = HtmlPage()
    title = tree.css_first("head > title") or tree.css_first("body > title")  # where a page forgets its head
    page.title = _collapse(clean_text(title.text())) if title is not None else ""
    canonical = tree.css_first("link[rel=canonical]")
    page.url = (canonical.attributes.get("href") or "") if canonical is not None else ""
    if tree.body is not None:
        root = _main_part(tree)
        walker = _Walker(page, load, _length(root))
        walker.walk(root)
        page.blocks = list(_settled(walker.pieces, page))
    return page


def _main_part(tree: Any) -> Any:
    """What the page calls its main part, if that holds a good share of the text."""
    whole = _length(tree.body)
    for query in ("main", "[role=main]", "article", "[itemprop=articleBody]"):
        found = tree.css(query)
        if len(found) == 1 and _length(found[0]) >= 0.3 * whole:
            return found[0]
    return tree.body


def _length(node: Any) -> int:
    return len(node.text(deep=True))


class _Walker:
    """Goes through a page once, without recursion, and gathers pieces."""

    def __init__(self, page: HtmlPage, load: LoadPicture | None, total: int) -> None:
        self.page = page
        self.load = load
        self.total = total
        self.pieces: list[_Piece] = []
        self.buffer: list[str] = []
        self.linked = 0
        self.kinds: list[BlockKind | Literal["item"]] = ["text"]
        self.markers: list[list[Any]] = []
        self.in_link = 0
        self.in_pre = 0
        self.marker = ""
        self.waiting: list[_Piece] = []
        """Pictures inside a paragraph, which follow it."""

    def walk(self, root: Any) -> None:
        """Visit all below ``root``."""
        stack: list[tuple[Any, bool]] = [(root, False)]
        while stack:
            node, leaving = stack.pop()
            tag = node.tag
            if leaving:
                self.leave(tag)
                continue
            if tag == "-text":
                self.add(node.text_content or "")
                continue
            if not node.is_element_node or tag is None or (tag in _SKIPPED) or self.is_boilerplate(node, tag):
                continue
            if tag in ("img", "br", "hr", "math"):
                self.single(node, tag)
                continue
            if tag == "table" and (rows := _data_table(node)):
                self.flush()
                for caption in node.css("caption"):
                    self.piece("caption", caption.text())
                self.pieces.append(_Piece("table", table_text(rows)))
                for image in node.css("img"):
                    self.single(image, "img")
                self.flush()
                continue
            self.enter(tag)
            stack.append((node, True))
            children = []
            child = node.first_child
            while child is not None:
                children.append((child, False))
                child = child.next
            stack.extend(reversed(children))
        self.flush()

    def is_boilerplate(self, node: Any, tag: str) -> bool:
        """Whether the page itself says that this part is not its content."""
        attributes = node.attributes
        if not attributes:
            return False
        style = (attributes.get("style") or "").replace(" ", "").lower()
        if "hidden" in attributes or attributes.get("aria-hidden") == "true" or "display:none" in style:
            return True
        role = attributes.get("role") or ""
        names = _SPLIT.split(f"{attributes.get('class') or ''} {attributes.get('id') or ''}".lower())
        if tag in ("body", "main", "article", "html") or (role not in _ROLES and _NAMES.isdisjoint(names)):
            return False
        if tag in _BLOCKS and _length(node) > 0.4 * self.total:
            return False
        self.page.num_boilerplate += tag in _BLOCKS
        return True

    def enter(self, tag: str) -> None:
        """Begin an element."""
        if tag in _BLOCKS:
            self.flush()
        if tag in _HEADINGS:
            self.kinds.append("heading")
        elif tag == "figcaption":
            self.kinds.append("caption")
        elif tag == "li":
            number = self.markers[-1] if self.markers else [None]
            if number[0] is not None:
                number[0] += 1
            self.marker = "- " if number[0] is None else f"{number[0]}. "
            self.kinds.append("item")
        elif tag in ("ul", "ol"):
            self.markers.append([0 if tag == "ol" else None])
        elif tag == "pre":
            self.in_pre += 1
        elif tag == "a":
            self.in_link += 1
        elif tag in ("td", "th"):
            self.buffer.append(" ")

    def leave(self, tag: str) -> None:
        """End an element."""
        if tag in _BLOCKS:
            self.flush()
        if tag in _HEADINGS or tag in ("figcaption", "li"):
            self.kinds.pop()
        elif tag in ("ul", "ol"):
            self.markers.pop()
        elif tag == "pre":
            self.in_pre -= 1
        elif tag == "a":
            self.in_link -= 1

    def add(self, text: str) -> None:
        """Running text."""
        self.buffer.append(text)
        if self.in_link:
            self.linked += len(text.strip())

    def single(self, node: Any, tag: str) -> None:
        """An element without content of its own."""
        attributes = node.attributes
        if tag == "br":
            self.buffer.append("\x1e")
        elif tag == "hr":
            self.flush()
        elif tag == "math":
            source = node.css_first("annotation[encoding='application/x-tex']")
            formula = source.text() if source is not None else attributes.get("alttext") or ""
            self.buffer.append(f"${formula.strip()}$" if formula.strip() else node.text())
        elif self.load is not None:
            self.picture(attributes)

    def picture(self, attributes: dict[str, str | None]) -> None:
        """A picture; ``data-src`` is where pages that load late keep the address."""
        address = next((value for key in ("data-src", "data-original", "src") if (value := attributes.get(key))), None)
        if not address and attributes.get("srcset"):
            address = (
                (attributes["srcset"] or "").split(",")[0].split()[0] if (attributes["srcset"] or "").split() else ""
            )
        if not address:
            self.page.pictures_left_out["no_address"] += 1
            return
        assert self.load is not None, "asked for a picture without a way to load it"
        try:
            media = self.load(address.strip())
        except MediaError as error:
            self.page.pictures_left_out[error.reason] += 1
            return
        alt = _collapse(clean_text(attributes.get("alt") or attributes.get("title") or ""))
        self.waiting.append(_Piece("picture", media=media, alt=alt))

    def flush(self) -> None:
        """End the block at hand."""
        raw, linked = "".join(self.buffer), self.linked
        self.buffer, self.linked = [], 0
        kind = self.kinds[-1]
        if self.in_pre:
            text = clean_text(raw.replace("\x1e", "\n")).strip("\n")
        else:
            lines = [_collapse(clean_text(line)) for line in raw.split("\x1e")]
            text = "\n".join(line for line in lines if line)
        if text.strip():
            if kind == "item":
                linked += len(self.marker) if linked else 0
                text, self.marker = self.marker + text, "  " if self.marker.strip() else self.marker
            self.pieces.append(_Piece(kind, text, linked))
        self.pieces += self.waiting
        self.waiting = []

    def piece(self, kind: BlockKind, text: str) -> None:
        """A block of its own."""
        if text := _collapse(clean_text(text)):
            self.pieces.append(_Piece(kind, text))


def _data_table(table: Any) -> list[list[str]]:
    """Rows of a table of data; empty for one that lays out the page."""
    if table.css("table table, h1, h2, h3, ul, ol, pre, p + p"):
        return []
    rows = []
    for row in table.css("tr"):
        cells = []
        cell = row.first_child
        while cell is not None:
            if cell.tag in ("td", "th"):
                cells.append(_collapse(clean_text(cell.text(separator=" "))))
            cell = cell.next
        if any(cells):
            rows.append(cells)
    if len(rows) < 2 or max(len(row) for row in rows) < 2:
        return []
    total = sum(len(cell) for row in rows for cell in row)
    return rows if total <= 300 * sum(len(row) for row in rows) else []


def _settled(pieces: list[_Piece], page: HtmlPage) -> Iterator[Block]:
    """Blocks without navigation, items of a list together, a heading with nothing under it left out."""
    kept: list[_Piece] = []
    headings = 0
    for piece in pieces:
        if piece.kind in ("text", "item") and piece.linked > 0.6 * len(piece.text) and not _SENTENCE.search(piece.text):
            page.num_boilerplate += 1
            headings = sum(1 for _ in _trailing_headings(kept))
            continue
        if piece.kind == "heading" and headings:
            del kept[-headings:]  # all that stood under it was navigation
        headings = 0
        if piece.kind == "item" and kept and kept[-1].kind == "item":
            kept[-1].text += "\n" + piece.text
        else:
            kept.append(piece)
    for number, piece in enumerate(kept):
        beside = [kept[other].kind for other in (number - 1, number + 1) if 0 <= other < len(kept)]
        kind: BlockKind = "text" if piece.kind == "item" else piece.kind
        if kind == "text" and ("picture" in beside or "table" in beside) and is_caption(piece.text):
            kind = "caption"
        yield Block(kind, piece.text, piece.media, piece.alt)


def _trailing_headings(pieces: list[_Piece]) -> Iterator[_Piece]:
    for piece in reversed(pieces):
        if piece.kind != "heading":
            return
        yield piece


def _collapse(text: str) -> str:
    return _SPACE.sub(" ", _CJK_BREAK.sub("", text)).strip()
