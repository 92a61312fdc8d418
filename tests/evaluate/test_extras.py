import pytest

from mimovl.evaluate.extras import MAX_COUNT, absolute_error, box_recall
from mimovl.types import Gold

TWO = Gold("box", [[0, 0, 10, 10], [20, 0, 30, 10]])


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("4", 0),
        ("6", 2),
        ("-1", 5),
        ("no idea", 4),
        ("<think>4", 4),
        ("<think>9</think>3", 1),
        ("9" * 300, MAX_COUNT - 4),
        ("9" * 400, MAX_COUNT - 4),  # more than a float holds
        ("-" + "9" * 400, MAX_COUNT + 4),
    ],
)
def test_absolute_error_takes_an_unread_answer_for_zero(text: str, error: float) -> None:
    assert absolute_error(Gold("count", 4), text) == (error, 1)


@pytest.mark.parametrize(
    ("text", "recall"),
    [
        ("[[0,0,10,10],[20,0,30,10]]", 1),
        ("[[0,0,10,10]]", 0.5),
        ("[[0,0,10,10],[0,0,10,10]]", 0.5),
        ("[[0,0,10,10],[20,0,30,10],[90,0,99,9]]", 1),
        ("[[0,0,10,4],[20,0,30,10]]", 0.5),
        ("[[10,10,0,0]]", 0),
        ("none", 0),
        ("<think>[0,0,10,10]", 0),
        ("[0,0,10,10]" * 500, 0),
    ],
)
def test_recall_is_the_share_of_gold_boxes_found_one_to_one(text: str, recall: float) -> None:
    assert box_recall(TWO, text) == (recall, 2)


def test_recall_counts_the_most_pairs_not_the_largest_overlap() -> None:
    gold = Gold("box", [[0, 0, 10, 10], [4, 0, 14, 10]])
    # 2-12 overlaps both by 2/3; 5-15 only the second
    assert box_recall(gold, "[[2,0,12,10],[5,0,15,10]]") == (1, 2)


def test_measures_do_not_apply_to_other_kinds() -> None:
    assert absolute_error(TWO, "1") is None
    assert box_recall(Gold("count", 4), "1") is None
