"""LLaVA and ShareGPT lists: cut where the items end, whatever the text around them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mimovl.curate.readers.llava import Llava, item_spans
from mimovl.types import Sample
from tests.curate.readers.reading import encoded, kept, read_all, reasons, write


def rows(count: int) -> list[dict[str, object]]:
    return [
        {
            "id": f"v{n}",
            "image": "a/p.png",
            "conversations": [
                {"from": "human", "value": "<image>\n看 “]}, [{” \\ " + "x" * (n * 977 % 40_000)},
                {"from": "gpt", "value": f"答 {n}"},
            ],
        }
        for n in range(count)
    ]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_every_conversation_is_read_with_its_picture(tmp_path: Path, indent: int | None, ascii_only: bool) -> None:
    write(tmp_path / "a" / "p.png", encoded())
    write(tmp_path / "train.json", json.dumps(rows(40), indent=indent, ensure_ascii=ascii_only))
    found = read_all(Llava(path=str(tmp_path / "train.json"), unit_items=7))
    assert list(kept(found)) == [f"v{n}" for n in range(40)]
    sample = found["v39"]
    assert isinstance(sample, Sample) and sample.messages[1].text == "答 39" and len(sample.media) == 1
    assert [part.type for part in sample.messages[0].content] == ["image", "text"]


@pytest.mark.parametrize(
    ("text", "items", "broken"),
    [
        ("[]", 0, False),
        ('[{"a": 1}, 2, "x"]', 3, False),
        ("\ufeff [1]", 1, False),
        ("", 0, True),
        ("{}", 0, True),
        ("[1, 2", 2, True),
        ('[{"a": 1}, {"a": ', 1, True),
        ("[1 2]", 1, True),
        ("[1, }]", 1, True),
    ],
)
def test_a_list_is_cut_up_to_where_it_breaks_off(tmp_path: Path, text: str, items: int, broken: bool) -> None:
    spans = list(item_spans(write(tmp_path / "x.json", text)))
    assert [end >= 0 for _, end in spans] == [True] * items + [False] * broken


def test_what_follows_a_break_is_one_drop(tmp_path: Path) -> None:
    whole = json.dumps([{"text": f"t{n}"} for n in range(5)])
    write(tmp_path / "x.json", whole[:-10])
    found = read_all(Llava(path=str(tmp_path)))
    assert len(kept(found)) == 4 and list(reasons(found).values()) == ["bad_json"]
