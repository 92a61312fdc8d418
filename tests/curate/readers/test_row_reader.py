"""The fields that every reader of tables has do what they say."""

from __future__ import annotations

from pathlib import Path

from mimovl.curate.readers.json_lines import JsonLines
from mimovl.curate.step import Dropped
from mimovl.types import Sample
from tests.curate.readers.reading import encoded, write


def test_columns_source_and_task_are_those_of_the_recipe(tmp_path: Path) -> None:
    write(tmp_path / "p" / "a.png", encoded())
    reader = JsonLines(
        path="x", text_key="satz", image_key="bild", source="netz", task="caption", media_root=str(tmp_path / "p")
    )
    name, sample = reader.record({"satz": "hier", "bild": "a.png", "caption": "not this"}, "r", tmp_path)
    assert isinstance(sample, Sample) and name == "r"
    assert (sample.source, sample.task, sample.messages[0].text, len(sample.media)) == ("netz", "caption", "hier", 1)
    assert JsonLines(path="x").record({"text": "t"}, "r", tmp_path)[1].source == "jsonl"  # type: ignore[union-attr]


def test_text_is_needed_unless_said_otherwise(tmp_path: Path) -> None:
    write(tmp_path / "a.png", encoded())
    row = {"image": "a.png"}
    assert JsonLines(path="x").record(row, "r", tmp_path)[1] == Dropped(
        "no_text", "none of caption, text, txt, description, alt holds a text"
    )
    assert isinstance(JsonLines(path="x", needs_text=False).record(row, "r", tmp_path)[1], Sample)
