r"""Where the answer stands in a completion: after the thought, in the last ``\boxed{}`` if there is one.

Read by every grader of this package. What is *not* done here is as important: a thought is never searched, an
unfinished thought or box is never completed, and nothing is guessed (MiMo-VL's own suite does all three).
Every scan is linear in the length of the completion.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from mimovl.types import Outcome, Verdict

__all__ = [
    "Answer",
    "after_marker",
    "no_answer",
    "plain",
    "read_answer",
    "split_thought",
    "tail",
    "to_ascii",
    "verdict",
]

THINK_OPEN = "<think>"
THINK_CLOSE = "</think>"
END_TOKENS = ("<|im_end|>", "<|endoftext|>")

TAIL_CHARS = 4000
"""Free text is searched for an answer in its last characters only: conclusions stand at the end."""

MAX_BOX_CHARS = 20_000
"""A box that does not close within so many characters holds no answer."""

MAX_SHOWN_CHARS = 500
"""``Verdict.answer`` is cut to this length; it is there to be looked at."""


@dataclass(frozen=True, slots=True)
class Answer:
    r"""The text a grader reads. ``boxed`` says whether it stood in ``\boxed{}``."""

    text: str
    boxed: bool


def split_thought(completion: str) -> str | None:
    """Return what follows the thought, stripped; None when the thought was opened and never closed.

    A completion without any thinking block is all answer. A lone ``</think>`` ends a thought that was opened in the
    prompt.
    """
    opened = completion.rfind(THINK_OPEN)
    closed = completion.rfind(THINK_CLOSE)
    if opened > closed:
        return None
    answer = completion[closed + len(THINK_CLOSE) :] if closed >= 0 else completion
    answer = answer.strip()
    while answer.endswith(END_TOKENS):
        for token in END_TOKENS:
            answer = answer.removesuffix(token)
        answer = answer.rstrip()
    return answer


_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)  # an escaped character is passed over


def read_answer(text: str) -> Answer | None:
    r"""Read the content of the last ``\boxed{}`` of an answer, or the whole answer when it has none.

    Braces may nest to any depth; ``\{`` and ``\}`` are characters, not braces. None when there is nothing to read:
    no text, an empty box, or a last box that never closes (or only after ``MAX_BOX_CHARS``).
    """
    start = -1
    for match in _BOXED.finditer(text):
        start = match.end()
    if start < 0:
        stripped = text.strip()
        return Answer(stripped, boxed=False) if stripped else None
    depth = 1
    for match in _BRACE.finditer(text, start, start + MAX_BOX_CHARS):
        if match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
            if depth == 0:
                content = text[start : match.start()].strip()
                return Answer(content, boxed=True) if content else None
    return None


_MARKER = re.compile(
    r"(?:\banswer\b[ \t*_]*(?:is\b|would\s+be\b|[:：=])|答案(?:是|为)?|^####)[ \t*_]*[:：=]?[ \t*_]*(?P<rest>[^\n]*)",
    re.IGNORECASE | re.MULTILINE,
)


def after_marker(text: str) -> str | None:
    """What follows the last "the answer is", "Answer:", "答案是" or "####" up to the end of its line; None without."""
    found = None
    for match in _MARKER.finditer(tail(text)):
        if match["rest"].strip():
            found = match["rest"].strip()
    return found


def tail(text: str) -> str:
    """The last ``TAIL_CHARS`` characters."""
    return text if len(text) <= TAIL_CHARS else text[-TAIL_CHARS:]


class _AsciiTable(dict[int, int | str]):
    """Full-width forms, foreign decimal digits, dashes and odd spaces to ASCII, filled as characters appear.

    Not NFKC, which would turn 2² into 22.
    """

    def __missing__(self, code: int) -> int | str:
        character = chr(code)
        result: int | str = code
        if 0xFF01 <= code <= 0xFF5E:
            result = code - 0xFEE0
        elif character in "−–—﹣‐‑":
            result = "-"
        elif character in "×✕":
            result = "*"
        elif character == "÷":
            result = "/"
        elif unicodedata.category(character) == "Nd":
            result = str(unicodedata.decimal(character))
        elif unicodedata.category(character) == "Zs":
            result = " "
        elif unicodedata.decomposition(character).startswith("<fraction>"):
            result = " " + unicodedata.normalize("NFKC", character).replace("\u2044", "/")
        self[code] = result
        return result


_ASCII_TABLE = _AsciiTable()


def to_ascii(text: str) -> str:
    """Write digits, signs and spaces of any script in ASCII; everything else stays."""
    return text if text.isascii() else text.translate(_ASCII_TABLE)


_TEXT_MACRO = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox)\s{0,9}\{")


def plain(text: str) -> str:
    r"""Take off what wraps a whole answer: ``$…$``, ``\(…\)``, ``\text{…}``, ``**…**``, backquotes, ``<answer>``.

    Only text is cut here, no pattern is searched: linear in the length, whatever a model repeats.
    """
    for _ in range(4):
        inner = _unwrapped(text.strip().removesuffix(".").removesuffix("。").rstrip())
        if inner is None:
            break
        text = inner
    return text.strip()


def _unwrapped(text: str) -> str | None:
    """The text inside its wrapper, None without one."""
    for mark in ("$", "`"):
        if len(text) > 1 and text[0] == text[-1] == mark:
            inner = text.strip(mark)
            if mark in inner:
                return None
            return inner[4:] if mark == "`" and inner[:4] == "json" and not inner[4:5].isalnum() else inner
    if text.startswith("**") and text.endswith("**") and len(text) > 3:
        return text[2:-2] if "*" not in text[2:-2] else None
    for opener, closer in (("\\(", "\\)"), ("<answer>", "</answer>")):
        if text.startswith(opener) and text.endswith(closer) and len(text) >= len(opener) + len(closer):
            return text[len(opener) : -len(closer)]
    macro = _TEXT_MACRO.match(text)
    if macro and text.endswith("}") and not any(brace in text[macro.end() : -1] for brace in "{}"):
        return text[macro.end() : -1]
    return None


def shown(text: str) -> str:
    """The text as it is kept in a verdict."""
    return text if len(text) <= MAX_SHOWN_CHARS else text[: MAX_SHOWN_CHARS - 1] + "…"


def verdict(score: float, *, correct: bool, answer: str, rule: str) -> Verdict:
    """Build the verdict on an answer that was read."""
    return Verdict(
        score=min(1.0, max(0.0, score)),
        outcome=Outcome.CORRECT if correct else Outcome.WRONG,
        answer=shown(answer),
        rule=rule,
    )


def no_answer(rule: str = "nothing to read") -> Verdict:
    """Build the verdict on a completion in which no answer could be read."""
    return Verdict(score=0.0, outcome=Outcome.NO_ANSWER, rule=rule)
