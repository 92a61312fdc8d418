import dataclasses
import io
import math
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from mimovl.curate.grounding.steps import CheckBoxes, Ground
from mimovl.curate.step import Dropped
from mimovl.curate.world.samples import encode_image
from mimovl.data.image import open_image, smart_resize
from mimovl.types import Message, Part, Sample


class Seven:
    """Tools with a seed and nothing else."""

    seed = 7
    cache = Path("unused")

    def generate(self, name: str) -> object:
        raise AssertionError(f"grounding asks no model, not even {name}")


def record(objects: object, *, size: tuple[int, int] = (500, 400), name: str = "photo/1", **meta: object) -> Sample:
    media = encode_image(Image.new("RGB", size, (90, 120, 60)))
    shown = (Message("assistant", (Part("image", media=media.sha256),)),)
    return Sample(name, shown, {media.sha256: media}, "objects", "photo", meta={"objects": objects, **meta})


GOOD = [
    {"label": "cup", "box": [10, 100, 50, 150], "attributes": {"colour": "red"}},
    {"label": "cup", "box": [260, 100, 310, 160], "attributes": {"colour": "blue"}},
    {"label": "plate", "box": [100, 260, 220, 320]},
]


def check(sample: Sample, **fields: object) -> Sample | Dropped:
    (result,) = CheckBoxes(**fields).open(Seven())([sample])  # type: ignore[arg-type]
    assert not isinstance(result, list)
    return result


def ground(sample: Sample, **fields: object) -> list[Sample] | Dropped:
    (result,) = Ground(**fields).open(Seven())([sample])  # type: ignore[arg-type]
    assert not isinstance(result, Sample)
    return result


def test_good_objects_stay_as_they_are_and_forms_become_corners() -> None:
    kept = check(record(GOOD))
    assert isinstance(kept, Sample) and [one["box"] for one in kept.meta["objects"]] == [one["box"] for one in GOOD]
    assert kept.meta["objects"][0]["attributes"] == {"colour": "red"} and kept.meta["doubtful"] == []
    coco = check(record([{"label": "dog", "box": [100, 80, 50, 40]}]), form="xywh")
    unit = check(record([{"label": "dog", "box": [0.2, 0.2, 0.3, 0.3]}]), form="unit")
    outline = check(record([{"label": "dog", "box": [[100, 80, 150, 90, 120, 120]]}]), form="polygon")
    for one in (coco, unit, outline):
        assert isinstance(one, Sample) and one.meta["objects"][0]["box"] == [100.0, 80.0, 150.0, 120.0]


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ([50, 50, 20, 90], "flipped_box"),
        ([50, 50, 50, 90], "empty_box"),
        ([450, 50, 900, 90], "outside_picture"),
        ([50, 50, math.nan, 90], "not_finite"),
        ([50, 50, 52, 90], "tiny_box"),
        ([0, 0, 500, 400], "covers_everything"),
        ([50, 50, 90], "unreadable_box"),
        ("somewhere", "unreadable_box"),
        (None, "unreadable_box"),
    ],
)
def test_a_bad_box_is_named_its_class_is_doubtful_and_alone_it_drops_the_picture(box: object, reason: str) -> None:
    kept = check(record([*GOOD, {"label": "dog", "box": box}]))
    assert isinstance(kept, Sample) and len(kept.meta["objects"]) == 3
    assert kept.meta["doubtful"] == ["dog"] and kept.meta["dropped_objects"][0].startswith(f"{reason}: dog: ")
    alone = check(record([{"label": "dog", "box": box}]))
    assert isinstance(alone, Dropped) and alone.reason == reason


def test_a_duplicate_goes_and_leaves_no_doubt() -> None:
    kept = check(record([*GOOD, GOOD[2]]))
    assert isinstance(kept, Sample) and len(kept.meta["objects"]) == 3 and kept.meta["doubtful"] == []
    assert kept.meta["dropped_objects"][0].startswith("duplicate_box: plate")


@pytest.mark.parametrize("objects", [None, [], "cup", 5])
def test_pictures_without_objects_are_dropped(objects: object) -> None:
    result = check(record(objects))
    assert isinstance(result, Dropped) and result.reason == "no_objects"


def test_entries_that_are_no_objects_are_rejected_and_not_a_crash() -> None:
    result = check(record([7, ["cup", [1, 2, 3, 4]], None]))
    assert isinstance(result, Dropped) and result.reason in ("no_class_name", "unreadable_box")


def test_questions_are_in_pixels_of_the_picture_the_model_sees() -> None:
    sample = record([{"label": "dog", "box": [100, 200, 300, 400]}], size=(777, 1111))
    result = ground(sample, ask="questions", chinese_share=0.0, negative_share=0.0)
    assert isinstance(result, list)
    (media,) = sample.media.values()
    seen = open_image(media.data)
    height, width = smart_resize(seen.height, seen.width)
    for one in result:
        assert one.gold is not None and one.gold.kind == "box"
        for edge, (place, old, new) in zip(
            one.gold.answer,
            [(100, 777, width), (200, 1111, height), (300, 777, width), (400, 1111, height)],
            strict=True,
        ):
            assert abs(edge - place * new / old) <= 0.5


@pytest.mark.parametrize("box", [[90, 90, 20, 20], [450, 50, 900, 90], [50, 50, math.nan, 90], [50, 50, 50, 90]])
def test_boxes_that_nobody_checked_are_not_asked_about(box: list[float]) -> None:
    for number in range(10):
        sample = record([*GOOD, {"label": "dog", "box": box}], name=f"p/{number}")
        result = ground(sample, chinese_share=0.0, classes=("dog",), negative_share=0.5)
        assert isinstance(result, list)
        assert not any("dog" in message.text for one in result for message in one.messages)


def test_training_samples_answer_and_question_samples_ask() -> None:
    trained, asked = ground(record(GOOD), turns=3), ground(record(GOOD), ask="questions", turns=3)
    assert isinstance(trained, list) and isinstance(asked, list)
    assert trained[0].messages[-1].role == "assistant" and trained[0].gold is None
    assert all(one.messages[-1].role == "user" and one.gold is not None for one in asked)
    assert len({one.id for one in [*trained, *asked]}) == len(trained) + len(asked)
    assert trained[0].media.keys() == record(GOOD).media.keys()


def test_what_is_asked_depends_on_the_record_alone_not_on_its_batch() -> None:
    records = [record(GOOD, name=f"photo/{number}") for number in range(6)]
    apply = Ground().open(Seven())  # type: ignore[arg-type]
    together = apply(records)
    assert together == [apply([one])[0] for one in reversed(records)][::-1]
    assert len({one[0].messages[0].text for one in together if isinstance(one, list)}) > 1


def test_doubtful_classes_are_not_spoken_of() -> None:
    for number in range(20):
        sample = record(GOOD, name=f"p/{number}", doubtful=["cup"])
        result = ground(sample, chinese_share=0.0, classes=("cup", "dog"), negative_share=0.4)
        assert isinstance(result, list)
        assert not any("cup" in message.text for one in result for message in one.messages)
    result = ground(record(GOOD, doubtful=[""]))
    assert isinstance(result, Dropped) and result.reason == "doubtful_objects"


def test_both_languages_are_used_as_often_as_asked() -> None:
    languages: Counter[str] = Counter()
    for number in range(60):
        result = ground(record(GOOD, name=f"p/{number}"), chinese_share=0.5)
        assert isinstance(result, list)
        languages[result[0].language] += 1
    assert languages["zh"] > 15 and languages["en"] > 15
    named = ground(record([{"label": "gizmo", "box": [10, 10, 90, 90]}]), chinese_share=1.0)
    assert isinstance(named, list) and named[0].language == "en"


def test_records_that_cannot_be_asked_are_dropped_by_reason() -> None:
    twins = [{"label": "cup", "box": [10, 10, 60, 60]}, {"label": "cup", "box": [12, 10, 61, 62]}]
    assert isinstance(result := ground(record([{"label": "cup", "box": [1, 2, 3]}])), Dropped)
    assert result.reason == "unreadable_box"
    assert isinstance(result := ground(record([])), Dropped) and result.reason == "nothing_to_ground"
    assert isinstance(result := ground(dataclasses.replace(record(GOOD), media={})), Dropped)
    assert result.reason == "not_one_picture"
    assert isinstance(result := ground(record(GOOD, size=(5000, 20))), Dropped) and result.reason == "aspect_ratio"
    found = ground(record(twins), chinese_share=0.0, negative_share=0.0)
    assert isinstance(found, list)  # one of them cannot be meant, both can
    assert {one.task for one in found} == {"multi_grounding"}


def test_a_photo_in_jpeg_is_grounded_too() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (320, 240), (3, 4, 5)).save(buffer, "JPEG")
    media = dataclasses.replace(next(iter(record(GOOD).media.values())), data=buffer.getvalue(), width=320, height=240)
    objects = [{"label": "dog", "box": [10, 10, 90, 90]}]
    sample = dataclasses.replace(record(objects), media={media.sha256: media})
    assert isinstance(ground(sample), list)
