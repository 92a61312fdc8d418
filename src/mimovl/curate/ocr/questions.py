"""What a page is asked: all its text, words and lines with their boxes, its layout, tables as HTML, formulas as LaTeX.

Answers and golds are those of the embedded world's text pages where it asks the same: ``ocr`` is graded by edit
distance, a box by overlap, in pixels of the picture, whose sides are multiples of 28 (so smart-resize leaves it alone).
What something covers by more than a third is not asked, nor the whole text of such a page.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mimovl.curate.conversations import Question, box_list
from mimovl.curate.ocr.canvas import Box, Canvas, Element, union
from mimovl.curate.world.language import Templates, pick
from mimovl.types import Gold

__all__ = ["READABLE", "Read", "page_questions", "read_page"]

READABLE = 0.35
"""An element hidden by more than this share is not asked about."""
_MAX_SPOTTED = 40
_MOST_SHARED = 0.25
"""Of the height of the lower of two lines: boxes that share more may be taken for each other."""
_EDIT = {"metric": "edit"}

_ROLES = {
    "title": "标题", "heading": "小标题", "text": "正文", "list": "列表", "figure": "图片", "caption": "图题",
    "header": "页眉", "page number": "页码", "table": "表格", "formula": "公式", "formula number": "公式编号",
    "handwriting": "手写文字", "sign": "招牌", "brand": "品牌", "barcode": "条形码",
}  # fmt: skip
_QUESTIONS: Templates = {
    "read": {
        "en": ("Read all the text in the picture, line by line.", "Transcribe the picture.", "Read the text."),
        "zh": ("逐行读出图中的全部文字。", "读出文字。"),
    },
    "read math": {
        "en": ("Transcribe the page; write formulas as LaTeX between dollar signs.",),
        "zh": ("读出页面内容，公式用LaTeX写在美元符号之间。",),
    },
    "find": {"en": ('Where is "{x}"?', 'Find the word "{x}". Give its box.'), "zh": ("“{x}”在哪里？",)},
    "inside": {"en": ("What is written in {box}?", "Read the text in the box {box}."), "zh": ("{box}里写了什么？",)},
    "spot": {
        "en": ("Find every line of text: give its box, with the text as label.",),
        "zh": ("找出每一行文字，给出框，以文字为标签。",),
    },
    "layout": {
        "en": ("Find the parts of the layout ({x}) with their boxes, in reading order.",),
        "zh": ("按阅读顺序给出版面各部分（{x}）的框。",),
    },
    "part": {"en": ("Where is the {x}? Give its box.",), "zh": ("{x}在哪里？给出框。",)},
    "table": {"en": ("Write the table as HTML.", "Convert the table to HTML."), "zh": ("把表格写成HTML。",)},
    "formula": {"en": ("Write the formula in {box} as LaTeX.",), "zh": ("把{box}里的公式写成LaTeX。",)},
}


@dataclass(frozen=True)
class Line:
    """One line: its text, the box of its ink, and whether all of it can be read."""

    text: str
    box: Box
    block: int
    readable: bool


@dataclass(frozen=True)
class Read:
    """A page as text: words and lines in reading order, and parts of the layout, all with boxes in pixels."""

    words: tuple[tuple[Element, Box], ...]
    lines: tuple[Line, ...]
    parts: tuple[tuple[str, str, Box], ...]
    """Role, markup and box of each block that is in the picture."""


def read_page(canvas: Canvas) -> Read:
    """Measure a finished page."""
    boxes = canvas.boxes()
    words = tuple(
        (one, box) for one, box in zip(canvas.elements, boxes, strict=True) if box is not None and one.text
    )  # fmt: skip
    by_line: dict[int, list[tuple[Element, Box]]] = {}
    by_block: dict[int, list[Box]] = {}
    for one, box in zip(canvas.elements, boxes, strict=True):
        if box is not None:
            by_block.setdefault(one.block, []).append(box)
            if one.text:
                by_line.setdefault(one.line, []).append((one, box))
    whole = Counter(one.line for one in canvas.elements if one.text)
    lines = []
    for number, found in sorted(by_line.items()):
        readable = len(found) == whole[number] and all(one.hidden <= READABLE for one, _ in found)
        text = canvas.text_of([one for one, _ in found])
        lines.append(Line(text, union([box for _, box in found]), found[0][0].block, readable))
    parts = tuple(
        (canvas.blocks[block].role, canvas.blocks[block].markup, union(found))
        for block, found in sorted(by_block.items())
    )
    return Read(words, tuple(lines), parts)


def page_questions(rng: random.Random, canvas: Canvas, read: Read, limit: int) -> list[Question]:
    """Up to ``limit`` questions about a page: what is special to it first, then boxes and words by chance."""
    language = "zh" if canvas.chinese else "en"
    roles = Counter(role for role, _, _ in read.parts)
    all_readable = bool(read.lines) and all(line.readable for line in read.lines)
    if all_readable:
        all_readable = {one.line for one in canvas.elements if one.text} == {one.line for one, _ in read.words}
    first: list[Question] = []
    if all_readable and not roles["table"]:
        first.append(_whole(rng, read, language, math=roles["formula"] > 0))
    for role, markup, box in read.parts:
        if role == "table" and all_readable:
            first.append(_text("ocr_table", pick(rng, _QUESTIONS, "table", language), markup))
        elif role == "formula" and all_readable:
            question = pick(rng, _QUESTIONS, "formula", language, box=_written(box))
            first.append(_text("ocr_formula", question, markup))
    further = [*_finding(rng, read, language), *_parts(rng, read, roles, language)]
    if all_readable and 1 <= len(read.lines) <= _MAX_SPOTTED and not roles["formula"]:
        pairs = [(line.box, line.text) for line in read.lines]
        further.append(_boxes("ocr_spotting", pick(rng, _QUESTIONS, "spot", language), pairs))
    rng.shuffle(further)
    unique = {one.question: one for one in reversed([*first, *further])}
    return list(reversed(unique.values()))[:limit]


def _whole(rng: random.Random, read: Read, language: str, *, math: bool) -> Question:
    lines = [
        f"${line.text}$" if math and read_role(read, line) == "formula" else line.text for line in read.lines
    ]  # fmt: skip
    return _text("ocr", pick(rng, _QUESTIONS, "read math" if math else "read", language), "\n".join(lines))


def read_role(read: Read, line: Line) -> str:
    """The role of the smallest part that holds a line."""
    around = [
        ((box[2] - box[0]) * (box[3] - box[1]), role)
        for role, _, box in read.parts
        if box[0] <= line.box[0] and box[1] <= line.box[1] and line.box[2] <= box[2] and line.box[3] <= box[3]
    ]
    return min(around)[1]


def _finding(rng: random.Random, read: Read, language: str) -> list[Question]:
    """Boxes of words that stand there once, and what lines and words in boxes say."""
    questions = []
    seen = Counter(one.text.strip(".,;:!，。；：").lower() for one, _ in read.words)
    clear = [
        (one.text.strip(".,;:!，。；："), one.text, box)
        for one, box in read.words
        if one.hidden <= READABLE and seen[one.text.strip(".,;:!，。；：").lower()] == 1 and "\\" not in one.text
    ]
    clear = [(bare, text, box) for bare, text, box in clear if bare == text and len(text) > 1]
    for bare, _, box in rng.sample(clear, min(3, len(clear))):
        question = pick(rng, _QUESTIONS, "find", language, x=bare)
        questions.append(Question("ocr_box", question, box_list([(box, bare)]), Gold("box", list(box))))
    readable = [line for line in read.lines if line.readable and "\\" not in line.text and _stands_alone(line, read)]
    for line in rng.sample(readable, min(3, len(readable))):
        questions.append(_text("ocr_box", pick(rng, _QUESTIONS, "inside", language, box=_written(line.box)), line.text))
    return questions


def _stands_alone(line: Line, read: Read) -> bool:
    """No other line reaches far into its box, as on a page that is turned: the box then says which line is meant."""
    x1, y1, x2, y2 = line.box
    for other in read.lines:
        wide = min(x2, other.box[2]) - max(x1, other.box[0])
        tall = min(y2, other.box[3]) - max(y1, other.box[1])
        if other is not line and wide > 0 and tall > _MOST_SHARED * min(y2 - y1, other.box[3] - other.box[1]):
            return False
    return True


def _parts(rng: random.Random, read: Read, roles: Counter[str], language: str) -> list[Question]:
    """The whole layout, where there is more than one part, and a part that is there once."""
    if len(read.parts) < 2:
        return []
    names = [_ROLES[role] if language == "zh" else role for role, _, _ in read.parts]
    listed = ("、" if language == "zh" else ", ").join(dict.fromkeys(names))
    pairs = [(box, name) for (_, _, box), name in zip(read.parts, names, strict=True)]
    questions = [_boxes("layout", pick(rng, _QUESTIONS, "layout", language, x=listed), pairs)]
    single = [(name, box) for (role, _, box), name in zip(read.parts, names, strict=True) if roles[role] == 1]
    if single:
        name, box = rng.choice(single)
        question = pick(rng, _QUESTIONS, "part", language, x=name)
        questions.append(Question("ocr_box", question, box_list([(box, name)]), Gold("box", list(box))))
    return questions


def _text(task: str, question: str, answer: str) -> Question:
    return Question(task, question, answer, Gold("text", answer, dict(_EDIT)))


def _boxes(task: str, question: str, pairs: Sequence[tuple[Box, str]]) -> Question:
    return Question(task, question, box_list(pairs), Gold("box", [list(box) for box, _ in pairs]))


def _written(box: Box) -> str:
    return f"[{','.join(map(str, box))}]"
