"""Tables as people write them become samples; what cannot is dropped with its reason."""

from __future__ import annotations

import math
from typing import Any

import pytest

from mimovl.curate.readers.media import picture_of
from mimovl.curate.readers.rows import row_to_record
from mimovl.curate.step import Dropped
from mimovl.types import Media, Part, Sample
from tests.curate.readers.reading import encoded

PNG = encoded()


def load(value: Any, name: str) -> Media:
    return picture_of(value, name)


def record(row: Any, **settings: Any) -> Sample | Dropped:
    return row_to_record(row, "row", load, source="here", **settings)[1]


def shape(sample: Sample | Dropped) -> list[tuple[str, list[str]]]:
    assert isinstance(sample, Sample), sample
    return [(m.role, [p.text if p.type == "text" else "IMAGE" for p in m.content]) for m in sample.messages]


@pytest.mark.parametrize(
    ("row", "turns"),
    [
        ({"image": PNG, "caption": "a cat"}, [("assistant", ["IMAGE", "a cat"])]),
        ({"text": "only words"}, [("assistant", ["only words"])]),
        ({"caption": ["first", "second"], "jpg": PNG}, [("assistant", ["IMAGE", "first"])]),
        (
            {"question": "what?", "answer": 3, "image": PNG},
            [("user", ["IMAGE", "what?"]), ("assistant", ["3"])],
        ),
        (
            {
                "conversations": [{"from": "human", "value": "<image>\nwhat?"}, {"from": "gpt", "value": "it"}],
                "image": PNG,
            },
            [("user", ["IMAGE", "what?"]), ("assistant", ["it"])],
        ),
        (
            {
                "messages": [{"role": "user", "content": "what?"}, {"role": "assistant", "content": "it"}],
                "images": [PNG],
            },
            [("user", ["IMAGE", "what?"]), ("assistant", ["it"])],
        ),
        (
            {"messages": [{"role": "user", "content": "a <image> b <image>"}], "images": [PNG, encoded(1)]},
            [("user", ["a", "IMAGE", "b", "IMAGE"])],
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image", "image": PNG}, {"type": "text", "text": "x"}]}
                ]
            },
            [("user", ["IMAGE", "x"])],
        ),
        ({"messages": '[{"role": "system", "content": "be"}]'}, [("system", ["be"])]),
    ],
)
def test_every_common_form_becomes_the_same_conversation(row: Any, turns: Any) -> None:
    assert shape(record(row)) == turns


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (3, "no_table"),
        (None, "no_table"),
        ({"image": PNG}, "no_text"),
        ({"caption": "  "}, "no_text"),
        ({"caption": 7}, "no_text"),
        ({"caption": "x", "image": b""}, "empty_file"),
        ({"caption": "x", "image": b"GIF89a no more"}, "not_an_image"),
        ({"messages": []}, "bad_message"),
        ({"messages": "{"}, "bad_message"),
        ({"messages": [{"role": "cook", "content": "x"}]}, "bad_message"),
        ({"messages": [{"role": "user"}]}, "bad_message"),
        ({"messages": [{"role": "user", "content": 4}]}, "bad_message"),
        ({"messages": ["hello"]}, "bad_message"),
        ({"messages": [{"role": "user", "content": [{"type": "audio"}]}]}, "bad_message"),
        ({"messages": [{"role": "user", "content": "<image> <image>"}], "image": PNG}, "placeholders"),
        ({"messages": [{"role": "user", "content": "<image>"}], "images": [PNG, PNG]}, "placeholders"),
        ({"messages": [{"role": "user", "content": "<image>"}]}, "placeholders"),
    ],
)
def test_what_cannot_become_a_sample_is_dropped_with_the_reason(row: Any, reason: str) -> None:
    dropped = record(row)
    assert isinstance(dropped, Dropped) and dropped.reason == reason, dropped


def test_a_picture_without_text_is_kept_where_captions_are_to_be_made() -> None:
    sample = record({"image": PNG}, needs_text=False)
    assert shape(sample) == [("assistant", ["IMAGE"])]
    assert isinstance(record({"caption": ""}, needs_text=False), Dropped)


def test_named_keys_are_read_and_the_rest_is_kept_where_json_holds_it() -> None:
    row = {
        "id": 9,
        "bild": PNG,
        "satz": "hier",
        "score": 0.5,
        "bad": math.nan,
        "big": math.inf,
        "deep": [1],
        "meta": {"a": 1},
    }
    name, sample = row_to_record(row, "row", load, source="here", text_key="satz", image_key="bild")
    assert isinstance(sample, Sample) and name == sample.id == "9"
    assert sample.meta == {"score": 0.5, "a": 1} and sample.source == "here"
    assert sample.messages[0].content[1] == Part("text", text="hier")
