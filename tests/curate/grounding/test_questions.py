import json
import random
from collections import Counter

from mimovl.curate.grounding.convert import to_resized
from mimovl.curate.grounding.questions import Picture, grounding_questions
from mimovl.evaluate.tasks import task_for_gold
from mimovl.types import Outcome
from mimovl.verify import grade
from tests.curate.grounding.pictures import SIZE, TABLE

PICTURE = Picture(TABLE, SIZE, (504, 392), ("zebra", "dog"))


def many(language: str, seeds: int = 16, **settings: float) -> list:
    return [
        one
        for seed in range(seeds)
        for one in grounding_questions(random.Random(seed), PICTURE, language, limit=6, **settings)  # type: ignore[arg-type]
    ]


def test_every_answer_is_right_by_its_own_gold_and_of_a_task_that_can_be_scored() -> None:
    for language in ("en", "zh"):
        for one in many(language):
            verdict = grade(one.gold.kind, one.answer, one.gold.answer, **one.gold.options)
            assert verdict.outcome is Outcome.CORRECT and verdict.score == 1.0
            assert task_for_gold(one.task, one.gold).name == one.task


def test_boxes_are_whole_pixels_of_the_resized_picture() -> None:
    seen = {tuple(to_resized(one.box, SIZE, (504, 392))) for one in TABLE}
    for one in many("en"):
        for entry in json.loads(one.answer):
            assert tuple(entry["bbox_2d"]) in seen
            assert all(isinstance(side, int) for side in entry["bbox_2d"])


def test_all_of_a_kind_are_named_from_the_top_down_and_none_is_forgotten() -> None:
    found = [
        one for one in many("en", negative_share=0.0) if one.task == "multi_grounding" and " red cups." in one.question
    ]
    assert found
    for one in found:
        boxes = [entry["bbox_2d"] for entry in json.loads(one.answer)]
        expected = [to_resized(TABLE[number].box, SIZE, (504, 392)) for number in (0, 2)]
        assert boxes == sorted(expected, key=lambda box: (box[1], box[0])) == one.gold.answer


def test_negatives_come_as_often_as_asked_and_say_nothing_is_there() -> None:
    tasks = Counter(one.task for one in many("en", negative_share=0.5))
    assert 0.3 < tasks["grounding_negative"] / tasks.total() < 0.6  # repeated questions are asked once
    negative = [one for one in many("en", negative_share=0.5) if one.task == "grounding_negative"]
    assert {one.answer for one in negative} == {"[]"}
    assert any("zebra" in one.question for one in negative) and any("red tie" in one.question for one in negative)
    assert grade("json", '[{"bbox_2d":[1,2,30,40],"label":"zebra"}]', []).score == 0.0
    assert not any(one.task == "grounding_negative" for one in many("en", negative_share=0.0))


def test_the_wording_does_not_tell_what_is_missing() -> None:
    hinted = Counter(
        (one.task == "grounding_negative", "answer []" in one.question) for one in many("en", 80, negative_share=0.5)
    )
    shares = [hinted[negative, True] / (hinted[negative, True] + hinted[negative, False]) for negative in (True, False)]
    assert abs(shares[0] - shares[1]) < 0.15


def test_a_picture_without_objects_is_asked_only_for_what_is_missing() -> None:
    (one,) = grounding_questions(random.Random(0), Picture((), SIZE, SIZE, ("dog",)), "en", limit=4)
    assert one.task == "grounding_negative" and "dog" in one.question
    assert grounding_questions(random.Random(0), Picture((), SIZE, SIZE), "en", limit=4) == []
