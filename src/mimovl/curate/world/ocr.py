"""Text pages: one to three lines of words and numbers, with the box of every word and character."""

from __future__ import annotations

import random
from dataclasses import dataclass

from PIL import Image

from mimovl.curate.world.config import WorldConfig
from mimovl.curate.world.draw import RGB, background
from mimovl.curate.world.fonts import CharBox, chinese_font_path, draw_text, ink_box, line_height, text_width
from mimovl.curate.world.items import Accept, Annotation, Turn, WorldItem, draw_accepted
from mimovl.curate.world.language import Templates, pick
from mimovl.curate.world.scene_turns import box_answer, unique_turns
from mimovl.curate.world.vocabulary import CHINESE_WORDS, WORDS
from mimovl.errors import DataError
from mimovl.types import Gold

__all__ = ["build_ocr"]

Box = tuple[int, int, int, int]

_QUESTIONS: Templates = {
    "read": {"en": ("Read the text.", "What does it say?"), "zh": ("读出文字。", "写了什么？")},
    "find": {"en": ('Where is "{x}"?', 'Find the word "{x}".'), "zh": ("“{x}”在哪里？",)},
    "inside": {"en": ("What is written in {box}?",), "zh": ("{box}里写了什么？",)},
}
_MARGIN = 4


@dataclass(frozen=True)
class _Line:
    words: tuple[str, ...]
    size: int
    x: int
    y: int


@dataclass(frozen=True)
class _Page:
    width: int
    height: int
    lines: tuple[_Line, ...]

    @property
    def key(self) -> str:
        text = " / ".join(f"{' '.join(line.words)} @ {line.x},{line.y},{line.size}" for line in self.lines)
        return f"ocr {self.width}x{self.height}: {text}"


def build_ocr(rng: random.Random, config: WorldConfig, accept: Accept) -> WorldItem:
    """A text page of the wanted split with reading, finding and reading-in-a-box questions."""
    wanted = rng.random() < config.chinese_share
    chinese = wanted and chinese_font_path() is not None
    page = draw_accepted(lambda: _draw_page(rng, config, chinese), accept)
    image, rows = _render(rng, page, config, chinese)
    language = "zh" if chinese else "en"
    return WorldItem(
        source="world/ocr",
        key=page.key,
        language=language,
        image=image,
        turns=_turns(rng, page, rows, language, config),
        annotations=tuple(
            Annotation(box, {"kind": "char", "text": char}) for row in rows for word in row for char, box in word
        ),
        description=_describe(page, rows, language),
    )


def _draw_page(rng: random.Random, config: WorldConfig, chinese: bool) -> _Page:
    """Lines of words that fit, at random places."""
    for _ in range(1000):
        width, height = rng.choice(config.ocr_widths), rng.choice(config.ocr_heights)
        size = rng.randint(*config.ocr_font)
        pitch = line_height(size, chinese=chinese) + rng.randint(0, 6)
        fitting = (height - 2 * _MARGIN) // pitch
        count = min(rng.randint(*config.ocr_lines), fitting)
        if count < config.ocr_lines[0]:
            continue
        y = rng.randint(_MARGIN, height - _MARGIN - count * pitch)
        lines = []
        for index in range(count):
            words = [_draw_word(rng, chinese)]
            while rng.random() < 0.6:
                longer = [*words, _draw_word(rng, chinese)]
                if text_width(" ".join(longer), size, chinese=chinese) > width - 2 * _MARGIN:
                    break
                words = longer
            wide = text_width(" ".join(words), size, chinese=chinese)
            if wide > width - 2 * _MARGIN:
                break
            lines.append(_Line(tuple(words), size, rng.randint(_MARGIN, width - _MARGIN - wide), y + index * pitch))
        if len(lines) == count:
            return _Page(width, height, tuple(lines))
    raise DataError("no text page has room for its lines; lower ocr_lines or ocr_font, or raise ocr_heights")


def _draw_word(rng: random.Random, chinese: bool) -> str:
    if rng.random() < 0.2:
        return str(rng.randint(10, 999))
    return rng.choice(CHINESE_WORDS if chinese else WORDS)


def _render(
    rng: random.Random, page: _Page, config: WorldConfig, chinese: bool
) -> tuple[Image.Image, list[list[list[CharBox]]]]:
    """Draw the page; returns it with the characters of each word of each line."""
    dark = rng.random() < config.dark_share
    image = background(rng, page.width, page.height, dark_share=float(dark), texture_share=config.texture_share)
    levels = [rng.randint(200, 255) if dark else rng.randint(0, 70) for _ in range(3)]
    ink: RGB = (levels[0], levels[1], levels[2])
    rows = []
    for line in page.lines:
        x, row = line.x, []
        for word in line.words:
            row.append(draw_text(image, x, line.y, word, line.size, ink, chinese=chinese))
            x += text_width(word + " ", line.size, chinese=chinese)
        rows.append(row)
    return image, rows


def _turns(
    rng: random.Random, page: _Page, rows: list[list[list[CharBox]]], language: str, config: WorldConfig
) -> tuple[Turn, ...]:
    text = "\n".join(" ".join(line.words) for line in page.lines)
    lines = f"{len(page.lines)}行" if language == "zh" else f"{len(page.lines)} line" + "s" * (len(page.lines) > 1)
    read = Turn(
        "ocr", pick(rng, _QUESTIONS, "read", language), text, lines, Gold("text", text, {"metric": "edit"}), language
    )
    turns: list[Turn] = []
    words = [word for line in page.lines for word in line.words]
    for number, (line, row) in enumerate(zip(page.lines, rows, strict=True), 1):
        for word, chars in zip(line.words, row, strict=True):
            box = ink_box(chars)
            where = f"[{','.join(map(str, box))}]"
            place = f"第{number}行" if language == "zh" else f"line {number}"
            question = pick(rng, _QUESTIONS, "inside", language, box=where)
            gold = Gold("text", word, {"metric": "edit"})
            turns.append(Turn("ocr_box", question, word, place, gold, language))
            if words.count(word) == 1:
                question = pick(rng, _QUESTIONS, "find", language, x=word)
                gold = Gold("box", list(box))
                turns.append(Turn("ocr_box", question, box_answer([(box, word)]), place, gold, language))
    rng.shuffle(turns)
    return unique_turns([read, *turns], config.turns_per_item)


def _describe(page: _Page, rows: list[list[list[CharBox]]], language: str) -> str:
    lines = []
    for line, row in zip(page.lines, rows, strict=True):
        boxes = [",".join(map(str, ink_box(chars))) for chars in row]
        lines.append(" ".join(f'"{word}" [{box}]' for word, box in zip(line.words, boxes, strict=True)))
    name = "页面" if language == "zh" else "page"
    return f"{name} {page.width}x{page.height}: " + " / ".join(lines)
