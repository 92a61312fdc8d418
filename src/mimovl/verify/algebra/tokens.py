r"""TeX, Unicode or plain text of an expression → tokens.

``normalise`` brings the many ways of writing the same thing to one (``\dfrac``, ``\left``, √, ², full-width digits)
and is linear in the length of the text.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from mimovl.verify.algebra.nodes import NotAnExpression
from mimovl.verify.answer import to_ascii

__all__ = ["FUNCTIONS", "GREEK", "Token", "normalise", "tokens"]

MAX_TOKENS = 400
MAX_DIGITS = 400
"""A longer digit string is not read: no answer needs it, and it would cost time."""


class Token(NamedTuple):
    r"""``kind`` is number, name, command (``\frac``, with its backslash) or sign."""

    kind: str
    text: str
    value: Fraction = Fraction(0)


GREEK = frozenset(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau "
    "upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega ell hbar".split()
)
FUNCTIONS = frozenset(
    "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh ln log lg exp sqrt cbrt abs floor ceil".split()
)
_WORDS = FUNCTIONS | {"pi", "inf", "infinity", "infty", "oo", "theta", "alpha", "beta", "asin", "acos", "atan"}
_ALIASES = {"infinity": "inf", "infty": "inf", "oo": "inf", "asin": "arcsin", "acos": "arccos", "atan": "arctan"}

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_SYMBOLS = str.maketrans(
    {
        "π": r"\pi ",
        "√": r"\sqrt ",
        "∛": r"\sqrt[3] ",
        "∞": r"\infty ",
        "±": r"\pm ",
        "∓": r"\mp ",
        "≤": r"\le ",
        "⩽": r"\le ",
        "≦": r"\le ",
        "≥": r"\ge ",
        "⩾": r"\ge ",
        "≧": r"\ge ",
        "≠": r"\ne ",
        "≈": r"\approx ",
        "∪": r"\cup ",
        "∩": r"\cap ",
        "∈": r"\in ",
        "∅": r"\emptyset ",
        "ø": r"\emptyset ",
        "Ø": r"\emptyset ",
        "ℝ": r"\mathbb{R}",
        "∖": r"\setminus ",
        "·": "*",
        "⋅": "*",
        "∙": "*",
        "•": "*",
        "∗": "*",
        "⁄": "/",
        "∕": "/",
        "′": "'",
        "’": "'",
        "“": '"',
        "”": '"',
        "º": "°",
        "℃": "°C",
        "㎝": "cm",
        "㎡": "m^{2}",
        "α": r"\alpha ",
        "β": r"\beta ",
        "γ": r"\gamma ",
        "θ": r"\theta ",
        "λ": r"\lambda ",
        "ω": r"\omega ",
        "φ": r"\phi ",
        "∠": r"\angle ",
        "△": r"\triangle ",
        "、": ",",
        "。": ".",
    }
)
_SUPERSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]{1,40}")
_SUBSCRIPT = re.compile("[₀₁₂₃₄₅₆₇₈₉]{1,40}")

_REWRITES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\left\s*\|", r"\\lvert "),
        (r"\\right\s*\|", r"\\rvert "),
        (r"\\(?:left|right|[bB]igg?[lrm]?|displaystyle|textstyle|limits|nolimits)(?![A-Za-z])\s*\.?", ""),
        (r"\\(?:q?quad|enspace|thinspace)(?![A-Za-z])", " "),
        (r"(?<!\\)\\[,;:! ]|~|&nbsp;", " "),
        (r"\{,\}", ","),
        (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        (r"\\[dt]binom(?![A-Za-z])", r"\\binom"),
        (r"\\(?:times|cdot|ast)(?![A-Za-z])", "*"),
        (r"\\div(?![A-Za-z])", "/"),
        (r"\\(?:leq|leqslant)(?![A-Za-z])", r"\\le"),
        (r"\\(?:geq|geqslant)(?![A-Za-z])", r"\\ge"),
        (r"\\(?:neq|not\s*=)(?![A-Za-z])", r"\\ne"),
        (r"\\lt(?![A-Za-z])", "<"),
        (r"\\gt(?![A-Za-z])", ">"),
        (r"<=|=<", r"\\le "),
        (r">=", r"\\ge "),
        (r"!=", r"\\ne "),
        (r"\\(?:varnothing|O)(?![A-Za-z])", r"\\emptyset"),
        (r"\\lbrack(?![A-Za-z])", "["),
        (r"\\rbrack(?![A-Za-z])", "]"),
        (r"\\lbrace(?![A-Za-z])", r"\\{"),
        (r"\\rbrace(?![A-Za-z])", r"\\}"),
        (r"\\[()\[\]]|\\?\$", " "),
        (r"\\(?:mathbf|mathit|boldsymbol|bm|mathsf|displaylines)\s*\{([^{}]*)\}", r"\1"),
        (r"\\(?:mathrm|rm|textrm|operatorname)\s*\{\s*(i|e|d)\s*\}", r"\1"),
        (r"\\operatorname\s*\{\s*([a-z]+)\s*\}", r"\\\1 "),
        (r"\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![A-Za-z]))|\\degree(?![A-Za-z])", "°"),
        (r"\\%", "%"),
        (r"\\(?:bar|dot)\s*(\d)", r"\\overline{\1}"),
        (r"\\(?:bar|dot)\s*\{(?=\d)", r"\\overline{"),
        (r"\bper\s+cent\b", "percent"),
        (r"\*\*", "^"),
        (r"[ \t\r\n]+", " "),
    )
]


def normalise(text: str) -> str:
    """Write the same expression in the one form the parser knows; unknown characters stay."""
    if not text.isascii():
        text = _SUPERSCRIPT.sub(lambda found: "^{" + found[0].translate(_SUPERSCRIPTS) + "}", text)
        text = _SUBSCRIPT.sub(lambda found: "_{" + found[0].translate(_SUBSCRIPTS) + "}", text)
        text = to_ascii(text).translate(_SYMBOLS)
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    return text.strip()


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<repeating>\d*\.\d*\\overline\s*\{\d{1,40}\})
    | (?P<thousands>\d{1,3}(?:[ ]\d{3})+(?:\.\d+)?(?![\d.]))
    | (?P<grouped>\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d.]|,\d))
    | (?P<number>\d+(?:\.\d*)?(?:[eE][-+]?\d{1,4}(?![\w.]))?|\.\d+)
    | (?P<command>\\[A-Za-z]+|\\[{}|])
    | (?P<word>[A-Za-z]+)
    | (?P<sign>[-+*/^_(){}\[\]|!%°',])
    )""",
    re.VERBOSE | re.ASCII,
)


def tokens(text: str, *, grouped: bool = True) -> list[Token]:
    """Cut normalised text into tokens.

    Args:
        text: text from ``normalise``.
        grouped: whether the comma of 1,234 groups digits (else it separates two numbers).

    Raises:
        NotAnExpression: a character or word has no place in an expression, or there are too many tokens.
    """
    found: list[Token] = []
    position = 0
    after_word = False
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            if not text[position:].strip():
                break
            raise NotAnExpression
        kind, word = str(match.lastgroup), match[match.lastgroup or 0]
        after_word = after_word and kind == "word"
        position = match.end()
        if kind == "grouped" and not grouped:
            kind, word = "number", word.partition(",")[0]
            position = match.start("grouped") + len(word)
        if kind == "word":
            names = _names(word)
            unknown = len(names) > 1 and names[-1].text not in _WORDS
            if unknown and after_word:
                raise NotAnExpression  # two words in a row are language
            after_word = unknown
            found.extend(names)
        elif kind == "command":
            found.append(Token("command", word))
        elif kind == "sign":
            found.append(Token("sign", word))
        else:
            found.append(Token("number", word, _value(kind, word)))
        if len(found) > MAX_TOKENS:
            raise NotAnExpression
    return found


_VOWEL = re.compile("[aeiouAEIOU]")


def _names(word: str) -> list[Token]:
    """A function or constant written as a word, else its letters as variables multiplied."""
    lower = word.lower() if word.isupper() and len(word) > 2 else word
    if lower in _WORDS:
        return [Token("name", _ALIASES.get(lower, lower))]
    for known in ("sqrt", "pi"):  # 2sqrt(3) is cut by the digits; xpi and pir are written too
        if word.endswith(known) and len(word) <= len(known) + 2:
            return [*(Token("name", letter) for letter in word[: -len(known)]), Token("name", known)]
        if word.startswith(known) and len(word) <= len(known) + 2:
            return [Token("name", known), *(Token("name", letter) for letter in word[len(known) :])]
    if len(word) > 4 or (len(word) == 4 and _VOWEL.search(word)):
        raise NotAnExpression  # a word of a language, not a product of variables
    return [Token("name", letter) for letter in word]


def _value(kind: str, word: str) -> Fraction:
    if len(word) > MAX_DIGITS:
        raise NotAnExpression
    if kind == "repeating":
        head, _, rest = word.partition("\\overline")
        whole, _, fixed = head.partition(".")
        period = rest.strip(" {}")
        scale = 10 ** len(fixed)
        return Fraction(int(whole + fixed or "0"), scale) + Fraction(int(period), scale * (10 ** len(period) - 1))
    mantissa, _, exponent = word.replace(",", "").replace(" ", "").lower().partition("e")
    if exponent and abs(int(exponent)) > MAX_DIGITS:
        raise NotAnExpression
    return Fraction(mantissa.rstrip(".") or "0") * Fraction(10) ** int(exponent or 0)
