"""Whether a caption repeats itself as a captioner does that is caught in a loop: characters, words, phrases, sentences.

Words are Latin words and single Chinese characters. Four tests, in the order of cost; the first that fires names the
loop. Nearly every caption is through after the second, because among its four-word sequences hardly one comes twice.

    characters   one word of 20 letters or more that is a few letters over and over
    marks        one to three marks, twelve times
    phrases      words right after each other again: one 7 times, two 5 times, three 4 times, more 3 times
    sentences    one sentence three times, whatever number it begins with, or repeated ones that are a third of all
    sequences    most of the sequences of four words (six Chinese characters) come more than once

The limits let ordinary repetition pass: refrains, "very, very", lists of alike things, five stars.
"""

from __future__ import annotations

import re
from collections import Counter

__all__ = ["find_loop"]

_WORD = re.compile("[\u3005-\u3007\u3040-\u30ff\u3400-\u9fff]|[^\\W\u3005-\u3007\u3040-\u30ff\u3400-\u9fff_]+")
_LONG_WORD = 20
_IN_WORD = re.compile(r"(.{1,6}?)\1{5,}")
_MARKS = re.compile(r"((?:[^\w\s]\s?){1,3}?)\1{11,}")
_PHRASE = re.compile(r"(.)\1{6}|(..)\2{4}|(...)\3{3}|(.{4,60}?)\4{2}", re.DOTALL)
_SENTENCE_END = re.compile(r"(?:\.(?![0-9])|[!?。！？；;\n])+")
_NUMBER = re.compile(r"^\s*(?:(?:step\s*|no\s*)?[0-9]+|第[一二三四五六七八九十百0-9]+[步条点]?)[\s.:,、，：)）]*")
_REPEATS = 1
"""Sequences of four words that may come again before one looks closer."""
_MAX_WORDS = 2000


def find_loop(text: str) -> str:
    """What is repeated, in a few words; empty if a caption is no loop."""
    words = _WORD.findall(text.casefold())[:_MAX_WORDS]
    if words and len(max(words, key=len)) >= _LONG_WORD:
        for word in words:
            if len(word) >= _LONG_WORD and (found := _IN_WORD.search(word)) and len(found[0]) >= _LONG_WORD // 2:
                return f"characters: {found[1]!r} {len(found[0]) // len(found[1])} times"
    if found := _MARKS.search(text):
        return f"marks: {found[1]!r} {len(found[0]) // len(found[1])} times"
    repeats = len(words) - 3 - len(set(zip(words, words[1:], words[2:], words[3:], strict=False)))
    if repeats <= _REPEATS:
        return ""
    return _phrase(words) or _sentence(text) or _sequences(words)


def _phrase(words: list[str]) -> str:
    """Words right after each other, found by a regular expression over one character a word."""
    numbers: dict[str, int] = {}
    coded = "".join(chr(0x100 + numbers.setdefault(word, len(numbers))) for word in words)
    if not (found := _PHRASE.search(coded)):
        return ""
    length = len(next(group for group in found.groups() if group))
    unit = words[found.start() : found.start() + length]
    times = 1
    while words[found.start() + times * length :][:length] == unit:
        times += 1
    return f"phrase: {_joined(unit)!r} {times} times"


def _sentence(text: str) -> str:
    sentences = [_NUMBER.sub("", part).strip(" \t、.:,，-*•") for part in _SENTENCE_END.split(text.casefold())]
    counts = Counter(sentence for sentence in sentences if len(_WORD.findall(sentence)) > 2)
    if not counts:
        return ""
    sentence, times = counts.most_common(1)[0]
    again = sum(len(one) * (count - 1) for one, count in counts.items())
    if times > 2 or again >= len(text) / 3:
        return f"sentence: {sentence[:60]!r} {times} times"
    return ""


def _sequences(words: list[str]) -> str:
    length = 6 if len(words[0]) == 1 and sum(len(word) == 1 for word in words) > len(words) / 2 else 4
    total = len(words) - length + 1
    if total < 16:
        return ""
    counts = Counter(tuple(words[start : start + length]) for start in range(total))
    again = total - len(counts)
    if again > 0.4 * total:
        unit, times = counts.most_common(1)[0]
        return f"sequences: {_joined(list(unit))!r} {times} times, {again} of {total} came before"
    return ""


def _joined(words: list[str]) -> str:
    return ("" if all(len(word) == 1 and not word.isascii() for word in words) else " ").join(words)[:60]
