import pytest

from mimovl.curate.world import SOURCES, WorldConfig, build_item, split_of, to_training_sample
from mimovl.errors import DataError
from mimovl.verify import grade
from tests.curate.world.cached_items import CHINESE, ENGLISH, items


def pixels(item) -> list[bytes]:
    pictures = [item.image] if item.image else [*item.frames, *(p for p in item.document if not isinstance(p, str))]
    return [picture.tobytes() for picture in pictures]


UNGRADED = ("world/dense", "world/recall")
"""Sources that only train."""


@pytest.mark.parametrize("source", SOURCES)
def test_the_same_arguments_give_the_same_item(source: str) -> None:
    for split in ("train", "heldout"):
        for index in (0, 7):
            one, two = (build_item(source, seed=3, index=index, split=split, config=ENGLISH) for _ in range(2))
            assert (one.id, one.key, one.turns, one.annotations, one.description) == (
                two.id,
                two.key,
                two.turns,
                two.annotations,
                two.description,
            )
            assert pixels(one) == pixels(two)


@pytest.mark.parametrize("source", SOURCES)
def test_items_differ_by_index_and_seed(source: str) -> None:
    found = [
        build_item(source, seed=seed, index=index, split="train", config=ENGLISH)
        for seed in (0, 1)
        for index in range(8)
    ]
    assert len({item.id for item in found}) == 16
    assert len({item.key for item in found}) > 12


def test_train_and_heldout_never_share_a_scene_whatever_their_seeds() -> None:
    config = WorldConfig(picture_sides=(84,), objects=(1, 2))  # a crowded world: collisions would be certain
    keys = {"train": set(), "heldout": set()}
    for split, found in keys.items():
        for source in ("world/grounding", "world/counting", "world/caption"):
            for index in range(100):
                for seed in (0, 1):
                    found.add(build_item(source, seed=seed, index=index, split=split, config=config).key)
    assert not keys["train"] & keys["heldout"]
    assert {split_of(key) for key in keys["train"]} == {"train"}
    assert {split_of(key) for key in keys["heldout"]} == {"heldout"}


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_keeps_to_its_side_of_the_split(source: str) -> None:
    for split in ("train", "heldout"):
        assert {split_of(item.key) for item in items(source, 20, split)} == {split}


@pytest.mark.parametrize("source", [source for source in SOURCES if source not in UNGRADED])
def test_every_golden_answer_is_graded_right(source: str) -> None:
    for chinese in (False, True):
        for item in items(source, 25, chinese=chinese):
            for turn in item.turns:
                completion = f"<think>\n{turn.thought}\n</think>\n\n{turn.answer}"
                verdict = grade(turn.gold.kind, completion, turn.gold.answer, **turn.gold.options)
                assert verdict.score >= 0.999, (turn, verdict)


@pytest.mark.parametrize("source", SOURCES)
def test_sides_are_multiples_of_28(source: str) -> None:
    for item in items(source, 10):
        pictures = [item.image] if item.image else [*item.frames, *(p for p in item.document if not isinstance(p, str))]
        for picture in pictures:
            assert picture.mode == "RGB" and picture.width % 28 == 0 and picture.height % 28 == 0


@pytest.mark.parametrize("source", SOURCES)
def test_items_have_turns_or_a_document_and_speak_one_language(source: str) -> None:
    for item in items(source, 20):
        assert bool(item.turns) != bool(item.document)
        assert {turn.language for turn in item.turns} <= {item.language}
        assert len(item.turns) <= ENGLISH.turns_per_item


def test_chinese_share_is_kept() -> None:
    config = WorldConfig(chinese_share=0.3)
    found = [build_item("world/caption", seed=0, index=i, split="train", config=config).language for i in range(300)]
    assert 60 < found.count("zh") < 120
    assert all(item.language == "zh" for item in items("world/reasoning", 10, chinese=True))
    assert CHINESE.chinese_share == 1.0


def test_language_does_not_move_an_item_across_the_split() -> None:
    for item in items("world/attributes", 10, "heldout", chinese=True):
        assert split_of(item.key) == "heldout"


def test_unknown_sources_and_splits_are_refused() -> None:
    with pytest.raises(DataError, match="world/caption"):
        build_item("world/captions", seed=0, index=0, split="train", config=ENGLISH)
    with pytest.raises(DataError, match="heldout"):
        build_item("world/caption", seed=0, index=0, split="test", config=ENGLISH)  # type: ignore[arg-type]


def test_ids_tell_source_split_seed_and_index() -> None:
    import random

    item = build_item("world/gui", seed=4, index=9, split="heldout", config=ENGLISH)
    assert item.id == "world/gui/heldout-4-9"
    assert to_training_sample(item, rng=random.Random(0), thinking_share=0.5, max_turns=3).id == item.id


def test_an_item_about_which_nothing_can_be_asked_is_drawn_again() -> None:
    # This seed once gave a clip without a question.
    item = build_item("world/clip", seed=11, index=549519, split="train", config=WorldConfig())
    assert item.turns
