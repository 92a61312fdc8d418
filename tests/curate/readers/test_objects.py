"""Objects of a picture as a record, and why a box is none."""

from __future__ import annotations

import pytest

from mimovl.curate.readers.media import picture_of
from mimovl.curate.readers.objects import box_problem, objects_record
from mimovl.store_format import sample_to_row
from tests.curate.readers.reading import encoded


def test_a_record_of_objects_can_be_stored_and_says_all() -> None:
    media = picture_of(encoded(), "x")
    sample = objects_record(
        "a", media, [("cup", (1, 2, 3.33333, 4))], ["dog", "cat", "dog"], source="s", texts=["t", "u"]
    )
    assert sample.meta == {
        "objects": [{"label": "cup", "box": [1, 2, 3.333, 4]}], "doubtful": ["cat", "dog"], "size": [40, 30],
        "captions": ["t", "u"],
    }  # fmt: skip
    assert sample.messages[0].text == "t" and sample_to_row(sample)["media"] == [media.sha256]


@pytest.mark.parametrize(
    ("label", "box", "reason"),
    [
        ("", (0, 0, 1, 1), "no_class_name"),
        ("a", None, "unreadable_box"),
        ("a", (0, 0, float("nan"), 1), "unreadable_box"),
        ("a", (5, 0, 1, 1), "flipped_box"),
        ("a", (1, 0, 1, 1), "empty_box"),
        ("a", (10, 0, 11, 1), "outside_picture"),
        ("a", (-5, 0, 0, 1), "outside_picture"),
    ],
)
def test_each_bad_box_has_its_reason(label: str, box: tuple[float, float, float, float] | None, reason: str) -> None:
    problem = box_problem(label, box, 10, 10)
    assert problem is not None and problem[0] == reason
    assert box_problem("a", (-1, 0, 11, 5), 10, 10) is None  # cut at the border, not dropped
