r"""Where the expression stands in the text of an answer.

In its last ``\boxed{}`` (several, when "and", "or" or a comma joins them); else after "the answer is"; else the whole
text where it is an expression; else the last formula between dollar signs; else what stands after the last "=" or "is".
"""

from __future__ import annotations

import re

from mimovl.verify.answer import after_marker, plain, read_answer, tail
from mimovl.verify.units import parse_unit

__all__ = ["math_candidates"]

MAX_CHARS = 1000
"""A longer text is no answer."""

_JOINT = re.compile(
    r"[\s$.]*(?:,|;|and|or|和|或|及|、|，)[\s$]*(?:(?:and|or|和|或)\b[\s$]*)?(?:[A-Za-z](?:_\{?\d\}?)?\s*=\s*)?[\s$]*",
)
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_FORMULA = re.compile(
    r"\$\$(?P<display>[^$]+)\$\$|\$(?P<inline>[^$\n]+)\$|\\\((?P<round>.+?)\\\)|\\\[(?P<square>.+?)\\\]", re.DOTALL
)
_TEXT = re.compile(r"\\(?:text|mathrm|textbf|mbox)\s*\{([^{}]*)\}")
_BOLD = re.compile(r"\*\*(?![\w(\\])|(?<![\w)}])\*\*")
_NUMBER_AT_END = re.compile(
    r"(?:(?<!\S)|(?<=[\u4e00-\u9fff=:：]))[-+]?\$?\d[\d,]{0,30}(?:\.\d{1,30})?(?:/\d{1,30})?"
    r"(?:\s?(?:%|°[CF]?|[a-zA-Z]{1,12}(?:\^?[23])?|[\u4e00-\u9fff]{1,4}))?$"
)
_NUMBER_AT_START = re.compile(r"[-+]?\$?\d[\d,]{0,30}(?:\.\d{1,30})?(?:/\d{1,30})?\s?%?(?=[\s,;.]|$)")
_NO_CONCLUSION = re.compile(r"\b(?:or|not|either|between|n't|cannot|unless|except)\b|n['’]t\b|不|或|非")
_REASON = re.compile(
    r"\s*[,(;，；]?\s*"
    r"(?:\b(?:because|since|as|which|so that|where the|if you|assuming|given that)\b|因为|由于|其中).*$",
    re.DOTALL,
)
_LEAD = re.compile(
    r"^(?:(?:so|thus|hence|therefore|then|and|所以|因此|故|则|于是)[,，:]?\s*)?"
    r"(?:[A-Za-z][A-Za-z' -]{0,60}?\b(?:is|are|equals|was|be|becomes|gives)\b"
    r"(?:\s+(?:equal to|exactly|about|approximately))?\s*:?"
    r"|[\u4e00-\u9fffA-Za-z]{0,20}(?:为|是|等于|得|共|有)[:：]?)"
    r"\s*(?=[-+\d\\$({\[√π]|[A-Za-z](?![A-Za-z]))",
    re.IGNORECASE,
)
_UNIT_BEHIND = re.compile(
    r"\s?(?!(?:is|and|or|are|in|for|as|so)\b)"
    r"(?:%|°[CF]?|[a-zA-Z]{1,12}(?:\^?[23]|/[a-z]+)?|[\u4e00-\u9fff]{1,5})(?=[\s.,;。，；]|$)"
)


def math_candidates(text: str) -> list[str]:
    """Texts that may be the expression an answer gives, the likeliest first; empty when there is nothing to read."""
    joined = _joined_boxes(text)
    if joined:
        return [joined]
    answer = read_answer(text)
    if answer is None:
        return []
    if answer.boxed:
        marked = after_marker(answer.text) if len(answer.text) <= MAX_CHARS else None
        return [_trimmed(marked or answer.text)]
    found: list[str] = []
    marked = after_marker(answer.text)
    if marked:
        found.extend(_from_line(marked))
    whole = answer.text
    if len(whole) <= MAX_CHARS:
        found.append(plain(whole))
    last = _last_formula(tail(whole))
    if last:
        found.append(last)
    line = _BOLD.sub("", tail(whole).rstrip(" .。\n").rpartition("\n")[2])
    concluded = _LEAD.sub("", re.split(r"(?<=[.。;；!])\s+|[，,]\s*(?=所以|因此|故|so |hence|thus)", line)[-1], count=1)
    if concluded:
        found.append(_trimmed(concluded))
    if "=" in line:
        found.append(plain(line.rpartition("=")[2].strip(" $*")))
    number = _NUMBER_AT_END.search(concluded.strip(" $*.。")) if not marked else None
    if number and not _NO_CONCLUSION.search(concluded):
        found.append(number[0])
    return [part for part in dict.fromkeys(part.strip() for part in found) if part]


def _joined_boxes(text: str) -> str | None:
    r"""``x=\boxed{1} or x=\boxed{2}`` as "1 or 2"; None without at least two boxes joined by a word or comma."""
    starts = [match for match in _BOX.finditer(text)]
    if not 2 <= len(starts) <= 40:
        return None
    parts: list[str] = []
    end = 0
    for match in starts:
        content, close = _content(text, match.end())
        if content is None:
            return None
        between = _TEXT.sub(r" \1 ", text[end : match.start()])
        if parts and not _JOINT.fullmatch(between):
            parts = []
        parts.append(content)
        end = close
    if len(parts) < 2:
        return None
    return ", ".join(parts)


def _content(text: str, start: int) -> tuple[str | None, int]:
    depth = 1
    for match in re.compile(r"\\.|[{}]", re.DOTALL).finditer(text, start, start + MAX_CHARS):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return text[start : match.start()].strip(), match.end()
    return None, start


def _from_line(line: str) -> list[str]:
    """What a line after "the answer is" gives: its leading formulas, else the line without its explanation."""
    line = _BOLD.sub("", line).strip("* ")
    formulas = list(_FORMULA.finditer(line))
    found = []
    if formulas and formulas[0].start() <= 2:
        found.append(_chain(line, formulas, 0))
    found.append(_trimmed(line))
    if formulas:
        found.append(_inside(formulas[-1]))
    leading = _NUMBER_AT_START.match(line)
    if leading:
        found.append(leading[0])
    first_sentence = re.split(r"(?<=[^\d\s])[.。]\s+|[。]|(?<=\d)\.\s", line)[0]
    if first_sentence != line:
        found.append(_trimmed(first_sentence))
    return found


def _last_formula(text: str) -> str | None:
    formulas = list(_FORMULA.finditer(text))
    if not formulas:
        return None
    first = len(formulas) - 1
    while first and _JOINT.fullmatch(text[formulas[first - 1].end() : formulas[first].start()]):
        first -= 1
    return _chain(text, formulas, first)


def _chain(text: str, formulas: list[re.Match[str]], first: int) -> str:
    """A formula, and those that "and", "or" or a comma join to it, and a unit right behind."""
    parts = [_inside(formulas[first])]
    last = first
    while last + 1 < len(formulas) and _JOINT.fullmatch(text[formulas[last].end() : formulas[last + 1].start()]):
        last += 1
        parts.append(_inside(formulas[last]))
    behind = _UNIT_BEHIND.match(text, formulas[last].end()) if len(parts) == 1 else None
    unit = parse_unit(behind[0]) if behind else None
    return ", ".join(parts) + (behind[0] if behind and unit and not unit.counted else "")


def _inside(match: re.Match[str]) -> str:
    return str(next(group for group in match.groups() if group is not None)).strip()


def _trimmed(text: str) -> str:
    if len(text) > MAX_CHARS:
        return text
    text = plain(_BOLD.sub("", _REASON.sub("", text)).strip())
    words = _TEXT.sub(r"\1", text).strip()
    without = _LEAD.sub("", words, count=1)
    return plain((without if without != words else text).rstrip(".。"))
