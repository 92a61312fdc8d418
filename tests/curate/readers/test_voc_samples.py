"""Photos with boxes as questions and conversations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimovl.curate.readers.voc import VocObject, VocPhoto
from mimovl.curate.readers.voc_samples import (
    build_questions,
    load_media,
    plural,
    to_heldout_samples,
    to_training_samples,
)
from mimovl.data.image import smart_resize
from mimovl.errors import DataError
from mimovl.types import Media
from tests.curate.readers.voc_folder import jpeg

NAMES = {"rbc": "red blood cell"}
MEDIA = Media("0" * 64, "image", b"", 640, 480)


def photo(*objects: VocObject, doubtful: frozenset[str] = frozenset(), size: tuple[int, int] = (640, 480)) -> VocPhoto:
    return VocPhoto("p", Path("p.jpg"), *size, objects, doubtful, 0, False, "0" * 64, 0)


CELLS = (
    VocObject("RBC", (300.0, 200.0, 400.0, 300.0)),
    VocObject("RBC", (0.0, 0.0, 640.0, 480.0)),
    VocObject("WBC", (10.4, 20.6, 50.0, 60.0)),
)


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("red blood cell", "red blood cells"),
        ("platelets", "platelets"),
        ("person", "people"),
        ("traffic person", "traffic people"),
        ("bus", "buses"),
        ("glass", "glasses"),
        ("box", "boxes"),
        ("berry", "berries"),
        ("key", "keys"),
        ("sheep", "sheep"),
        ("y", "ys"),
    ],
)
def test_class_names_are_made_plural(one: str, many: str) -> None:
    assert plural(one) == many


def test_a_photo_is_asked_for_each_class_and_the_total() -> None:
    asked = {one.question: (one.task, one.gold.answer) for one in build_questions(photo(*CELLS), names=NAMES)}
    assert asked == {
        "How many red blood cells are there?": ("counting", 2),
        "Find all red blood cells.": ("multi_grounding", [[0, 0, 644, 476], [302, 198, 402, 298]]),
        "How many wbcs are there?": ("counting", 1),
        "Where is the wbc? Give its box.": ("grounding", [10, 20, 50, 60]),
        "How many objects are there?": ("counting", 3),
    }


def test_a_boxes_answer_is_written_as_json_without_spaces() -> None:
    answers = {one.task: one.answer for one in build_questions(photo(*CELLS), names=NAMES)}
    assert answers["grounding"] == '[{"bbox_2d":[10,20,50,60],"label":"wbc"}]'


def test_a_class_with_a_dropped_object_is_not_asked_about_nor_is_the_total() -> None:
    asked = [one.question for one in build_questions(photo(*CELLS, doubtful=frozenset({"rbc"})), names=NAMES)]
    assert asked == ["How many wbcs are there?", "Where is the wbc? Give its box."]
    assert build_questions(photo(*CELLS, doubtful=frozenset({""})), names=NAMES) == ()


def test_classes_of_one_name_are_counted_together() -> None:
    both = photo(VocObject("Cell", (0, 0, 9, 9)), VocObject("cell", (9, 9, 20, 20)))
    assert [one.gold.answer for one in build_questions(both, names={}) if one.task == "counting"] == [2, 2]


@given(
    width=st.integers(30, 5000),
    height=st.integers(30, 5000),
    edges=st.lists(st.floats(0, 1), min_size=4, max_size=4),
    max_pixels=st.sampled_from([3136, 50_000, 3_211_264]),
)
def test_boxes_lie_inside_the_resized_photo_and_have_area(
    width: int, height: int, edges: list[float], max_pixels: int
) -> None:
    x1, x2 = sorted((edges[0] * width, edges[1] * width))
    y1, y2 = sorted((edges[2] * height, edges[3] * height))
    questions = build_questions(
        photo(VocObject("a", (x1, y1, x2, y2)), size=(width, height)), names={}, max_pixels=max_pixels
    )
    left, top, right, bottom = next(one.gold.answer for one in questions if one.task == "grounding")
    new_height, new_width = smart_resize(height, width, max_pixels=max_pixels)
    assert 0 <= left < right <= new_width and 0 <= top < bottom <= new_height
    assert abs(left - x1 * new_width / width) < 1.6 and abs(bottom - y2 * new_height / height) < 1.6  # 0.5 + widening


def test_a_training_sample_is_one_conversation_without_thinking() -> None:
    questions = build_questions(photo(*CELLS), names=NAMES)
    (sample,) = to_training_samples(photo(*CELLS), MEDIA, questions, source="voc", seed=1)
    assert [message.role for message in sample.messages] == ["user", "assistant"] * 5
    assert [part.type for part in sample.messages[0].content] == ["image", "text"]
    assert all(message.text.endswith(" /no_think") for message in sample.messages[::2])
    assert all(message.text.startswith("<think>\n\n</think>\n\n") for message in sample.messages[1::2])
    assert sample.meta["golds"]["How many objects are there?"] == {"kind": "count", "answer": 3}
    assert sample.gold is None and sample.source == "voc"
    again = to_training_samples(photo(*CELLS), MEDIA, questions, source="voc", seed=1)
    assert again == [sample]
    assert to_training_samples(photo(*CELLS), MEDIA, questions, source="voc", seed=2) != [sample]


def test_many_classes_make_several_conversations_and_lose_no_question() -> None:
    many = photo(*(VocObject(f"kind{number}", (number, 0, number + 5, 9)) for number in range(20)))
    questions = build_questions(many, names={})
    samples = to_training_samples(many, MEDIA, questions, source="voc", seed=0)
    assert len(samples) == 4 and len({sample.id for sample in samples}) == 4
    assert sum(len(sample.messages) // 2 for sample in samples) == len(questions) == 41
    assert all(sample.messages[0].content[0].type == "image" for sample in samples)


def test_a_heldout_sample_is_one_question_with_gold() -> None:
    questions = build_questions(photo(*CELLS), names=NAMES)
    samples = to_heldout_samples(photo(*CELLS), MEDIA, questions, source="voc")
    assert [sample.gold for sample in samples] == [one.gold for one in questions]
    assert [sample.task for sample in samples] == [one.task for one in questions]
    assert all(len(sample.messages) == 1 and sample.messages[0].role == "user" for sample in samples)
    assert {sample.meta["scene"] for sample in samples} == {"p"}
    answers = {one.task: one.answer for one in questions}
    assert json.loads(answers["multi_grounding"])[0]["bbox_2d"] == [0, 0, 644, 476]


def test_a_photo_that_changed_since_it_was_checked_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.jpg"
    one = VocPhoto("p", path, 168, 112, (), frozenset(), 0, False, "0" * 64, 0)
    with pytest.raises(DataError, match="can no longer be read"):
        load_media(one)
    path.write_bytes(jpeg(1))
    with pytest.raises(DataError, match="changed while it was being imported"):
        load_media(one)
