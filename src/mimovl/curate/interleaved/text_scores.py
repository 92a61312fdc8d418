"""Knowledge density and readability of Chinese and English text, offline, each in [0, 1] (MiMo-VL §2.2.2; ours).

The paper scores text on both and says not how. Here readability asks whether it reads as prose (sentences of a length
people write, function words in their usual share, lines that end as sentences), density how much it states for its
length (content words, variety, names, numbers, terms, words of definition and cause, less talk and selling). Both are
sums of simple statistics: they tell an encyclopedia from chatter and a paragraph from a menu, and know no truth.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from pydantic import Field

from mimovl.curate.interleaved.blocks import Block, blocks_of
from mimovl.curate.interleaved.language import ENGLISH_FUNCTION_WORDS, language_of, sentences, words_of
from mimovl.curate.interleaved.text_words import (
    CHINESE_COMMON,
    CHINESE_FUNCTION,
    CHINESE_STATES,
    CHINESE_TALK,
    ENGLISH_STATES,
    ENGLISH_TALK,
)
from mimovl.curate.step import Apply, Dropped, Result, Step, Tools
from mimovl.types import Sample

__all__ = ["TextScores", "TextScoresStep", "flesch_reading_ease", "score_text", "syllables"]

_SAMPLED = 40_000
_WINDOW = 50
_HAN = re.compile(r"[\u4e00-\u9fff]")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]+")
_TERM = re.compile(r"\b(?:[A-Za-z]{11,}|[A-Z]{2,}\w*|[A-Za-z]+\d\w*|[A-Za-z]+-[A-Za-z]+)\b")
_LATIN = re.compile(r"[A-Za-z][\w\-.]+")
_BOOK = re.compile(r"[《“「][^》”」]{1,30}[》”」]")
_VOWELS = re.compile(r"[aeiouy]+")
_LINE_END = re.compile(r"[.!?:;。！？：；…][\"'”’)\]）」』]*$")


@dataclass(frozen=True, slots=True)
class TextScores:
    """Scores of a text, both in [0, 1], and the language they were made for."""

    language: str
    knowledge_density: float
    readability: float
    characters: int


def score_text(blocks: Sequence[Block], language: str = "") -> TextScores:
    """Scores of a document's running text (of its first 40,000 characters).

    Args:
        blocks: a document.
        language: ``zh`` or ``en``; told from the text where empty. Any other gets 0 for both.
    """
    texts = [block.text for block in blocks if block.kind in ("text", "caption") and block.text.strip()]
    text = "\n\n".join(texts)[:_SAMPLED]
    language = language or language_of(text)
    if language not in ("zh", "en") or not text:
        return TextScores(language, 0.0, 0.0, len(text))
    density, readability = (_chinese if language == "zh" else _english)(text)
    readability *= math.sqrt(_ramp(_whole_lines(texts), 0.0, 0.5))
    return TextScores(language, round(density, 4), round(readability, 4), len(text))


def syllables(word: str) -> int:
    """Syllables of an English word: its groups of vowels, less silent endings. Wrong where vowels part (create)."""
    word = word.lower()
    groups = len(_VOWELS.findall(word))
    if word.endswith("e") and not word.endswith(("le", "ee", "ye")) and groups > 1:
        groups -= 1
    if word.endswith("ed") and len(word) > 3 and word[-3] not in "tdaeiouy" and groups > 1:
        groups -= 1
    return max(1, groups)


def flesch_reading_ease(text: str) -> float:
    """Flesch's reading ease of English text (Flesch 1948): 100 very easy, 0 very hard; 0 without words."""
    words = words_of(text)
    if not words:
        return 0.0
    count = max(1, len(sentences(text)))
    return 206.835 - 1.015 * len(words) / count - 84.6 * sum(map(syllables, words)) / len(words)


class TextScoresStep(Step):
    """Scores a document's text and drops what scores low; ``meta["text_scores"]`` holds the scores.

    Drops: low_density, low_readability, other_language, too_little_text.
    """

    step: Literal["text_scores"] = "text_scores"
    languages: list[Literal["zh", "en"]] = Field(default=["zh", "en"], min_length=1)
    """Documents in other languages are dropped."""
    min_density: float = Field(default=0.3, ge=0, le=1)
    """Least knowledge density."""
    min_readability: float = Field(default=0.35, ge=0, le=1)
    """Least readability."""
    min_characters: int = Field(default=100, ge=1)
    """Least characters of running text."""

    def open(self, tools: Tools) -> Apply:
        """Nothing to get ready."""
        return lambda batch: [self._result(sample) for sample in batch]

    def _result(self, sample: Sample) -> Result:
        scores = score_text(blocks_of(sample))
        if scores.characters < self.min_characters:
            return Dropped("too_little_text", f"{scores.characters} characters, at least {self.min_characters}")
        if scores.language not in self.languages:
            return Dropped("other_language", f"{scores.language}, kept are {', '.join(self.languages)}")
        if scores.knowledge_density < self.min_density:
            return Dropped("low_density", f"{scores.knowledge_density:.2f}, at least {self.min_density:.2f}")
        if scores.readability < self.min_readability:
            return Dropped("low_readability", f"{scores.readability:.2f}, at least {self.min_readability:.2f}")
        return replace(sample, language=scores.language, meta={**sample.meta, "text_scores": asdict(scores)})


def _english(text: str) -> tuple[float, float]:
    words = words_of(text)
    if not words:
        return 0.0, 0.0
    content = [word for word in words if word not in ENGLISH_FUNCTION_WORDS]
    hundred = len(words) / 100
    stated = len(_NUMBER.findall(text)) + len(_NAME.findall(text)) + len(_TERM.findall(text))
    stated += 2 * len(ENGLISH_STATES.findall(text))
    density = _density(_variety(content), _ramp(len(content) / len(words), 0.3, 0.55), stated / hundred, 14.0, text)
    density -= 0.05 * min(12.0, len(ENGLISH_TALK.findall(text)) / hundred)
    found = sentences(text)
    length = len(words) / max(1, len(found))
    letters = sum(char.isalpha() for char in text) / max(1, sum(not char.isspace() for char in text))
    readability = _product(
        _trapezoid(length, 2, 8, 30, 80),
        _trapezoid(1 - len(content) / len(words), 0.12, 0.3, 0.65, 0.85),
        _ramp(letters, 0.5, 0.8),
        _ramp(flesch_reading_ease(text), -60.0, 20.0),
    )
    return max(0.0, density), readability


def _chinese(text: str) -> tuple[float, float]:
    han = _HAN.findall(text)
    if not han:
        return 0.0, 0.0
    function = sum(char in CHINESE_FUNCTION for char in han) / len(han)
    common = sum(char in CHINESE_COMMON for char in han) / len(han)
    hundred = len(han) / 100
    pairs = [one + two for one, two in zip(han, han[1:], strict=False)]
    stated = len(_NUMBER.findall(text)) + len(_LATIN.findall(text)) + len(_BOOK.findall(text))
    stated += 2 * len(CHINESE_STATES.findall(text))
    density = _density(_variety(pairs), _ramp(1 - function, 0.7, 0.9), stated / hundred, 9.0, text)
    density += 0.15 * (_ramp(1 - common, 0.2, 0.5) - 0.5)  # rarer characters are those of terms and names
    density -= 0.05 * min(12.0, len(CHINESE_TALK.findall(text)) / hundred)
    found = sentences(text)
    clean = sum(char.isalnum() for char in text) / max(1, sum(not char.isspace() for char in text))
    readability = _product(
        _trapezoid(len(han) / max(1, len(found)), 3, 10, 60, 200),
        _trapezoid(function, 0.01, 0.05, 0.28, 0.45),
        _ramp(common, 0.15, 0.4),
        _ramp(clean, 0.5, 0.8),
    )
    return min(1.0, max(0.0, density)), readability


def _density(variety: float, content: float, stated: float, rich: float, text: str) -> float:
    """What both languages share. ``stated``: marks of statements in a hundred words; ``rich`` of them count full."""
    data = text.encode()
    fresh = _ramp(len(zlib.compress(data, 6)) / len(data), 0.05, 0.3) if len(data) > 600 else 1.0
    return fresh * (0.25 * _ramp(variety, 0.5, 0.9) + 0.25 * content + 0.5 * float(min(1.0, stated / rich) ** 0.7))


def _variety(units: Sequence[str]) -> float:
    """Mean share of different units in windows of fifty (the moving-average type-token ratio)."""
    if len(units) <= _WINDOW:
        return len(set(units)) / max(1, len(units))
    shares = [
        len(set(units[start : start + _WINDOW])) / _WINDOW for start in range(0, len(units) - _WINDOW + 1, _WINDOW)
    ]
    return sum(shares) / len(shares)


def _whole_lines(texts: Sequence[str]) -> float:
    """Share of the text in blocks that end as sentences do."""
    total = sum(map(len, texts))
    return sum(len(text) for text in texts if _LINE_END.search(text.rstrip())) / max(1, total)


def _ramp(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low)))


def _trapezoid(value: float, zero: float, one: float, still_one: float, zero_again: float) -> float:
    return min(_ramp(value, zero, one), 1 - _ramp(value, still_one, zero_again))


def _product(*values: float) -> float:
    """The geometric mean: one thing that is wrong shows."""
    result = 1.0
    for value in values:
        result *= value
    return float(result ** (1 / len(values)))
