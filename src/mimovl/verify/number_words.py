"""Numbers written as words: English ("twenty-one", "one hundred and five") and simple Chinese (十二, 三点五)."""

from __future__ import annotations

import re
from fractions import Fraction

__all__ = ["chinese_number", "english_number", "find_chinese_numbers", "find_english_numbers"]

_SMALL = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen".split()
    )
}
_TENS = {
    word: 10 * value
    for value, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2)
}
_SCALES = {"thousand": 1000, "million": 1_000_000}
_WORD = re.compile(r"[a-z]+|[^a-z\s-]")


def find_english_numbers(text: str) -> list[int]:
    """All numbers written as words, in order; 'two, three' is two numbers, 'twenty-three' one."""
    numbers: list[int] = []
    total, group, last = 0, 0, ""  # last: kind of the word before, "" between numbers
    for word in [*_WORD.findall(text.lower()), "."]:
        if word in _SMALL:
            value = _SMALL[word]
            extends = last in ("hundred", "and", "scale") or (last == "tens" and 1 <= value <= 9)
            kind = "small"
        elif word in _TENS:
            value, extends, kind = _TENS[word], last in ("hundred", "and", "scale"), "tens"
        elif word == "hundred" and last == "small" and 1 <= group <= 9:
            group, last = 100 * group, "hundred"
            continue
        elif word in _SCALES and last in ("small", "tens", "hundred") and not total:
            total, group, last = group * _SCALES[word], 0, "scale"
            continue
        elif word == "and" and last in ("hundred", "scale"):
            last = "and"
            continue
        else:
            value, extends, kind = -1, False, ""
        if last and not extends:
            numbers.append(total + group)
            total, group = 0, 0
        if value >= 0:
            group += value
        last = kind
    return numbers


def english_number(text: str) -> Fraction | None:
    """The number that is the whole text, else None."""
    words = [word for word in _WORD.findall(text.lower()) if word not in ".!"]
    if words[-1:] == ["dozen"] and len(words) == 2:
        return Fraction(12 * (1 if words[0] in ("a", "one") else _SMALL.get(words[0], 0))) or None
    known = _SMALL.keys() | _TENS.keys() | _SCALES.keys() | {"hundred", "and"}
    if not words or len(words) > 12 or not known.issuperset(words):
        return None
    numbers = find_english_numbers(text)
    return Fraction(numbers[0]) if len(numbers) == 1 else None


_DIGITS = {**{digit: value for value, digit in enumerate("零一二三四五六七八九")}, "〇": 0, "两": 2}
_UNITS = {"十": 10, "百": 100, "千": 1000}
_SECTIONS = {"万": 10_000, "亿": 100_000_000}
_NUMERAL = "零〇一二两三四五六七八九十百千万亿"
_MEASURE = "个只条颗张辆本位名处块朵件次种枚台支头匹座间棵人元岁天年米秒分"
_COUNTED = re.compile(f"(?P<number>[{_NUMERAL}]{{1,20}})(?=[{_MEASURE}])")
_CONCLUDED = re.compile(
    f"(?:是|为|共|有|等于|得|剩|[:：=])\\s*(?P<number>(?:百分之)?[{_NUMERAL}点]{{1,20}})\\s*(?:[。.!！,，;；]|$)"
)


def chinese_number(text: str) -> Fraction | None:
    """The number that is the whole text: 三, 十二, 两百零三, 一万二千, 三点五, 百分之五十, 负三, 二分之一, or None."""
    text = text.strip().rstrip("。.!！")
    if text.startswith("负"):
        value = chinese_number(text[1:]) if text[1:2] != "负" else None
        return None if value is None else -value
    if "分之" in text:
        return _chinese_fraction(text)
    if text in ("半", "一半"):
        return Fraction(1, 2)
    if text in ("一双", "一对"):
        return Fraction(2)
    if len(text) == 2 and text[1] == "成" and text[0] in _DIGITS:
        return Fraction(_DIGITS[text[0]], 10)
    whole, point, decimals = text.partition("点")
    if not whole or len(text) > 20 or any(character not in _NUMERAL for character in whole):
        return None
    value = Fraction(_chinese_integer(whole))
    if point:
        if not decimals or any(character not in _DIGITS for character in decimals):
            return None
        value += Fraction(int("".join(str(_DIGITS[character]) for character in decimals)), 10 ** len(decimals))
    return value


def _chinese_fraction(text: str) -> Fraction | None:
    """百分之五十, 三分之二, 一又二分之一."""
    whole, again, rest = text.rpartition("又")
    below, _, above = rest.partition("分之")
    parts = [chinese_number(part) for part in (whole if again else "零", above, below) if "分之" not in part]
    if len(parts) != 3 or len(text) > 40:
        return None
    first, numerator, denominator = parts
    if first is None or numerator is None or not denominator:
        return None
    return first + numerator / denominator


def _chinese_integer(text: str) -> int:
    if len(text) > 1 and all(character in _DIGITS for character in text):
        return int("".join(str(_DIGITS[character]) for character in text))  # read digit by digit: 二〇二五
    total = section = digit = 0
    for character in text:
        if character in _DIGITS:
            digit = _DIGITS[character]
        elif character in _UNITS:
            section += (digit or 1) * _UNITS[character]
            digit = 0
        else:
            total = (total + section + digit) * _SECTIONS[character]
            section = digit = 0
    return total + section + digit


def find_chinese_numbers(text: str) -> list[Fraction]:
    """Numbers before a measure word (三个) or closing a clause after 是, 有, 共, …; not the 三 of 三角形."""
    matches = [*_COUNTED.finditer(text), *_CONCLUDED.finditer(text)]
    matches.sort(key=lambda match: match.start("number"))
    values = (chinese_number(match["number"]) for match in matches)
    return [value for value in values if value is not None]
