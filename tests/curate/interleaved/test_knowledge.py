"""Kinds of documents: by rules, by a model where they are undecided, and what is dropped."""

from __future__ import annotations

from pathlib import Path

import pytest

from mimovl.curate.interleaved.blocks import blocks_of
from mimovl.curate.interleaved.knowledge import KnowledgeType, Verdict, knowledge_type
from mimovl.curate.step import Dropped
from mimovl.types import Sample
from tests.curate.interleaved.documents import Bench, Scripted, make, text
from tests.curate.interleaved.labelled import ARTICLE, LABELLED, NONE_EN, PRODUCT


def blocks(words: str) -> list:
    """Short lines are headings, as readers find them."""
    return [text(line, "heading" if len(line) < 40 and not line.endswith((".", "。")) else "text")
            for line in words.split("\n")]  # fmt: skip


@pytest.mark.parametrize(("kind", "words"), LABELLED, ids=[f"{n}-{kind}" for n, (kind, _) in enumerate(LABELLED)])
def test_a_labelled_text_is_told(kind: str, words: str) -> None:
    assert knowledge_type(blocks(words)).kind == kind


def test_only_the_kinds_asked_for_stay(tmp_path: Path) -> None:
    samples = [make(*blocks(words), name=kind) for kind, words in ((k, w) for k, w in LABELLED)]
    results = KnowledgeType(keep=["manual", "patent"]).open(Bench(tmp_path))(samples)
    kept = [one.meta["knowledge"]["type"] for one in results if isinstance(one, Sample)]
    assert kept == ["manual", "manual", "patent", "patent"]
    assert {one.reason for one in results if isinstance(one, Dropped)} == {"knowledge_type"}


def test_a_model_is_asked_where_the_rules_are_undecided_and_only_once(tmp_path: Path) -> None:
    step = KnowledgeType(ask="judge")
    vague = make(text("Some remarks. In this chapter nothing is settled. Students agree."), name="vague")
    sure = make(*blocks(PRODUCT), name="sure")
    model = Scripted(["I think: Textbook."])
    for _ in range(2):
        first, second = step.open(Bench(tmp_path, model))([sure, vague])
    assert isinstance(first, Sample) and first.meta["knowledge"]["by"] == "rules"
    assert isinstance(second, Sample) and second.meta["knowledge"] | {"weight": 0} == {
        "type": "textbook", "by": "model", "decided": True, "weight": 0,
    }  # fmt: skip
    assert len(model.asked) == 1 and "nothing is settled" in model.asked[0]


def test_a_model_may_overrule_and_one_that_names_no_kind_does_not(tmp_path: Path) -> None:
    step = KnowledgeType(ask="judge", ask_when="always")
    article = make(*blocks(ARTICLE))
    (other,) = step.open(Bench(tmp_path / "a", Scripted(["other"])))([article])
    assert other == Dropped("knowledge_type", other.detail) and isinstance(other, Dropped)
    (kept,) = step.open(Bench(tmp_path / "b", Scripted(["I cannot say"])))([article])
    assert isinstance(kept, Sample) and kept.meta["knowledge"]["by"] == "rules"


def test_undecided_documents_go_where_the_recipe_is_strict(tmp_path: Path) -> None:
    sample = make(text("Students agree, and we shall see. [1] [2] [3]"))
    assert knowledge_type(blocks_of(sample)) == Verdict("textbook", 1.6, False)
    (kept,) = KnowledgeType().open(Bench(tmp_path))([sample])
    (dropped,) = KnowledgeType(keep_undecided=False).open(Bench(tmp_path))([sample])
    assert isinstance(kept, Sample) and isinstance(dropped, Dropped) and "undecided" in dropped.detail


def test_chatter_has_no_kind() -> None:
    assert knowledge_type([text(NONE_EN)]).weight < 1
