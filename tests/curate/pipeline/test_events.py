"""Rows of what happened, counts, and what a change is called."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mimovl.curate.pipeline.events import EVENT_SCHEMA, Events, Tally, difference
from mimovl.curate.step import Dropped
from mimovl.types import Gold, Message, Part, Sample
from tests.curate.pipeline.parts import caption, picture


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"task": "ocr"}, "task 'caption' → 'ocr'"),
        ({"language": "zh"}, "language 'en' → 'zh'"),
        ({"messages": (Message("assistant", (Part("text", "new"),)),), "media": {}}, "text “old” → “new”; 1 media"),
        ({"meta": {"a": 1}}, "meta.a = 1; meta.b taken out"),
        ({"gold": Gold("count", 3)}, "gold 3"),
    ],
)
def test_a_change_is_told_by_what_differs(changes: dict[str, object], said: str) -> None:
    before = replace(caption("a", "old", picture(1)), meta={"b": 2})
    found = difference(before, replace(before, **changes))  # type: ignore[arg-type]
    assert found.startswith(said) and bool(found) == bool(said)


def test_long_texts_are_cut_and_half_characters_written(tmp_path: object) -> None:
    events = Events()
    events.add("a\ud800", 0, "changed", detail="x" * 5000)
    events.drop("b", 1, Dropped("why\udfff", "because"))
    table = events.table()
    assert table.schema == EVENT_SCHEMA and table["id"].to_pylist() == ["a?", "b"]
    assert len(table["detail"][0].as_py()) == 600 and events.tallies[1].dropped == {"why?": 1}
    assert len(difference(Sample("a", ()), Sample("a", (Message("user", (Part("text", "y" * 999),)),)))) < 200


def test_tallies_add_and_come_back_from_json() -> None:
    one, two = Tally(5, 3, 1, 1), Tally(2, 1)
    one.dropped["x"] = 3
    two.dropped.update({"x": 1, "a": 1})
    one.add(two)
    assert Tally.from_json(one.to_json()) == one == Tally(7, 4, 1, 1, dropped=one.dropped)
    assert list(one.to_json()["dropped"]) == ["a", "x"] and one.dropped["x"] == 4
