"""A document's sample keeps its blocks, in order, through steps and through the store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mimovl.curate.interleaved.blocks import blocks_of, clean_text, count, plain_text, table_text, with_blocks
from mimovl.errors import DataError
from mimovl.media_check import check_media
from mimovl.store import Dataset
from mimovl.store_writer import DatasetWriter
from mimovl.types import Message, Part
from tests.curate.interleaved.documents import make, show, text


def test_blocks_come_back_as_they_went_in() -> None:
    blocks = [text("Title", "heading"), text("One."), show(1, alt="a dog"), text("Figure 1: dog", "caption"), show(1)]
    sample = make(*blocks)
    assert blocks_of(sample) == blocks
    assert len(sample.media) == 1, "a picture shown twice is held once"
    assert [part.type for part in sample.messages[0].content] == ["text", "text", "image", "text", "image"]
    check_media(sample)


def test_a_document_survives_the_store(tmp_path: Path) -> None:
    sample = make(text("One."), show(1, alt="狗"), text("图 1：狗", "caption"), text("| a |", "table"))
    with DatasetWriter(tmp_path / "d") as writer:
        writer.add(sample)
    assert blocks_of(Dataset.open(tmp_path / "d")[0]) == blocks_of(sample)


def test_parts_another_step_changed_are_plain_texts_and_pictures() -> None:
    sample = make(text("Title", "heading"), show(1))
    content = (*sample.messages[0].content, Part("text", "more"))
    changed = replace(sample, messages=(Message("assistant", content),))
    assert [block.kind for block in blocks_of(changed)] == ["text", "picture", "text"]


def test_a_conversation_is_refused() -> None:
    sample = make(text("x"))
    with pytest.raises(DataError, match="has 2 messages: a document has one"):
        blocks_of(replace(sample, messages=sample.messages * 2))


def test_new_blocks_drop_the_media_no_block_shows() -> None:
    sample = make(text("One."), show(1), show(2))
    left = with_blocks(sample, [block for block in blocks_of(sample) if block.text], note=1)
    assert not left.media and left.meta["note"] == 1 and left.meta["site"] == "s"
    check_media(left)


def test_text_loses_what_may_not_stand_in_a_sample() -> None:
    assert clean_text("ﬁ<|image_pad|>ne\x00 \ufffe\u00adx") == "fi<image_pad>ne x"


def test_a_table_is_markdown_with_rows_filled_up() -> None:
    assert table_text([["a", "b|c"], ["d"]]) == "| a | b\\|c |\n| --- | --- |\n| d |  |"
    assert table_text([]) == ""


def test_counts_add_up() -> None:
    assert count({"k": {"b": 1}}, "k", {"a": 2, "b": 3}) == {"a": 2, "b": 4}
    assert plain_text([text("a"), show(1), text("b")]) == "a\n\nb"
