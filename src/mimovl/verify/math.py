r"""Grade a mathematical answer by a cascade; the rule that decided is recorded.

1. the same text after normalisation (TeX spacing, ``\dfrac``, case of whole words);
2. plain integers, decimals and fractions, exactly, whatever their magnitude;
3. the letter of an option, where the gold is one;
4. quantities with units, percentages, tuples, sets, intervals, inequalities, equations, matrices, ratios, roots, …:
   exactly, by our own arithmetic (``math_read``, ``math_compare``, ``algebra``);
5. a tolerance, where the caller allows one;
6. Math-Verify, the grader of MiMo-VL's STEM reward (§3.1), LaTeX only, in a pool of processes that are killed when they
   exceed their time, when the ``math`` extra is installed;
7. a judge, where the caller gives one;
8. NOT_GRADED: score 0, but not called wrong.

Steps 1 to 5 never leave this process and never evaluate text; they decide the common cases in a tenth of a millisecond.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from mimovl.errors import DataError
from mimovl.types import Outcome, Verdict
from mimovl.verify.algebra import constant_value, rational_value
from mimovl.verify.answer import no_answer, plain, shown, verdict
from mimovl.verify.choice import verify_choice
from mimovl.verify.judge import Judge
from mimovl.verify.math_answer import MAX_CHARS, math_candidates
from mimovl.verify.math_compare import compare_readings
from mimovl.verify.math_forms import Form, Group, Quantity, Words
from mimovl.verify.math_pool import shared_pool
from mimovl.verify.math_process import Comparison, math_verify_installed
from mimovl.verify.math_read import read_forms
from mimovl.verify.math_text import unwrap_text
from mimovl.verify.units import Unit, parse_unit

__all__ = ["Pending", "finish_math", "start_math", "verify_math"]

MAX_SYMBOLIC_CHARS = 300
"""Longer expressions are not handed to the symbolic library."""


class Pending(NamedTuple):
    """A comparison that rules left open, for Math-Verify, a judge, or nobody."""

    given: str
    gold: str
    reason: str
    """Why Math-Verify may not be asked; empty if it may."""


def verify_math(
    text: str,
    gold: Any,
    *,
    symbolic: bool = True,
    tolerance: float = 0.0,
    relative_tolerance: float = 0.0,
    unit: str = "",
    judge: Judge | None = None,
    question: str = "",
) -> Verdict:
    r"""Score 1 when an answer equals the gold expression.

    Equal means equal: 0.333 is not 1/3 unless a tolerance says so, 50 is not 50 % and 5 cm not 5 m (though 500 cm is).
    A unit that only one side writes is taken as meant by the other.

    Args:
        text: the answer, without the thought; its last ``\boxed{}``, else what follows "the answer is", else all of it.
        gold: the expression as TeX or plain text, or a number.
        symbolic: whether Math-Verify may be asked.
        tolerance: largest absolute difference of two numbers still right.
        relative_tolerance: largest difference still right, as a share of the gold value.
        unit: the unit the question asks for, e.g. "%": what a number without a unit has.
        judge: asked last, with ``question``; see ``mimovl.verify.judge``.
        question: the question's text, shown to the judge.

    Raises:
        DataError: the gold is empty, or the unit is not known.
    """
    started = start_math(
        text, gold, symbolic=symbolic, tolerance=tolerance, relative_tolerance=relative_tolerance, unit=unit
    )
    if isinstance(started, Verdict):
        return started
    comparison = shared_pool().compare(started.gold, started.given) if not started.reason else None
    return finish_math(started, comparison, judge=judge, question=question)


def start_math(
    text: str,
    gold: Any,
    *,
    symbolic: bool = True,
    tolerance: float = 0.0,
    relative_tolerance: float = 0.0,
    unit: str = "",
) -> Verdict | Pending:
    """Decide by rules, or say what is left to ask; the arguments are those of ``verify_math``."""
    expected = unwrap_text(plain(str(gold).strip()))
    if isinstance(gold, bool) or not expected:
        raise DataError(f"gold answer {gold!r} is not an expression; give TeX such as '\\frac{{3}}{{4}}' or a number")
    asked = _asked_unit(unit)
    if _OPTION.fullmatch(expected):
        by_letter = verify_choice(text, expected.strip("() "))
        if by_letter.outcome is not Outcome.NO_ANSWER and by_letter.rule in _LETTER_RULES:
            return verdict(by_letter.score, correct=by_letter.score == 1, answer=by_letter.answer, rule="option letter")
    candidates = math_candidates(text)
    boxed = "\\boxed" in text or "\\fbox" in text
    if not candidates:
        return no_answer("no expression")
    gold_readings: list[Form] | None = None
    unread: str | None = None
    for candidate in candidates:
        if len(candidate) > MAX_CHARS:
            return verdict(0.0, correct=False, answer=candidate, rule="too long for an answer")
        given = unwrap_text(candidate)
        if not given:
            continue
        quick = _same_text(given, expected) or (_plain_numbers(given, expected) if not asked else None)
        if quick is not None and (quick[0] or not (tolerance or relative_tolerance)):
            return verdict(float(quick[0]), correct=quick[0], answer=given, rule=quick[1])
        if gold_readings is None:
            gold_readings = _with_unit(read_forms(str(gold)), asked)
        readings = _with_unit(read_forms(candidate), asked)
        if _unread(readings[0]):
            unread = unread or given
            if candidate is not candidates[-1]:
                continue
            if _only_words(unread) and not boxed and not isinstance(gold_readings[0], Words):
                return no_answer("no expression")
        return _decide(given, expected, readings, gold_readings, symbolic, (tolerance, relative_tolerance))
    if unread is None:
        return no_answer("no expression")
    return Pending(unread, expected, "no expression was read")


def _unread(form: Form) -> bool:
    """Whether a reading is only a sentence."""
    if isinstance(form, Group):
        return any(_unread(item) for item in form.items)
    return isinstance(form, Words) and not form.known


_OPTION = re.compile(r"\(?\s*[A-J]\s*\)?")
_LETTER_RULES = ("letter", "letter with text", "letter after answer", "only letter named")


def _decide(
    given: str,
    expected: str,
    readings: Sequence[Form],
    gold_readings: Sequence[Form],
    symbolic: bool,
    tolerances: tuple[float, float],
) -> Verdict | Pending:
    same = compare_readings(gold_readings, readings)
    kind = type(gold_readings[0]).__name__.lower()
    if not same and any(tolerances):
        close = _close(gold_readings, readings, *tolerances)
        if close is not None:
            return verdict(float(close), correct=close, answer=given, rule="tolerance")
    if same is not None:
        return verdict(float(same), correct=same, answer=given, rule=f"exact {kind}")
    return Pending(given, expected, _not_for_math_verify(given, expected, readings, gold_readings, symbolic))


def finish_math(
    pending: Pending, comparison: Comparison | None, *, judge: Judge | None = None, question: str = ""
) -> Verdict:
    """Make the verdict from what Math-Verify said (None if it was not asked), and the judge after it."""
    if comparison in ("equal", "different"):
        right = comparison == "equal"
        return verdict(float(right), correct=right, answer=pending.given, rule="Math-Verify")
    if judge is not None:
        judged = judge(question, pending.gold, pending.given)
        if judged is not None:
            return verdict(float(judged), correct=judged, answer=pending.given, rule="judge")
    rule = pending.reason or f"Math-Verify: {comparison}"
    return Verdict(score=0.0, outcome=Outcome.NOT_GRADED, answer=shown(pending.given), rule=rule)


# ---------------------------------------------------------------- the quick rules


def _same_text(given: str, gold: str) -> tuple[bool, str] | None:
    first, second = given.replace(" ", ""), gold.replace(" ", "")
    if first == second:
        return True, "same text"
    if first.casefold() == second.casefold() and first.isalpha():
        # "no solution" may be capitalised; the variables a and A differ
        return len(first) > 1, "same letters"
    return None


_PLAIN = re.compile(r"[-+]?(?:\d{1,30}(?:\.\d{1,30})?|\.\d{1,30})(?:/\d{1,30})?", re.ASCII)


def _plain_numbers(given: str, gold: str) -> tuple[bool, str] | None:
    if _PLAIN.fullmatch(given) is None or _PLAIN.fullmatch(gold) is None:
        return None
    first, second = _fraction(given), _fraction(gold)
    return None if first is None or second is None else (first == second, "exact value")


def _fraction(text: str) -> Fraction | None:
    above, _, below = text.partition("/")
    denominator = Fraction(below or 1)
    return Fraction(above) / denominator if denominator else None


# ---------------------------------------------------------------- units and tolerances


def _asked_unit(unit: str) -> Unit | None:
    found = parse_unit(unit) if unit else None
    if unit and found is None:
        raise DataError(f"unknown unit {unit!r} of the question; write it as in 'cm', 'km/h' or '%'")
    return found


def _with_unit(readings: list[Form], unit: Unit | None) -> list[Form]:
    if unit is None:
        return readings
    return [form._replace(unit=unit) if isinstance(form, Quantity) and form.unit is None else form for form in readings]


def _close(gold: Sequence[Form], given: Sequence[Form], tolerance: float, relative: float) -> bool | None:
    """Whether two numbers differ by no more than allowed, with the same sign and magnitude; None if they are none."""
    decided: bool | None = None
    for one in gold:
        for two in given:
            if not isinstance(one, Quantity) or not isinstance(two, Quantity):
                continue
            if one.unit and two.unit and one.unit.dimension != two.unit.dimension:
                decided = False
                continue
            first, second = _number(one, two), _number(two, one)
            if first is None or second is None:
                continue
            allowed = max(Fraction(tolerance), Fraction(relative) * abs(first))
            near = abs(first - second) <= allowed
            if near and allowed > abs(first) > 0:
                # Such a tolerance would let 0 and −gold pass: sign and magnitude must agree as well.
                near = Fraction(1, 10) <= second / first <= 10
            if near:
                return True
            decided = False
    return decided


def _number(quantity: Quantity, other: Quantity) -> Fraction | None:
    exact = rational_value(quantity.node)
    if exact is None:
        value = constant_value(quantity.node)
        if value is None or abs(value) == float("inf"):
            return None
        exact = Fraction(value)
    converts = quantity.unit is not None and (other.unit is not None or not quantity.unit.dimension)
    return exact * quantity.unit.factor if quantity.unit and converts else exact


# ---------------------------------------------------------------- what Math-Verify is not asked


def _not_for_math_verify(
    given: str, gold: str, readings: Sequence[Form], gold_readings: Sequence[Form], symbolic: bool
) -> str:
    if not symbolic or not math_verify_installed():
        return "not equal by rules; Math-Verify not asked"
    for form in (readings[0], gold_readings[0]):
        if isinstance(form, Quantity) and form.unit is not None:
            return "units differ"  # Math-Verify drops units: 5 cm would equal 5 m
    if ("dots" in given or "..." in given) != ("dots" in gold or "..." in gold):
        return "dots on one side"  # Math-Verify drops them: {0,1,2,…} would equal {0,1,2}
    if _ENDLESS.search(given):
        return "too much to work out"
    if _only_words(given) or _only_words(gold):
        return "words differ"  # Math-Verify multiplies their letters: "evil" would equal "live"
    if max(len(given), len(gold)) > MAX_SYMBOLIC_CHARS or _FOREIGN.search(given) or not _balanced(given):
        return "not an expression Math-Verify is given"
    return ""


_ENDLESS = re.compile(r"\^\s*\{?\s*-?\d{4,}|\d{4,}\s*!|!\s*!|(?:\^\s*\{?\s*\d+\s*){3,}|\\binom\s*\{\s*\d{4,}")


def _only_words(text: str) -> bool:
    return re.search(r"\d|\\[A-Za-z]|[-+*/^=<>(){}\[\]]", text) is None and len(text) > 1


_FOREIGN = re.compile(r"[\"`@#?\x00-\x1f]|[^\x00-\x7f°]|\\def(?![a-z])|\blambda\b|__|\bnull\b|\bNaN\b")
"""What no expression holds: JSON, Python, other scripts, control characters."""
MAX_BRACKETS = 40


def _balanced(text: str) -> bool:
    """Whether braces nest, and brackets are as many closed as opened (half-open intervals cross their kinds)."""
    depth = 0
    opened, closed = (sum(text.count(mark) for mark in marks) for marks in ("([", ")]"))
    if opened != closed or opened > MAX_BRACKETS:
        return False
    for match in re.finditer(r"\\.|[{}]", text, re.DOTALL):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth < 0:
            return False
    return depth == 0
