r"""Grade the form of an answer, right or wrong alike: is it boxed, JSON, a list of boxes, a time span, after a thought?

MiMo-VL gives no reward for form (§3.3); Miloco's second reward is one, binary. Forms have names, not patterns: a
pattern of a user's on a model's text could run for ever.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from mimovl.errors import DataError
from mimovl.suggest import nearest
from mimovl.types import Verdict
from mimovl.verify.action import read_actions
from mimovl.verify.action_space import field_fault
from mimovl.verify.answer import THINK_CLOSE, THINK_OPEN, no_answer, plain, read_answer, split_thought, verdict
from mimovl.verify.box import read_boxes
from mimovl.verify.json_value import read_json_values

__all__ = ["FORMS", "gold_forms", "verify_form"]

_SPAN = re.compile(r"\[\s*(?:\d{1,2}:)?\d{1,3}:\d{2}(?:\.\d+)?\s*,\s*(?:\d{1,2}:)?\d{1,3}:\d{2}(?:\.\d+)?\s*\]")
_BOXED = re.compile(r"\\boxed\s*\{")


def _thought(completion: str, answer: str) -> bool:
    opened, closed = completion.count(THINK_OPEN), completion.count(THINK_CLOSE)
    return opened <= 1 == closed and completion.lstrip().startswith(THINK_OPEN) == bool(opened) and bool(answer)


def _boxed(completion: str, answer: str) -> bool:
    read = read_answer(answer)
    return len(_BOXED.findall(answer)) == 1 and read is not None and read.boxed


def _boxes(completion: str, answer: str) -> bool:
    read = read_answer(answer)
    boxes = read_boxes(read) if read else []
    return '"bbox_2d"' in answer and bool(boxes) and None not in boxes and len(read_json_values(answer)) == 1


def _action(completion: str, answer: str) -> bool:
    actions = read_actions(answer)
    return len(actions) == 1 and not field_fault(actions[0])


FORMS: dict[str, Callable[[str, str], bool]] = {
    "thought": _thought,
    "boxed": _boxed,
    "json": lambda completion, answer: len(read_json_values(answer)) == 1,
    "boxes": _boxes,
    "action": _action,
    "span": lambda completion, answer: len(_SPAN.findall(answer)) == 1,
    "yes_no": lambda completion, answer: plain(answer).strip(" .!。").lower() in ("yes", "no", "是", "否"),
    "letter": lambda completion, answer: re.fullmatch(r"[(\[]?[A-J][)\].]?", plain(answer)) is not None,
}
"""Name → (completion, answer) → whether it has the form: one closed thought and an answer after it; one ``\\boxed{}``;
one JSON value; a JSON list of ``bbox_2d``; one action of the space; one [mm:ss, mm:ss]; yes or no; an option letter."""


def verify_form(completion: str, gold: Any) -> Verdict:
    """Score the share of the named forms that a completion has; CORRECT when it has all.

    Args:
        completion: all the model said, thought included.
        gold: a name of ``FORMS``, or a list of names.

    Raises:
        DataError: a name is unknown.
    """
    names = gold_forms(gold)
    answer = split_thought(completion)
    if not answer:
        return no_answer("no answer after the thought")
    kept = [name for name in names if FORMS[name](completion, answer)]
    missing = [name for name in names if name not in kept]
    rule = f"not {', '.join(missing)}" if missing else ", ".join(names)
    return verdict(len(kept) / len(names), correct=not missing, answer=answer, rule=rule)


def gold_forms(gold: Any) -> list[str]:
    """Read the names of forms.

    Raises:
        DataError: there is none, or one is unknown.
    """
    names = [gold] if isinstance(gold, str) else list(gold) if isinstance(gold, Sequence) else []
    unknown = [str(name) for name in names if name not in FORMS]
    if not names or unknown:
        what = f"unknown form {unknown[0]!r}" if unknown else f"gold answer {str(gold)[:80]!r} names no form"
        raise DataError(
            f"{what}; the forms are {', '.join(FORMS)}{nearest(unknown[0], tuple(FORMS)) if unknown else ''}"
        )
    return names
