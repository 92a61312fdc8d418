"""What becomes of a sample at each step, as rows: the matter of counts, drop lists and stories.

A step that leaves a sample as it is writes no row; whoever reads the story fills those in.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa

from mimovl.curate.step import Dropped
from mimovl.types import Sample

__all__ = ["DUPLICATE", "EVENT_SCHEMA", "Events", "Tally", "difference"]

What = Literal["read", "changed", "split", "made", "dropped"]

EVENT_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("step", pa.int16()),  # −1: reading; the number of steps: storing
        ("what", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)
DUPLICATE = Dropped("duplicate_id", "a sample before it has the same id; give each a name of its own")

_EXCERPT = 120
_DETAIL = 600


@dataclass
class Tally:
    """What one step did. ``seen`` = ``passed`` − ``made`` + all dropped."""

    seen: int = 0
    passed: int = 0
    """Samples that went on, those made included."""
    changed: int = 0
    made: int = 0
    """Samples beyond one that splits gave; −1 for each split into none."""
    dropped: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Count another's as well."""
        self.seen += other.seen
        self.passed += other.passed
        self.changed += other.changed
        self.made += other.made
        self.dropped.update(other.dropped)

    def to_json(self) -> dict[str, Any]:
        """As plain values, reasons in order of their names."""
        return {**vars(self), "dropped": dict(sorted(self.dropped.items()))}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Tally:
        """What ``to_json`` gave."""
        return cls(**{**values, "dropped": Counter(values["dropped"])})


class Events:
    """Rows and counts of one task in one segment."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int, str, str, str]] = []
        self.tallies: dict[int, Tally] = {}

    def tally(self, step: int) -> Tally:
        """Of a step."""
        return self.tallies.setdefault(step, Tally())

    def add(self, sample_id: str, step: int, what: What, reason: str = "", detail: str = "") -> None:
        """Write a row."""
        self.rows.append((_writable(sample_id), step, what, _writable(reason), _writable(detail)[:_DETAIL]))

    def drop(self, sample_id: str, step: int, dropped: Dropped) -> None:
        """Write and count a drop."""
        self.tally(step).dropped[_writable(dropped.reason)] += 1
        self.add(sample_id, step, "dropped", dropped.reason, dropped.detail)

    def table(self) -> pa.Table:
        """The rows."""
        columns = list(zip(*self.rows, strict=True)) or [()] * len(EVENT_SCHEMA)
        arrays = [pa.array(column, type=kind.type) for column, kind in zip(columns, EVENT_SCHEMA, strict=True)]
        return pa.table(arrays, schema=EVENT_SCHEMA)


def difference(before: Sample, after: Sample) -> str:
    """What a step changed, for people; empty if nothing."""
    parts = []
    for name in ("task", "source", "language"):
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            parts.append(f"{name} {old!r} → {new!r}")
    if before.messages != after.messages:
        old, new = (" ⏎ ".join(message.text for message in sample.messages) for sample in (before, after))
        if old != new:
            parts.append(f"text “{_excerpt(old)}” → “{_excerpt(new)}”")
        else:
            parts.append(f"the order of {len(after.messages)} messages or of their parts")
    if list(before.media) != list(after.media):
        gone, new_ones = set(before.media) - set(after.media), set(after.media) - set(before.media)
        parts.append(f"{len(gone)} media replaced or taken out, {len(new_ones)} put in")
    if before.gold != after.gold:
        parts.append(f"gold {after.gold.answer!r}" if after.gold else "gold taken out")
    if before.meta != after.meta:
        for key in sorted({*before.meta, *after.meta}):
            if before.meta.get(key) != after.meta.get(key):
                value = (
                    _excerpt(json.dumps(after.meta[key], ensure_ascii=False, default=str)) if key in after.meta else ""
                )
                parts.append(f"meta.{key} = {value}" if value else f"meta.{key} taken out")
    return "; ".join(parts)


def _excerpt(text: str) -> str:
    return text if len(text) <= _EXCERPT else text[: _EXCERPT - 1] + "…"


def _writable(text: str) -> str:
    """Text as files hold it: half surrogate pairs become question marks."""
    return text if text.isascii() else text.encode(errors="replace").decode()
