"""Lists to recall: every answer stands in the list."""

from __future__ import annotations

import random

from mimovl.curate.world import WorldConfig, WorldItem, build_item, split_of, to_training_sample

CONFIG = WorldConfig()


def shown(item: WorldItem) -> str:
    return item.description.partition(": ")[2]


def test_every_answer_stands_in_what_is_shown() -> None:
    for index in range(50):
        item = build_item("world/recall", seed=2, index=index, split="train", config=CONFIG)
        assert all(turn.answer in shown(item) for turn in item.turns)


def test_names_and_words_occur_once_so_there_is_one_answer() -> None:
    for index in range(50):
        item = build_item("world/recall", seed=2, index=index, split="train", config=CONFIG)
        if item.description.startswith("list"):
            entries = [entry.rsplit(" ", 1)[0] for entry in shown(item).split("; ")]
            assert len(entries) == len(set(entries))
    kinds = {
        build_item("world/recall", seed=2, index=index, split="train", config=CONFIG).description.split(":")[0]
        for index in range(20)
    }
    assert kinds == {"list", "words"}


def test_the_list_stands_in_the_question_where_there_is_no_picture() -> None:
    item = build_item("world/recall", seed=2, index=0, split="train", config=CONFIG)
    sample = to_training_sample(item, rng=random.Random(0), thinking_share=0.0, max_turns=3, as_text=True)
    assert sample.messages[0].text.startswith(item.description) and not sample.media


def test_train_and_heldout_lists_differ() -> None:
    for split in ("train", "heldout"):
        item = build_item("world/recall", seed=2, index=1, split=split, config=CONFIG)
        assert split_of(item.key) == split
