"""``grade``: the one door to the graders, shared by reinforcement learning and evaluation."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from mimovl.errors import DataError
from mimovl.suggest import nearest
from mimovl.types import Outcome, Verdict
from mimovl.verify.action import verify_action
from mimovl.verify.answer import split_thought
from mimovl.verify.box import verify_box
from mimovl.verify.choice import verify_choice
from mimovl.verify.count import verify_count
from mimovl.verify.form import verify_form
from mimovl.verify.json_value import verify_json
from mimovl.verify.length import verify_length
from mimovl.verify.math import Pending, finish_math, start_math, verify_math
from mimovl.verify.math_pool import shared_pool
from mimovl.verify.mimo_compat import COMPAT_OPTIONS, grade_like_the_suite
from mimovl.verify.number import verify_number
from mimovl.verify.point import verify_point
from mimovl.verify.repetition import verify_repetition
from mimovl.verify.span import verify_span
from mimovl.verify.text import verify_text

__all__ = ["KINDS", "MODES", "GradeMode", "Item", "grade", "grade_many"]

Verifier = Callable[..., Verdict]
GradeMode = Literal["strict", "mimo_compat"]
MODES: tuple[GradeMode, ...] = ("strict", "mimo_compat")
"""strict, our rules; mimo_compat, those of the paper's suite, to set a score beside the paper's."""

_VERIFIERS: dict[str, Verifier] = {
    "choice": verify_choice,
    "number": verify_number,
    "math": verify_math,
    "box": verify_box,
    "point": verify_point,
    "count": verify_count,
    "span": verify_span,
    "text": verify_text,
    "action": verify_action,
    "json": verify_json,
    "format": verify_form,
    "repetition": verify_repetition,
    "length": verify_length,
}

KINDS = tuple(_VERIFIERS)
"""The kinds of answer that can be graded, the values of ``Gold.kind``."""

_OF_THE_WHOLE = ("format", "repetition", "length")
"""Kinds that look at the thought as well as at the answer."""

_OPTIONS = {
    kind: tuple(
        name
        for name, parameter in inspect.signature(verifier).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    )
    for kind, verifier in _VERIFIERS.items()
}


class Item(NamedTuple):
    """One completion to grade; the fields are the arguments of ``grade``."""

    kind: str
    completion: str
    gold: Any
    options: Mapping[str, Any] = {}


def grade(kind: str, completion: str, gold: Any, mode: GradeMode = "strict", **options: Any) -> Verdict:
    r"""Grade a completion.

    The answer is what follows ``</think>``, and of it the last ``\boxed{}`` if there is one. A thought that never
    closes is TRUNCATED with score 0, whatever it holds. What a model wrote never raises and is never evaluated.

    Args:
        kind: choice, number, math, box, point, count, span, text, action, json, format, repetition or length.
        completion: all the model said, thought included.
        gold: the right answer in the form of that kind (see its ``verify_`` function).
        mode: "strict", our rules; "mimo_compat", the rules of the paper's suite, thought and guesses included
            (see ``mimo_compat``).
        **options: the keyword arguments of that ``verify_`` function, e.g. ``metric="iou"`` for boxes.

    Returns:
        A Verdict with ``score`` in [0, 1].

    Raises:
        DataError: the kind, the mode or an option is unknown, or the gold is not of that kind.
    """
    check_options(kind, mode, options)
    if mode == "mimo_compat":
        return grade_like_the_suite(kind, completion, gold, options)
    answer = split_thought(completion)
    if answer is None:
        return _truncated()
    return _VERIFIERS[kind](completion if kind in _OF_THE_WHOLE else answer, gold, **options)


def grade_many(items: Sequence[Item], mode: GradeMode = "strict") -> list[Verdict]:
    """Grade many completions, in order: the same verdicts as ``grade``, with what rules leave open asked all at once.

    Raises:
        DataError: as ``grade``, with the place of the item in front.
    """
    verdicts: list[Verdict | Pending] = []
    for place, item in enumerate(items):
        try:
            verdicts.append(_start(Item(*item), mode))
        except DataError as error:
            raise DataError(f"item {place}: {error}") from error
    asked = [
        (place, verdict)
        for place, verdict in enumerate(verdicts)
        if isinstance(verdict, Pending) and not verdict.reason
    ]
    comparisons = shared_pool().compare_many([(pending.gold, pending.given) for _, pending in asked])
    known = {place: comparison for (place, _), comparison in zip(asked, comparisons, strict=True)}
    return [
        finish_math(
            verdict,
            known.get(place),
            judge=item.options.get("judge"),
            question=str(item.options.get("question", "")),
        )
        if isinstance(verdict, Pending)
        else verdict
        for place, (item, verdict) in enumerate(zip(map(Item._make, items), verdicts, strict=True))
    ]


def _start(item: Item, mode: GradeMode) -> Verdict | Pending:
    if item.kind != "math" or mode != "strict":
        return grade(item.kind, item.completion, item.gold, mode, **item.options)
    check_options(item.kind, mode, item.options)
    answer = split_thought(item.completion)
    if answer is None:
        return _truncated()
    options = {name: value for name, value in item.options.items() if name not in ("judge", "question")}
    return start_math(answer, item.gold, **options)


def _truncated() -> Verdict:
    return Verdict(score=0.0, outcome=Outcome.TRUNCATED, rule="thought never closed")


def check_options(kind: str, mode: str, options: Mapping[str, Any]) -> None:
    """Refuse an unknown kind, mode or option, naming the nearest.

    Raises:
        DataError: one of them is unknown.
    """
    if kind not in _VERIFIERS:
        raise DataError(f"unknown kind {kind!r}, not one of {', '.join(KINDS)}{nearest(str(kind), KINDS)}")
    if mode not in MODES:
        raise DataError(f"unknown mode {mode!r}, not one of {', '.join(MODES)}{nearest(str(mode), MODES)}")
    known = _OPTIONS[kind] if mode == "strict" else COMPAT_OPTIONS.get(kind, ())
    unknown = [name for name in options if name not in known]
    if unknown:
        in_mode = "" if mode == "strict" else f" in mode {mode!r}"
        raise DataError(
            f"unknown option {unknown[0]!r} of kind {kind!r}{in_mode}, which has {', '.join(known) or 'none'}"
            f"{nearest(unknown[0], known)}"
        )
