"""The text of a mathematical answer: words with a fixed meaning, wrappers taken off, splits outside of brackets."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mimovl.verify.algebra import normalise

__all__ = ["WORDS", "split_top", "strip_group", "unwrap_text"]

_MEANINGS = {
    "empty": (
        r"\emptyset | no solution | no solutions | no real solution | no real solutions | no solution exists | "
        "no solutions exist | there is no solution | there are no solutions | there is no real solution | "
        "there are no real solutions | has no solution | the empty set | empty set | the equation has no solution | "
        "无解 | 无实数解 | 没有解 | 没有实数解 | 方程无解 | 空集 | 原方程无解 | 无实根 | 方程无实数解 | "
        "方程没有实数解 | "
        "方程没有解 | 方程组无解"
    ),
    "all": (
        r"\mathbb{R} | \mathbb r | r | \r | all real numbers | all reals | all real x | every real number | "
        r"any real number | the set of all real numbers | all real values | x \in \mathbb{r} | "
        "全体实数 | 任意实数 | 所有实数 | 一切实数 | 实数集"
    ),
    "undefined": (
        "undefined | not defined | does not exist | dne | doesn't exist | no such number exists | "
        "不存在 | 无定义 | 无意义"
    ),
    "infinitely many": (
        "infinitely many | infinitely many solutions | an infinite number of solutions | infinite solutions | "
        "无穷多解 | 无数解 | 无穷多个 | 无数个 | 无数多个"
    ),
    "yes": "yes | 是 | 是的 | 能 | 可以",
    "no": "no | 否 | 不是 | 不能 | 不可以",
    "true": "true | correct | 正确 | 对 | \\checkmark",
    "false": "false | incorrect | 错误 | 错 | 不正确",
}
WORDS = {
    " ".join(word.split()).casefold(): meaning for meaning, words in _MEANINGS.items() for word in words.split("|")
}
"""Words in lower case → what they mean: empty and all are sets of numbers, the others stand for themselves."""

_TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|textsf|textnormal|mathrm|mathbf|mbox|hbox|rm|bf)\s*\{([^{}]*)\}")
_LABEL = re.compile(r"^\s*\(?\s*[A-J]\s*[).:]\s*(?=[^\s,)])")
_TRAILING = re.compile(r"(?:\\[,;:! ]|[\s.;,。；，])+$")


def unwrap_text(text: str) -> str:
    r"""Normalised text without ``\text{}``, dollar signs and a leading option letter ("(B) 12" is 12)."""
    for _ in range(3):
        text = _TEXT.sub(lambda found: " " + found[1].strip(" ~") + " ", text)
    text = text.replace("\\{,\\}", ",")
    text = normalise(text.replace("\\\\", "\\\\ ")) if r"\begin" not in text else text.replace("$", " ").strip()
    text = re.sub(r"[`*]{2,}|(?<!\S)[*_]+(?=\S)", " ", text).strip()
    if r"\begin" not in text:
        text = _LABEL.sub("", text, count=1)
    return _TRAILING.sub("", text).strip()


def strip_group(text: str) -> str:
    """Take off braces that enclose the whole text."""
    while text.startswith("{") and text.endswith("}") and not text.endswith("\\}"):
        depth = 0
        for index, character in enumerate(text):
            escaped = index > 0 and text[index - 1] == "\\"
            depth += 0 if escaped else (character == "{") - (character == "}")
            if depth == 0 and index < len(text) - 1:
                return text
        text = text[1:-1].strip()
    return text


def split_top(text: str, marks: Sequence[str]) -> list[str]:
    r"""Split at any of the marks outside of brackets; a command such as ``\le`` is not found inside ``\left``."""
    parts: list[str] = []
    depth = start = index = 0
    size = len(text)
    while index < size:
        character = text[index]
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == "\\" and index + 1 < size and text[index + 1] in "{}":
            depth += 1 if text[index + 1] == "{" else -1
            index += 2
            continue
        if depth <= 0:
            for mark in marks:
                if text.startswith(mark, index) and not (
                    mark[0] == "\\" and text[index + len(mark) : index + len(mark) + 1].isalpha()
                ):
                    parts.append(text[start:index])
                    index += len(mark)
                    start = index
                    break
            else:
                index += 1
            continue
        index += 1
    return [*parts, text[start:]]
