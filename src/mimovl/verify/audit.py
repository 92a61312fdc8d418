r"""Measure the graders on labelled answers: `mimovl verify audit FILE.jsonl`.

A line is one JSON object:

    {"kind": "math", "completion": "\\boxed{0.5}", "gold": "\\frac12", "label": "CORRECT",
     "options": {}, "reason": "a decimal for a fraction", "category": "fractions", "score": 1.0}

``label`` is an outcome, or true and false; ``options``, ``reason``, ``category`` and ``score`` may be left out. A false
positive is an answer that counts as right and should not, a false negative the reverse; an outcome that is not CORRECT
counts as not right, whichever it is. The tables show both apart, by category, and list every error.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mimovl.errors import DataError, UsageError
from mimovl.suggest import nearest
from mimovl.types import Outcome, Verdict
from mimovl.verify.answer import split_thought
from mimovl.verify.dispatch import GradeMode, Item, check_options, grade_many
from mimovl.verify.math_pool import shared_pool
from mimovl.verify.math_process import math_verify_installed

__all__ = ["Audit", "Labelled", "audit", "audit_text", "math_verify_alone", "read_labelled"]

FIELDS = ("kind", "completion", "gold", "label", "options", "reason", "category", "score")
SCORE_TOLERANCE = 1e-6


class Labelled(NamedTuple):
    """One labelled answer and the line it stands on."""

    item: Item
    label: Outcome
    reason: str
    category: str
    score: float | None
    line: int


class Audit(NamedTuple):
    """What the graders said of each labelled answer, and what Math-Verify alone says of those of kind math."""

    rows: list[Labelled]
    verdicts: list[Verdict]
    alone: list[bool | None]

    def errors(self) -> tuple[list[int], list[int]]:
        """Places of the false positives and of the false negatives."""
        said = [verdict.outcome is Outcome.CORRECT for verdict in self.verdicts]
        return _errors(self.rows, said)

    def errors_alone(self) -> tuple[list[int], list[int]]:
        """The same of Math-Verify alone, on the rows it was asked about."""
        return _errors(self.rows, self.alone)


def _errors(rows: Sequence[Labelled], said: Sequence[bool | None]) -> tuple[list[int], list[int]]:
    pairs = [
        (place, row.label is Outcome.CORRECT, one) for place, (row, one) in enumerate(zip(rows, said, strict=True))
    ]
    positives = [place for place, label, one in pairs if one is True and not label]
    return positives, [place for place, label, one in pairs if one is False and label]


def read_labelled(path: Path | str) -> list[Labelled]:
    """Read a labelled set.

    Raises:
        UsageError: there is no such file, or it has no line.
        DataError: a line is no such object; names the file, the line and the field.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path} ({error}); give a JSONL file in UTF-8") from error
    rows = [_row(line, f"{path}:{number}", number) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not rows:
        raise UsageError(f"{path} holds no labelled answer; give one JSON object a line")
    return rows


def _row(line: str, where: str, number: int) -> Labelled:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON ({error}); give one object a line") from error
    if not isinstance(record, dict):
        raise DataError(f"{where}: holds {type(record).__name__}, not an object with {', '.join(FIELDS[:4])}")
    unknown = [name for name in record if name not in FIELDS]
    if unknown:
        raise DataError(f"{where}, field {unknown[0]!r}: unknown{nearest(unknown[0], FIELDS)}")
    missing = [name for name in FIELDS[:4] if name not in record]
    if missing:
        raise DataError(f"{where}, field {missing[0]!r}: missing; each line needs {', '.join(FIELDS[:4])}")
    options, score = record.get("options") or {}, record.get("score")
    if not isinstance(record["completion"], str):
        raise DataError(f"{where}, field 'completion': {record['completion']!r:.60} is no text")
    if not isinstance(options, dict):
        raise DataError(f"{where}, field 'options': {options!r:.60} is no object of names and values")
    if score is not None and (isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1):
        raise DataError(f"{where}, field 'score': {score!r:.60} is no number in [0, 1]")
    item = Item(str(record["kind"]), record["completion"], record["gold"], options)
    reason, category = str(record.get("reason", "")), str(record.get("category") or record["kind"])
    return Labelled(item, _label(record["label"], where), reason, category, score, number)


def _label(label: Any, where: str) -> Outcome:
    if isinstance(label, bool):
        return Outcome.CORRECT if label else Outcome.WRONG
    try:
        return Outcome(label)
    except ValueError:
        names = [outcome.value for outcome in Outcome]
        hint = nearest(str(label).upper(), names)
        raise DataError(
            f"{where}, field 'label': {label!r:.60} is none of {', '.join(names)}, true, false{hint}"
        ) from None


def audit(rows: Sequence[Labelled], mode: GradeMode = "strict", *, alone: bool = True, source: str = "line") -> Audit:
    """Grade labelled answers.

    Args:
        rows: from ``read_labelled``.
        mode: the mode of ``grade``.
        alone: whether Math-Verify alone is asked as well about those of kind math, where it is installed.
        source: the file's name, for errors.

    Raises:
        DataError: a kind or option is unknown or a gold is not of its kind; names the line.
    """
    for row in rows:
        try:
            check_options(row.item.kind, mode, row.item.options)
        except DataError as error:
            raise DataError(f"{source}:{row.line}: {error}") from error
    try:
        verdicts = grade_many([row.item for row in rows], mode)
    except DataError as error:
        place, _, message = str(error).removeprefix("item ").partition(": ")
        line = rows[int(place)].line if place.isdigit() else 0
        raise DataError(f"{source}:{line}: {message or error}") from error
    said: list[bool | None] = [None] * len(rows)
    if alone and math_verify_installed():
        said = math_verify_alone(row.item for row in rows)
    return Audit(list(rows), verdicts, said)


def math_verify_alone(items: Iterable[Item]) -> list[bool | None]:
    """What Math-Verify says with its defaults of answers of kind math, of the text after the thought; None of others.

    It runs in the worker processes; a comparison that fails or takes too long counts as "not equal", as in ``verify``.
    """
    listed = list(items)
    places = [place for place, item in enumerate(listed) if item.kind == "math"]
    pairs = [(str(listed[place].gold), split_thought(listed[place].completion) or "") for place in places]
    said: list[bool | None] = [None] * len(listed)
    for place, comparison in zip(places, shared_pool().compare_many(pairs, rule="alone"), strict=True):
        said[place] = comparison == "equal"
    return said


def audit_text(result: Audit, *, errors: int = 50) -> str:
    """Write the tables: by category, in sum, and at most so many errors."""
    positives, negatives = (set(places) for places in result.errors())
    peer_positives, peer_negatives = (set(places) for places in result.errors_alone())
    with_peer = any(one is not None for one in result.alone)
    head = ["category", "n", "right", "false +", "false -", "not graded"]
    head += ["Math-Verify alone: false +", "false -"] if with_peer else []
    table = [head]
    categories = list(dict.fromkeys(row.category for row in result.rows))
    for name in [*categories, "all"]:
        places = [place for place, row in enumerate(result.rows) if name in ("all", row.category)]
        ungraded = sum(result.verdicts[place].outcome is Outcome.NOT_GRADED for place in places)
        wrong = len(positives.intersection(places)), len(negatives.intersection(places))
        line = [name, len(places), len(places) - sum(wrong), *wrong, ungraded]
        if with_peer:
            asked = any(result.alone[place] is not None for place in places)
            peers = [len(side.intersection(places)) for side in (peer_positives, peer_negatives)]
            line += peers if asked else ["", ""]
        table.append([str(cell) for cell in line])
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    lines = [_aligned(row, widths) for row in table]
    lines.insert(1, "-" * len(lines[0]))
    lines.insert(-1, lines[1])
    scored = [place for place, row in enumerate(result.rows) if row.score is not None]
    off = [p for p in scored if abs(result.verdicts[p].score - (result.rows[p].score or 0.0)) > SCORE_TOLERANCE]
    if scored:
        lines += ["", f"scores given: {len(scored)}, met: {len(scored) - len(off)}"]
    listed = sorted({*positives, *negatives, *off})
    lines += ["", f"{len(listed)} errors" + (":" if listed else "")]
    lines += [_error(result, place, positives, negatives) for place in listed[:errors]]
    if len(listed) > errors:
        lines.append(f"  and {len(listed) - errors} more")
    return "\n".join(lines)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
    return "  ".join(cells).rstrip()


def _error(result: Audit, place: int, positives: set[int], negatives: set[int]) -> str:
    row, verdict = result.rows[place], result.verdicts[place]
    what = "false +" if place in positives else "false -" if place in negatives else "score"
    shown = json.dumps(row.item.completion, ensure_ascii=False)
    shown = shown if len(shown) <= 100 else shown[:99] + "…"
    gold = json.dumps(row.item.gold, ensure_ascii=False, default=str)[:80]
    wanted = f"{row.label}" + (f" {row.score:g}" if row.score is not None else "")
    return (
        f"  line {row.line}, {what}: {row.item.kind} {shown} for {gold} is {wanted} ({row.reason}), "
        f"graded {verdict.outcome} {verdict.score:g} by {verdict.rule}"
    )
