import json
import re
from collections import Counter

from mimovl.curate.world.items import Turn
from mimovl.curate.world.language import COLOURS, SHAPES, SIZES
from mimovl.curate.world.scene_turns import box_answer, counting_questions, unique_turns
from tests.curate.world.cached_items import items


def described_objects(item) -> list[tuple[str, str, str]]:
    """(size, colour, shape) of the annotated objects."""
    return [(a.attributes["size"], a.attributes["colour"], a.attributes["shape"]) for a in item.annotations]


def matching(item, words: list[str]) -> list[tuple[float, ...]]:
    """Boxes of the annotated objects that have all the attributes among some words, plural or not."""
    values = (*COLOURS, *SHAPES, *SIZES)
    stems = {value for value in values if {value, f"{value}s", f"{value}es"} & set(words)}
    return [a.box for a in item.annotations if stems <= set(a.attributes.values())]


def test_captions_name_every_object_in_reading_order() -> None:
    for item in items("world/caption", 60):
        (turn,) = item.turns
        position = 0
        for size, colour, shape in described_objects(item):
            position = turn.answer.lower().index(f"{size} {colour} {shape}", position) + 1
        assert turn.answer[0].isupper() and turn.answer.endswith(".")


def test_counts_are_right() -> None:
    for item in items("world/counting", 150):
        for turn in item.turns:
            words = turn.question.rstrip(".?").split()
            assert turn.gold.kind == "count"
            assert turn.gold.answer == len(matching(item, words)) == int(turn.answer), turn.question
            assert turn.thought.count(",") + 1 == turn.gold.answer


def test_every_counting_question_is_known_with_what_it_counts() -> None:
    kinds = counting_questions()
    asked = {turn.question for item in items("world/counting", 150) for turn in item.turns}
    assert asked <= set(kinds)
    for question in asked:
        named = {value for value in (kinds[question].shape, kinds[question].colour) if value}
        words = question.rstrip(".?").split()
        assert named == {v for v in (*COLOURS, *SHAPES) if {v, f"{v}s", f"{v}es"} & set(words)}


def test_count_answers_are_balanced_from_one_to_six() -> None:
    for split in ("train", "heldout"):
        counts = Counter(turn.gold.answer for item in items("world/counting", 400, split) for turn in item.turns)
        total = counts.total()
        assert set(counts) == {1, 2, 3, 4, 5, 6}
        assert all(0.07 < count / total < 0.28 for count in counts.values()), counts


def test_grounding_answers_are_boxes_of_annotated_objects() -> None:
    for item in items("world/grounding", 120):
        boxes = {a.box for a in item.annotations}
        for turn in item.turns:
            found = json.loads(turn.answer)
            assert not re.search(r"[,:] ", turn.answer)
            given = [entry["bbox_2d"] for entry in found]
            assert {tuple(box) for box in given} <= boxes
            if turn.task == "grounding":
                assert turn.gold.answer == given[0] and len(given) == 1
            else:
                words = turn.question.rstrip(".?").split()
                assert turn.gold.answer == given and len(given) >= 2
                assert sorted(map(tuple, given)) == sorted(matching(item, words)), turn.question


def test_both_grounding_tasks_are_asked() -> None:
    tasks = Counter(turn.task for item in items("world/grounding", 120) for turn in item.turns)
    assert set(tasks) == {"grounding", "multi_grounding"}
    assert tasks["grounding"] > tasks["multi_grounding"] > 0.15 * tasks["grounding"]


def test_box_answers_have_no_spaces_and_keep_chinese() -> None:
    assert box_answer([((1, 2, 3, 4), "红色圆形")]) == '[{"bbox_2d":[1,2,3,4],"label":"红色圆形"}]'


def test_a_question_is_asked_once() -> None:
    turns = [Turn("t", question, "a", "", None, "en") for question in ("x", "y", "x", "z")]
    assert [turn.question for turn in unique_turns(turns, 2)] == ["x", "y"]
    assert [turn.question for turn in unique_turns(turns, 9)] == ["x", "y", "z"]
