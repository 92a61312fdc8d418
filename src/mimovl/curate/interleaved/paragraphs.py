"""Lines → paragraphs, headings, captions: where a line break was only the end of the paper, it goes.

A break is soft when the next line's first word would not have fitted; so a listing, a verse or an address keeps its
lines. A hyphen at a soft break goes with it, unless the document writes that word with the hyphen elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from statistics import median

from mimovl.curate.interleaved.blocks import Block, table_text
from mimovl.curate.interleaved.layout import Flow, Placed
from mimovl.curate.interleaved.tables import Row, Table

__all__ = ["Hyphens", "body_height", "flow_blocks", "is_caption", "join_flows", "join_lines"]

_CAPTION = re.compile(
    r"^(?:(?:Figure|Fig\.?|Table|Plate|Photo|Chart|Diagram|Illustration)\s*[A-Z]?\d+[\d.\-]*[a-z]?"
    r"(?:\s*[:.|—–\-]|\s*$|\s+(?=[A-Z\"“(]))|(?:图|表|圖|插图|照片)\s*[A-Z]?\d+[\d.\-–]*\s*[:：.．、\s]?)"
)
_NUMBERED = re.compile(
    r"^(?:\d+(?:\.\d+)*\.?|第[一二三四五六七八九十百\d]+[章节篇部]|[A-Z]\.\d[\d.]*|Chapter \d+|Appendix [A-Z])\s*\S"
)
_ITEM = re.compile(
    r"^(?:[•‣▪●○◦∙·–—*]\s|\(?\d{1,3}[.)]\s|\([a-z]\)\s|[a-z]\)\s|[①-⑳]|\d{1,3}、|（[一二三四五六七八九十\d]+）)"
)
_END = re.compile(r"[.!?。！？…:：;；][\"'”’)\]）」』]*$")
_COMPOUND = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)+")
_LAST_WORD = re.compile(r"[^\W\d_]+$")
_FIRST_WORD = re.compile(r"^[^\W\d_]+")


class Hyphens:
    """Which words a document writes with a hyphen inside a line, to tell ``well-known`` from ``exam-ple``."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.compounds: set[str] = set()
        for line in lines:
            if "-" in line:
                self.compounds.update(word.lower() for word in _COMPOUND.findall(line))

    def join(self, before: str, after: str) -> str:
        """Two halves of a word without the hyphen that stood between them, or with it."""
        left, right = _LAST_WORD.search(before), _FIRST_WORD.search(after)
        keep = not left or not right or right.group()[0].isupper()
        if left and right and f"{left.group()}-{right.group()}".lower() in self.compounds:
            keep = True
        return f"{before}-{after}" if keep else before + after


def join_lines(before: str, after: str, hyphen: bool, hyphens: Hyphens) -> str:
    """Two lines of one paragraph as one: no space between Chinese or Japanese characters."""
    if hyphen:
        return hyphens.join(before, after)
    if before.endswith("-") and before[-2:-1].isalpha() and after[:1].isalpha():
        return hyphens.join(before[:-1], after)
    if before and after and before[-1] >= "\u2e80" and after[0] >= "\u2e80" and not "\uac00" <= after[0] <= "\ud7a3":
        return before + after
    return f"{before} {after}"


def body_height(pages: Iterable[Iterable[Flow]]) -> float:
    """The height of type in which most characters are set; 0 without text."""
    weights: dict[float, int] = {}
    for flows in pages:
        for flow in flows:
            for entry in flow.entries:
                if isinstance(entry, Row):
                    height = round(entry.height * 2) / 2
                    weights[height] = weights.get(height, 0) + len(entry.text)
    return max(sorted(weights), key=lambda height: weights[height], default=0.0)


def is_caption(text: str) -> bool:
    """Whether a text reads as the caption of a figure or table (``Figure 3: …``, not ``Figure 3 shows …``)."""
    return bool(_CAPTION.match(text))


def flow_blocks(flow: Flow, page: int, body: float, hyphens: Hyphens) -> list[tuple[Block, bool]]:
    """Blocks of one column, each with whether its text was cut off by the column's end.

    Args:
        flow: what stands in the column.
        page: its page, from 1.
        body: the height of the document's running text.
        hyphens: the document's own compounds.
    """
    blocks: list[tuple[Block, bool]] = []
    right = _right_margin([entry for entry in flow.entries if isinstance(entry, Row)], flow.x1)
    lines: list[Row] = []
    for entry in flow.entries:
        if isinstance(entry, Row):
            lines.append(entry)
            continue
        blocks += _paragraphs(lines, right, page, body, hyphens)
        lines = []
        if isinstance(entry, Table):
            blocks.append((Block("table", table_text(entry.rows), page=page), False))
        elif isinstance(entry, Placed):
            blocks.append((Block("picture", media=entry.media, page=page), False))
    blocks += _paragraphs(lines, right, page, body, hyphens)
    return [
        (Block("caption", block.text, page=page), open_ended) if _captions(blocks, number) else (block, open_ended)
        for number, (block, open_ended) in enumerate(blocks)
    ]


def _captions(blocks: Sequence[tuple[Block, bool]], number: int) -> bool:
    """Whether a text names a picture or table that stands next to it."""
    block = blocks[number][0]
    if block.kind not in ("text", "heading") or not is_caption(block.text):
        return False
    beside = [blocks[other][0].kind for other in (number - 1, number + 1) if 0 <= other < len(blocks)]
    return "picture" in beside or "table" in beside


def _right_margin(lines: Sequence[Row], edge: float) -> float:
    """Where the lines of a column end: the rightmost place that several reach, so that one long line does not count."""
    ends = sorted((line.x1 for line in lines), reverse=True)
    enough = max(3, len(ends) // 6)
    for index, end in enumerate(ends[: len(ends) - enough + 1]):
        if end - ends[index + enough - 1] < 0.8 * lines[0].height:
            return end
    return ends[0] if len(ends) >= enough else max(ends[:1] + [edge])


def _paragraphs(
    lines: Sequence[Row], right: float, page: int, body: float, hyphens: Hyphens
) -> list[tuple[Block, bool]]:
    if not lines:
        return []
    steps = sorted(two.y1 - one.y1 for one, two in zip(lines, lines[1:], strict=False))
    pitch = median(steps) if steps else lines[0].height * 1.2
    blocks: list[tuple[Block, bool]] = []
    text, first, last = _clean(lines[0].text), lines[0], lines[0]
    for line in lines[1:]:
        words = _clean(line.text)
        soft = _is_soft(last, line, words, right)
        if _begins(first, last, line, words, pitch, soft):
            blocks.append(_block(text, first, last, page, body, False))
            text, first = words, line
        elif soft:
            text = join_lines(text, words, last.hyphen, hyphens)
        else:
            text = f"{text}\n{words}"
        last = line
    open_ended = not _END.search(text) and last.x1 > right - 3 * last.height
    blocks.append(_block(text, first, last, page, body, open_ended or last.hyphen))
    if last.hyphen:
        block, _ = blocks[-1]
        blocks[-1] = (Block(block.kind, block.text + "-", page=page), True)
    return blocks


def _is_soft(last: Row, line: Row, words: str, right: float) -> bool:
    """Whether the next line's first word would not have fitted at the end of this one."""
    if last.hyphen:
        return True
    word = words[:1] if words[:1] >= "\u2e80" else words.split(" ", 1)[0]
    needed = (line.x1 - line.x0) * (len(word) + 1) / max(len(words), 1)
    return last.x1 + needed > right - 0.1 * line.height


def _begins(first: Row, last: Row, line: Row, words: str, pitch: float, soft: bool) -> bool:
    """Whether a new paragraph begins with this line."""
    height = max(line.height, 1.0)
    if abs(line.height - last.height) > 0.15 * height:
        return True
    step = line.y1 - last.y1
    if step > 1.35 * pitch and step > 1.4 * height:
        return True
    if _ITEM.match(words):
        return True
    indented = line.x0 - last.x0
    if soft:
        # A first line set in, or the end of a hanging item.
        return 0.8 * height < indented < 4 * height and (last is not first or not _ITEM.match(first.text))
    return bool(_END.search(last.text)) or (last is first and bool(_NUMBERED.match(first.text)))


def _block(text: str, first: Row, last: Row, page: int, body: float, open_ended: bool) -> tuple[Block, bool]:
    short = len(text) < 200 and "\n" not in text
    large = body > 0 and first.height > 1.15 * body
    numbered = first is last and len(text) < 80 and bool(_NUMBERED.match(text)) and not _END.search(text)
    if short and (large or (numbered and not _ITEM.match(text))):
        return Block("heading", text, page=page), False
    return Block("text", text, page=page), open_ended


def join_flows(pieces: Sequence[tuple[Block, bool]], hyphens: Hyphens) -> list[Block]:
    """Blocks of all columns and pages, paragraphs that were cut by a column's end made whole.

    A paragraph goes on in the next text that starts small, or that is Chinese; pictures, captions and tables that stand
    between stay behind it.
    """
    blocks: list[Block] = []
    waiting: int | None = None
    for block, open_ended in pieces:
        if block.kind != "text":
            blocks.append(block)
            if block.kind == "heading":
                waiting = None
            continue
        first = block.text[:1]
        if waiting is not None and (first.islower() or first >= "\u2e80" or blocks[waiting].text.endswith("-")):
            whole = blocks[waiting]
            blocks[waiting] = Block("text", join_lines(whole.text, block.text, False, hyphens), page=whole.page)
        else:
            blocks.append(block)
            waiting = len(blocks) - 1
        if not open_ended:
            waiting = None
    return blocks


def _clean(text: str) -> str:
    return " ".join(text.split())
