"""Bytes of a page → its text: the encoding it declares, or the one that fits; and what no page has a reason to be."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["DecodedPage", "decode_page", "nesting"]

_DECLARED = re.compile(
    rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([\w\-:]{2,40})|encoding\s*=\s*["']([\w\-:]{2,40})["']""", re.I
)
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "iso-8859-1": "cp1252", "latin-1": "cp1252", "ascii": "cp1252",
          "us-ascii": "cp1252", "big5": "big5hkscs", "shift_jis": "cp932", "euc-kr": "cp949"}  # fmt: skip
"""What browsers read where a page declares the narrower one."""
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)[^<>]*?(/?)>")
_SELF_CLOSING = frozenset(
    "br img hr input meta link area base col embed source track wbr p li td th tr dt dd option thead tbody".split()
)
"""Tags that have no end or need none."""
_SAMPLED = 1 << 16


@dataclass(frozen=True, slots=True)
class DecodedPage:
    """A page's text, the encoding it was read with, and the share of characters that had no meaning in it."""

    text: str
    encoding: str
    broken: float


def decode_page(data: bytes) -> DecodedPage:
    """Text of a page. A byte order mark counts most, then UTF-8 where all bytes fit, then what the page declares.

    A page may declare one encoding and be written in another, or in two: what fits nowhere is replaced and counted in
    ``broken``, and is for the caller to judge.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _decoded(data[len(mark) :], encoding)
    candidates = ["utf-8"]
    match = _DECLARED.search(data[:4096])
    if match:
        name = (match.group(1) or match.group(2)).decode("ascii").lower()
        candidates.append(_WIDER.get(name, name))
    if b"\x00" not in data[:_SAMPLED]:
        candidates += ["gb18030", "cp1252"]
    best: DecodedPage | None = None
    for encoding in candidates:
        try:
            page = _decoded(data, encoding)
        except LookupError:  # a name nobody knows
            continue
        if page.broken == 0 and (encoding != "gb18030" or match or _is_chinese(page.text)):
            return page
        if best is None or page.broken < best.broken:
            best = page
    assert best is not None, "UTF-8 is always tried"
    return best


def nesting(text: str) -> int:
    """An upper bound of how deep elements lie in each other; a parser takes time by the square of it."""
    unclosed: dict[str, int] = {}
    depth = deepest = 0
    for match in _TAG.finditer(text):
        closing, name, closed = match.groups()
        name = name.lower()
        if closed or name in _SELF_CLOSING:
            continue
        if not closing:
            unclosed[name] = unclosed.get(name, 0) + 1
            depth += 1
            deepest = max(deepest, depth)
        elif unclosed.get(name, 0):
            unclosed[name] -= 1
            depth -= 1
    return deepest


def _decoded(data: bytes, encoding: str) -> DecodedPage:
    text = data.decode(encoding, errors="replace")
    wrong = text.count("\ufffd") + sum(text.count(char) for char in "\x00\x01\x02\x03\x04\x05\x06\x07\x08")
    return DecodedPage(text, encoding, wrong / max(1, len(text)))


def _is_chinese(text: str) -> bool:
    """Whether what lies beyond ASCII is mostly of the 3,755 common characters, which GB orders first."""
    beyond = [char for char in text[:_SAMPLED] if char > "\x7f"]
    common = sum("\u4e00" <= char <= "\u9fff" and char.encode("gb18030")[0] <= 0xD7 for char in beyond)
    return bool(beyond) and common >= 0.6 * len(beyond)
