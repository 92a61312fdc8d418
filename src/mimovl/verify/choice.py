r"""Grade a multiple-choice answer: a letter ("B", "(B)", "The answer is B", 选B) or the text of an option.

A letter counts only where it is an answer: alone, after "the answer is", or as the one option named at all. A text that
names several options has not chosen, and a text that names none is NO_ANSWER; the suites this replaces take
the first letter of any sentence, or a random one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from mimovl.errors import DataError
from mimovl.types import Verdict
from mimovl.verify.answer import no_answer, plain, read_answer, tail, to_ascii, verdict

__all__ = ["gold_letter", "verify_choice"]

LETTERS = "ABCDEFGHIJ"

_LETTER = r"[(\[{]?\s*([A-Ja-j])(?![A-Za-z'’])\s*[)\]}]?"
_ALONE = re.compile(rf"(?i:(?:the )?(?:answer|option|choice)(?: is)?|答案是?|选项?)?\s*[:：]?\s*{_LETTER}\s*[.:。、]?")
_WITH_TEXT = re.compile(r"[(\[]?([A-J])(?:[)\]]|[.:、])\s*(?P<text>\S.*)", re.DOTALL)
_MARKED = re.compile(
    rf"""(?i:\banswer\b(?:\ (?:is|would\ be))? | \b(?:choose|select|pick|go\ with)\b
          | 答案(?:是|为|选|应为)? | (?<!不)选择? )
         (?i:[\s:：*_`]*(?:option|choice|选项)?[\s:：*_`]*)
         {_LETTER}""",
    re.VERBOSE,
)
_SAID = re.compile(
    rf"(?<![A-Za-z'’\\]){_LETTER}\s+(?:is|was|seems)\s+(?:clearly\s+|obviously\s+)?(?:the\s+)?"
    r"(?:correct|right|best|true|answer|only\s+possibility)\b"
    rf"|(?<![A-Za-z'’\\]){_LETTER}\s*(?:选项)?(?:是)?(?:正确|对)的?"
)
_AND_ANOTHER = re.compile(
    r"\s*(?:[,/&、]|or\b|and\b|或|和)\s*(?:or\s+|and\s+)?[(\[]?([A-J])(?![A-Za-z'’])(?!\s+(?:is|was|has|does|can)\b)"
)
_NAMED = re.compile(r"(?<![A-Za-z'’\\])([A-J])(?![A-Za-z'’])")
_NEGATION = re.compile(r"\b(?:not|no|never|except|wrong|incorrect|cannot|neither|nor)\b|n['’]t\b|不|非|错")
_BARE_LETTER = re.compile(r"[(\[]?[A-Z][)\].]?")
_MORE_THAN_ONE = "more than one option"


def verify_choice(text: str, gold: Any, *, choices: Sequence[str] | None = None) -> Verdict:
    """Score 1 when the answer chooses the gold option, else 0.

    Args:
        text: the answer, without the thought.
        gold: the letter of the right option, or its text when ``choices`` are given.
        choices: the option texts in order (A, B, …); at most ten.

    Raises:
        DataError: the gold names no option, or there are more than ten options.
    """
    options = [_normalise(str(choice)) for choice in choices] if choices else []
    expected = gold_letter(gold, choices or ())
    answer = read_answer(text)
    if answer is None:
        return no_answer("no option")
    letters, rule = _read_letters(plain(tail(answer.text)), options)
    if not letters:
        if answer.boxed or _BARE_LETTER.fullmatch(answer.text.strip()):
            return verdict(0.0, correct=False, answer=answer.text, rule="no such option")
        return no_answer("no option")
    right = letters == {expected}
    return verdict(float(right), correct=right, answer=", ".join(sorted(letters)), rule=rule)


def gold_letter(gold: Any, choices: Sequence[str] = ()) -> str:
    """The letter of the gold option, which is given as letter or text.

    Raises:
        DataError: it names no option, or there are more than ten.
    """
    options = [_normalise(str(choice)) for choice in choices]
    if len(options) > len(LETTERS):
        raise DataError(f"a choice has at most {len(LETTERS)} options, got {len(options)}")
    known = LETTERS[: len(options)] if options else LETTERS
    letter = str(gold).strip().strip("()[].").upper()
    if len(letter) == 1 and letter in known:
        return letter
    if options.count(_normalise(str(gold))) == 1:
        return LETTERS[options.index(_normalise(str(gold)))]
    raise DataError(
        f"gold answer {str(gold)[:80]!r} names no option; give a letter of {known} or the text of one option"
    )


_TEXT = re.compile(r"\\(?:text|mathrm|textbf|mbox)\s*\{([^{}]*)\}")


def _normalise(text: str) -> str:
    text = _TEXT.sub(r"\1", to_ascii(text))
    return " ".join(text.casefold().split()).strip(" .。\"'“”")


def _read_letters(text: str, options: list[str]) -> tuple[set[str], str]:
    """The letters an answer chooses (none, one, or several when it hedges) and the rule that found them."""
    text = to_ascii(text).strip()
    known = set(LETTERS[: len(options)] if options else LETTERS)
    by_text = {LETTERS[index] for index, option in enumerate(options) if option == _normalise(text)}
    alone = _ALONE.fullmatch(text)
    if alone and alone[1].upper() in known:
        # an option whose own text is a letter makes "B" ambiguous
        return {alone[1].upper()} | by_text, "letter"
    if by_text:
        return by_text, "option text"
    led = _WITH_TEXT.fullmatch(text)
    if led and led[1] in known:
        named = {LETTERS[index] for index, option in enumerate(options) if option == _normalise(led["text"])}
        if named or not _NAMED.search(led["text"]):
            return {led[1]} | named, "letter with text"
    said = {m[1] or m[2] for m in _SAID.finditer(text)}
    if len(said) == 1 and said <= known and not _MARKED.search(text):
        return said, "letter said to be right"
    marked = [m for m in _MARKED.finditer(text) if m[1].upper() in known and _is_letter(m, text)]
    if marked:
        last = marked[-1]
        another = _AND_ANOTHER.match(text, last.end())
        if another:
            return {last[1].upper(), another[1]}, _MORE_THAN_ONE
        return {last[1].upper()}, "letter after answer"
    if _NEGATION.search(text.casefold()):
        instead = _INSTEAD.search(text)  # "not red but blue" chooses blue
        if instead is None or _NEGATION.search(text[instead.end() :].casefold()):
            return set(), ""  # "not B" rules one out and chooses none
        text = text[instead.end() :]
    letters = {m[1] for m in _NAMED.finditer(text) if m[1] in known and _is_letter(m, text)}
    found, rule = (
        (letters, "only letter named") if letters else (_options_named(text, options), "only option text named")
    )
    return found, rule if len(found) == 1 else _MORE_THAN_ONE


_INSTEAD = re.compile(r"\bbut\s+|\brather\s+|而是")
_GOES_ON = re.compile(r"\s+(?!(?:because|since|as|is|for|and|or)\b)[a-z]")


def _is_letter(match: re.Match[str], text: str) -> bool:
    """Tell an option letter from a word, and a choice from its denial.

    "A" and "I" must not open a phrase ("A circle", "I think"); a small letter must end its clause; no "not" before it.
    """
    letter, end = match[1], match.end()
    before = re.split(r"[,;.，；。]", text[max(0, match.start() - 10) : match.start()])[-1]
    if _NEGATION.search(before.casefold()):
        return False
    if letter.islower():
        return re.match(r"\s*(?:[.,;!)。，]|$)", text[end:]) is not None
    return letter not in "AI" or _GOES_ON.match(text, end) is None


def _options_named(text: str, options: list[str]) -> set[str]:
    """Options whose text stands in a sentence as whole words, longest first so that 'dark red' is not also 'red'."""
    rest, found = _normalise(text), set()
    for option in sorted((option for option in options if option), key=len, reverse=True):
        # ASCII word borders, so that Chinese options are found inside Chinese sentences
        pattern = re.compile(rf"(?<![\w.-]){re.escape(option)}(?![\w-]|\.\d)", re.ASCII)
        if pattern.search(rest):
            found.add(LETTERS[options.index(option)])
            rest = pattern.sub(" ", rest)
    return found
