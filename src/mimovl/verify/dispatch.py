"""``grade``: the one door to the graders, shared by reinforcement learning and evaluation."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from mimovl.errors import DataError
from mimovl.suggest import nearest
from mimovl.types import Outcome, Verdict
from mimovl.verify.answer import split_thought
from mimovl.verify.box import verify_box
from mimovl.verify.choice import verify_choice
from mimovl.verify.count import verify_count
from mimovl.verify.math import verify_math
from mimovl.verify.number import verify_number
from mimovl.verify.point import verify_point
from mimovl.verify.span import verify_span
from mimovl.verify.text import verify_text

__all__ = ["KINDS", "grade"]

Verifier = Callable[..., Verdict]

_VERIFIERS: dict[str, Verifier] = {
    "choice": verify_choice,
    "number": verify_number,
    "math": verify_math,
    "box": verify_box,
    "point": verify_point,
    "count": verify_count,
    "span": verify_span,
    "text": verify_text,
}

KINDS = tuple(_VERIFIERS)
"""The kinds of answer that can be graded, the values of ``Gold.kind``."""

_OPTIONS = {
    kind: tuple(
        name
        for name, parameter in inspect.signature(verifier).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    )
    for kind, verifier in _VERIFIERS.items()
}


def grade(kind: str, completion: str, gold: Any, **options: Any) -> Verdict:
    r"""Grade a completion.

    The answer is what follows ``</think>``, and of it the last ``\boxed{}`` if there is one. A thought that never
    closes is TRUNCATED with score 0, whatever it holds. What a model wrote never raises and is never evaluated.

    Args:
        kind: choice, number, math, box, point, count, span or text.
        completion: all the model said, thought included.
        gold: the right answer in the form of that kind (see its ``verify_`` function).
        **options: the keyword arguments of that ``verify_`` function, e.g. ``metric="iou"`` for boxes.

    Returns:
        A Verdict with ``score`` in [0, 1].

    Raises:
        DataError: the kind or an option is unknown, or the gold is not of that kind.
    """
    if kind not in _VERIFIERS:
        raise DataError(f"unknown kind {kind!r}, not one of {', '.join(KINDS)}{nearest(str(kind), KINDS)}")
    unknown = [name for name in options if name not in _OPTIONS[kind]]
    if unknown:
        raise DataError(
            f"unknown option {unknown[0]!r} of kind {kind!r}, which has {', '.join(_OPTIONS[kind]) or 'none'}"
            f"{nearest(unknown[0], _OPTIONS[kind])}"
        )
    answer = split_thought(completion)
    if answer is None:
        return Verdict(score=0.0, outcome=Outcome.TRUNCATED, rule="thought never closed")
    return _VERIFIERS[kind](answer, gold, **options)
