"""Dense captions name everything there is, where it is."""

from __future__ import annotations

from mimovl.curate.world import WorldConfig, build_item

ENGLISH = WorldConfig(chinese_share=0.0)


def items(count: int) -> list:
    return [build_item("world/dense", seed=4, index=index, split="train", config=ENGLISH) for index in range(count)]


def test_every_drawn_object_is_named_with_its_box() -> None:
    scenes = [item for item in items(60) if item.description.startswith("picture")]
    assert len(scenes) > 10
    for item in scenes:
        [turn] = item.turns
        for note in item.annotations:
            box = ",".join(str(round(side)) for side in note.box)
            named = f"{note.attributes['size']} {note.attributes['colour']} {note.attributes['shape']}"
            assert named in turn.answer and f"[{box}]" in turn.answer


def test_every_screen_element_is_named() -> None:
    screens = [item for item in items(60) if item.description.startswith("screen")]
    assert len(screens) > 5
    for item in screens:
        [turn] = item.turns
        labels = {note.attributes["label"] for note in item.annotations if "label" in note.attributes}
        assert all(f'"{label}"' in turn.answer for label in labels)


def test_pictures_screens_pages_and_clips_all_occur() -> None:
    kinds = {item.description.split()[0] for item in items(60)}
    assert kinds == {"picture", "screen", "page", "clip"}


def test_the_answer_is_one_ungraded_turn_of_the_caption_task() -> None:
    for item in items(20):
        [turn] = item.turns
        assert item.source == "world/dense" and turn.task == "caption" and turn.gold is None
