r"""Units of measurement: "cm", "km/h", "kg\cdot m/s^2", "square metres", 平方厘米, 元 → dimension and exact factor.

A unit compares by its dimension and converts by its factor, so 5 m equals 500 cm and never 5 cm. A word that is no
unit ("apples") is a thing counted: it has a dimension of its own name.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

__all__ = ["Unit", "parse_unit"]

MAX_CHARS = 60


class Unit(NamedTuple):
    """``dimension`` is sorted (base, exponent) pairs; one unit is ``factor`` of the base units.

    Angles in degrees have the base "degree", currencies and counted things their own. ``counted`` says that a word was
    not known as a unit.
    """

    dimension: tuple[tuple[str, int], ...]
    factor: Fraction
    counted: bool = False


_PREFIXES = {
    "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "h": 2,
    "d": -1, "c": -2, "m": -3, "µ": -6, "μ": -6, "u": -6, "n": -9, "p": -12,
}  # fmt: skip
_PREFIX_WORDS = {"": "", "kilo": "k", "mega": "M", "giga": "G", "deci": "d", "centi": "c", "milli": "m",
                 "micro": "µ", "nano": "n"}  # fmt: skip
_M, _KG, _S, _A = ("m", 1), ("kg", 1), ("s", 1), ("A", 1)
_JOULE = (("kg", 1), ("m", 2), ("s", -2))

# symbol: (dimension, factor, prefixes)
_SYMBOLS: dict[str, tuple[tuple[tuple[str, int], ...], Fraction, str]] = {
    "m": ((_M,), Fraction(1), "kdcmµμunp"),
    "g": ((_KG,), Fraction(1, 1000), "kcmµμu"),
    "s": ((_S,), Fraction(1), "mµμunp"),
    "A": ((_A,), Fraction(1), "kmµμu"),
    "K": ((("K", 1),), Fraction(1), "m"),
    "mol": ((("mol", 1),), Fraction(1), "kmµ"),
    "L": ((("m", 3),), Fraction(1, 1000), "cdmµ"),
    "l": ((("m", 3),), Fraction(1, 1000), "cdmµ"),
    "N": ((("kg", 1), ("m", 1), ("s", -2)), Fraction(1), "kMm"),
    "J": (_JOULE, Fraction(1), "kMGmµ"),
    "eV": (_JOULE, Fraction("1.602176634e-19"), "kMGm"),
    "cal": (_JOULE, Fraction("4.184"), "k"),
    "Wh": (_JOULE, Fraction(3600), "kM"),
    "W": ((("kg", 1), ("m", 2), ("s", -3)), Fraction(1), "kMGmµ"),
    "Pa": ((("kg", 1), ("m", -1), ("s", -2)), Fraction(1), "kMGh"),
    "V": ((("A", -1), ("kg", 1), ("m", 2), ("s", -3)), Fraction(1), "kMmµ"),
    "Ω": ((("A", -2), ("kg", 1), ("m", 2), ("s", -3)), Fraction(1), "kMm"),
    "C": ((("A", 1), ("s", 1)), Fraction(1), "mµnup"),
    "F": ((("A", 2), ("kg", -1), ("m", -2), ("s", 4)), Fraction(1), "mµunp"),
    "T": ((("A", -1), ("kg", 1), ("s", -2)), Fraction(1), "mµ"),
    "Hz": ((("s", -1),), Fraction(1), "kMG"),
}
_YARD = Fraction("0.9144")
_POUND = Fraction("0.45359237")
_PLAIN: dict[str, tuple[tuple[tuple[str, int], ...], Fraction]] = {
    "min": ((_S,), Fraction(60)),
    "h": ((_S,), Fraction(3600)),
    "hr": ((_S,), Fraction(3600)),
    "sec": ((_S,), Fraction(1)),
    "day": ((_S,), Fraction(86400)),
    "d": ((_S,), Fraction(86400)),
    "week": ((_S,), Fraction(604800)),
    "month": ((("month", 1),), Fraction(1)),
    "year": ((("month", 1),), Fraction(12)),
    "yr": ((("month", 1),), Fraction(12)),
    "in": ((_M,), _YARD / 36),
    "inch": ((_M,), _YARD / 36),
    "ft": ((_M,), _YARD / 3),
    "foot": ((_M,), _YARD / 3),
    "feet": ((_M,), _YARD / 3),
    "yd": ((_M,), _YARD),
    "yard": ((_M,), _YARD),
    "mi": ((_M,), _YARD * 1760),
    "mile": ((_M,), _YARD * 1760),
    "lb": ((_KG,), _POUND),
    "pound": ((_KG,), _POUND),
    "oz": ((_KG,), _POUND / 16),
    "ounce": ((_KG,), _POUND / 16),
    "ton": ((_KG,), Fraction(1000)),
    "tonne": ((_KG,), Fraction(1000)),
    "t": ((_KG,), Fraction(1000)),
    "ha": ((("m", 2),), Fraction(10_000)),
    "hectare": ((("m", 2),), Fraction(10_000)),
    "atm": ((("kg", 1), ("m", -1), ("s", -2)), Fraction(101_325)),
    "mph": ((("m", 1), ("s", -1)), _YARD * 1760 / 3600),
    "kph": ((("m", 1), ("s", -1)), Fraction(1000, 3600)),
    "°": ((("degree", 1),), Fraction(1)),
    "degree": ((("degree", 1),), Fraction(1)),
    "deg": ((("degree", 1),), Fraction(1)),
    "rad": ((("radian", 1),), Fraction(1)),
    "radian": ((("radian", 1),), Fraction(1)),
    "°C": ((("celsius", 1),), Fraction(1)),
    "degree celsius": ((("celsius", 1),), Fraction(1)),
    "°F": ((("fahrenheit", 1),), Fraction(1)),
    "%": ((), Fraction(1, 100)),
    "percent": ((), Fraction(1, 100)),
    "‰": ((), Fraction(1, 1000)),
    "$": ((("dollar", 1),), Fraction(1)),
    "dollar": ((("dollar", 1),), Fraction(1)),
    "usd": ((("dollar", 1),), Fraction(1)),
    "cent": ((("dollar", 1),), Fraction(1, 100)),
    "¢": ((("dollar", 1),), Fraction(1, 100)),
    "€": ((("euro", 1),), Fraction(1)),
    "euro": ((("euro", 1),), Fraction(1)),
    "£": ((("pound sterling", 1),), Fraction(1)),
    "¥": ((("yuan", 1),), Fraction(1)),
    "yuan": ((("yuan", 1),), Fraction(1)),
    "jiao": ((("yuan", 1),), Fraction(1, 10)),
    "dozen": ((), Fraction(12)),
    "Omega": (_SYMBOLS["Ω"][0], Fraction(1)),
    "ohm": (_SYMBOLS["Ω"][0], Fraction(1)),
    "unit": ((), Fraction(1)),
}
_NAMES = {
    "meter": "m", "metre": "m", "gram": "g", "gramme": "g", "second": "s", "liter": "L", "litre": "L", "joule": "J",
    "watt": "W", "newton": "N", "pascal": "Pa", "volt": "V", "ampere": "A", "amp": "A", "hertz": "Hz", "kelvin": "K",
    "mole": "mol", "calorie": "cal", "coulomb": "C", "minute": "min", "hour": "h",
}  # fmt: skip
_CHINESE: dict[str, str] = {
    "毫米": "mm", "厘米": "cm", "分米": "dm", "千米": "km", "公里": "km", "米": "m", "毫克": "mg", "千克": "kg",
    "公斤": "kg", "克": "g", "吨": "t", "毫升": "mL", "升": "L", "秒": "s", "分钟": "min", "分": "min", "小时": "h",
    "时": "h", "天": "day", "日": "day", "周": "week", "个月": "month", "年": "year", "公顷": "ha", "度": "°",
    "摄氏度": "°C", "元": "¥", "角": "jiao",
    "人民币": "¥", "块钱": "¥", "美元": "$", "欧元": "€", "伏": "V", "伏特": "V", "安": "A",
    "安培": "A", "欧": "Ω", "欧姆": "Ω", "瓦": "W", "瓦特": "W", "牛": "N", "牛顿": "N", "焦": "J", "焦耳": "J",
    "单位": "unit", "帕": "Pa", "赫兹": "Hz", "弧度": "rad",
}  # fmt: skip
_POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
_CLASSIFIERS = "个只条颗张辆本位名处块朵件次种枚台支头匹座间棵人岁倍组对排页题"

_PART = re.compile(
    r"\s*(?P<op>/|\*|per\b|每|(?=\S))\s*(?P<open>\(?)\s*"
    r"(?P<unit>°[CF]?|[%‰$€£¥¢]|[A-Za-zµμΩ]+|[\u4e00-\u9fff]+)\s*"
    r"(?:\^\s*\{?\s*(?P<power>-?\d)\s*\}?|(?P<digit>[23])(?![\d.]))?\s*(?P<close>\)?)"
)


@lru_cache(maxsize=4096)
def parse_unit(text: str) -> Unit | None:
    """Read a whole text as a unit or as words for a counted thing; None when it is neither.

    Degrees must be written ° or as a word, powers as ^2, a final digit or "square"; "per", "/" and 每 divide.
    """
    text = " ".join(text.replace("\\", " ").split()).strip(" .")
    if not text or len(text) > MAX_CHARS:
        return None
    return _known(text) or _counted(text)


def _known(text: str) -> Unit | None:
    whole = _PLAIN.get(text.lower().removesuffix("s"))
    if whole is not None and " " in text:
        return Unit(*whole)
    exponents: dict[str, int] = {}
    factor = Fraction(1)
    position, sign, pending, inside, first = 0, 1, 1, False, True
    while position < len(text):
        match = _PART.match(text, position)
        if match is None:
            return None
        position = match.end()
        op = match["op"]
        if op in ("/", "per", "每"):
            sign = -1
        elif not inside and not first:
            sign = 1
        word = match["unit"]
        if word.lower() in _POWERS and not match["power"]:
            pending, first = _POWERS[word.lower()], first
            continue
        inside = (inside or bool(match["open"])) and not match["close"]
        found = _single(word)
        if found is None:
            return None
        dimension, scale = found
        power = int(match["power"] or match["digit"] or 1) * pending * sign
        pending, first = 1, False
        factor *= scale**power
        for base, exponent in dimension:
            exponents[base] = exponents.get(base, 0) + exponent * power
    if first:
        return None
    return Unit(tuple(sorted((base, exponent) for base, exponent in exponents.items() if exponent)), factor)


def _single(word: str) -> tuple[tuple[tuple[str, int], ...], Fraction] | None:
    """One unit word or symbol: cm, kilometres, 平方米."""
    if word[0] >= "\u4e00":
        return _chinese(word)
    for symbol, (dimension, factor, prefixes) in _SYMBOLS.items():
        if word.endswith(symbol):
            prefix = word[: -len(symbol)]
            if prefix == "" or (len(prefix) == 1 and prefix in prefixes):
                return dimension, factor * Fraction(10) ** _PREFIXES[prefix]
    if word in _PLAIN:
        return _PLAIN[word]
    lower = word.lower()
    for name in (lower, lower.removesuffix("s"), lower.removesuffix("es")):
        if len(name) > 1 and name in _PLAIN:
            return _PLAIN[name]
        for prefix, letter in _PREFIX_WORDS.items():
            symbol = _NAMES.get(name.removeprefix(prefix), "") if name.startswith(prefix) else ""
            if symbol in _SYMBOLS:
                dimension, factor, _ = _SYMBOLS[symbol]
                return dimension, factor * Fraction(10) ** _PREFIXES[letter]
            if symbol and not prefix:
                return _PLAIN[symbol]
    return None


def _chinese(word: str) -> tuple[tuple[tuple[str, int], ...], Fraction] | None:
    power = 1
    for lead, exponent in (("平方", 2), ("立方", 3)):
        if word.startswith(lead):
            word, power = word[len(lead) :], exponent
    above, per, below = word.partition("每")
    symbol = _CHINESE.get(above)
    found = _single(symbol) if symbol else None
    if found is None:
        return None
    dimension = tuple((base, exponent * power) for base, exponent in found[0])
    factor = found[1] ** power
    if not per:
        return dimension, factor
    lower = _chinese(below)
    if lower is None:
        return None
    joined = dict(dimension)
    for base, exponent in lower[0]:
        joined[base] = joined.get(base, 0) - exponent
    return tuple(sorted(joined.items())), factor / lower[1]


def _counted(text: str) -> Unit | None:
    words = re.fullmatch(r"[A-Za-z][A-Za-z -]*|[\u4e00-\u9fff]+", text)
    if words is None:
        return None
    name = text.lower()
    if name[0] >= "\u4e00":
        name = name.lstrip(_CLASSIFIERS) or "个"
        return Unit((), Fraction(1), counted=True) if name == "个" else Unit(((name, 1),), Fraction(1), counted=True)
    return Unit(((name.removesuffix("s"), 1),), Fraction(1), counted=True)
