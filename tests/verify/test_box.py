import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimovl.errors import DataError
from mimovl.verify import box_giou, box_iou, grade
from mimovl.verify.box import Box, match_boxes
from tests.verify.table import CUT, RIGHT, UNREAD, WRONG, Row, check, rows

GOLD = [10, 20, 50, 60]
HALF = "[10,20,50,40]"  # IoU and GIoU 1/2
TWO = [[10, 20, 50, 60], [70, 20, 90, 60]]
IOU, ACCURACY = {"metric": "iou"}, {"metric": "accuracy"}


def written(*boxes: object) -> str:
    return "[" + ",".join(f'{{"bbox_2d":{box},"label":"red circle"}}' for box in boxes) + "]"


TABLE = rows(
    (written(GOLD), GOLD, 1, RIGHT, "the canonical form"),
    (written(GOLD), [GOLD], 1, RIGHT, "gold as a list of one"),
    ('{"bbox_2d": [10, 20, 50, 60]}', GOLD, 1, RIGHT, "one object"),
    ("[10,20,50,60]", GOLD, 1, RIGHT, "a bare list"),
    ("[[10, 20, 50, 60]]", GOLD, 1, RIGHT, "a list of lists"),
    ("10, 20, 50, 60", GOLD, 1, RIGHT, "no brackets at all"),
    ("```json\n" + written(GOLD) + "\n```", GOLD, 1, RIGHT, "a code fence"),
    (r"\boxed{[10,20,50,60]}", GOLD, 1, RIGHT, "in a box"),
    ("The circle is at [10, 20, 50, 60].", GOLD, 1, RIGHT, "in a sentence"),
    ("[10.0,20.0,50.0,60.0]", GOLD, 1, RIGHT, "decimals"),
    ("［１０，２０，５０，６０］", GOLD, 1, RIGHT, "full-width characters"),
    ('[{"bbox_2d":[10,20,50,60],"lab', GOLD, 1, RIGHT, "a cut after the box"),
    ('[{"bbox_2d":[10,20,50,60],"label":"[1,2,3,4]"}]', GOLD, 1, RIGHT, "a list in the label is no box"),
    (HALF, GOLD, 0.75, RIGHT, "GIoU one half is mapped to three quarters"),
    (HALF, GOLD, 0.5, RIGHT, "IoU one half", IOU),
    (HALF, GOLD, 1, RIGHT, "accuracy at one half", ACCURACY),
    (HALF, GOLD, 0, WRONG, "accuracy at 0.6", {"metric": "accuracy", "threshold": 0.6}),
    ("[10,20,50,39]", GOLD, 0.475, WRONG, "IoU just below one half", IOU),
    ("[10,20,50,39]", GOLD, 0, WRONG, "accuracy just below one half", ACCURACY),
    ("[60,20,100,60]", GOLD, 0, WRONG, "disjoint boxes have IoU 0", IOU),
    ("[50,20,90,60]", GOLD, 0.5, WRONG, "touching boxes have GIoU 0"),
    ("[90,20,130,60]", GOLD, 1 / 3, WRONG, "boxes apart have GIoU -1/3"),
    ("[20,10,60,50]", GOLD, 900 / 2300, WRONG, "x and y swapped", IOU),
    (written(*TWO), TWO, 1, RIGHT, "two boxes"),
    (written(*TWO[::-1]), TWO, 1, RIGHT, "in another order"),
    (written(TWO[0]), TWO, 0.5, WRONG, "one of two boxes missing"),
    (written(*TWO), TWO[0], 0.5, WRONG, "one box too many"),
    (written(*TWO), TWO[0], 0, WRONG, "one box too many for accuracy", ACCURACY),
    (written(TWO[0], TWO[0]), TWO[0], 0.5, WRONG, "the same box twice counts once"),
    (written(*[TWO[0]] * 500), TWO[0], 0, WRONG, "a rain of boxes"),
    (written(TWO[0], "[1,2,3]"), TWO, 0.5, WRONG, "a malformed second box is wrong"),
    ("[50,60,10,20]", GOLD, 0, WRONG, "flipped corners"),
    ("[10,20,10,60]", GOLD, 0, WRONG, "no width"),
    ("[0,0,0,0]", GOLD, 0, WRONG, "all zero"),
    ("[NaN,20,50,60]", GOLD, 0, WRONG, "NaN"),
    ("[10,20,Infinity,60]", GOLD, 0, WRONG, "infinity"),
    ("[10,20,1e999,60]", GOLD, 0, WRONG, "a number that overflows"),
    ("[10,20," + "9" * 5000 + ",60]", GOLD, 0, WRONG, "a number of 5000 digits"),
    ("[10,20,1e300,1e300]", GOLD, 0, WRONG, "absurd coordinates"),
    ('[{"bbox_2d":[10,20,50],"label":"x"}]', GOLD, 0, WRONG, "three numbers under the key"),
    ('[{"bbox_2d":"top left"}]', GOLD, 0, UNREAD, "words under the key"),
    ("[10,20]", GOLD, 0, UNREAD, "a point is not a box"),
    ("[1,2,3,4,5]", GOLD, 0, UNREAD, "five numbers"),
    ("[]", GOLD, 0, UNREAD, "an empty list"),
    ("the red circle", GOLD, 0, UNREAD, "no numbers"),
    ("", GOLD, 0, UNREAD, "empty"),
    ('[{"bbox_2d":[10,20,50', GOLD, 0, WRONG, "a cut inside the box"),
    ("[10,20,50,60", GOLD, 1, RIGHT, "only the closing bracket is missing"),
    ("<think>[10,20,50,60]", GOLD, 0, CUT, "an unfinished thought"),
    ("<think>[10,20,50,60]</think>[60,20,100,60]", GOLD, 0, WRONG, "the thought is not the answer", IOU),
    ("<think>[10,20,50,60]</think>none", GOLD, 0, UNREAD, "a box in the thought is not read"),
)


@pytest.mark.parametrize("row", TABLE)
def test_box_is_read_as_the_table_says(row: Row) -> None:
    check("box", row)


coordinate = st.integers(0, 200)
boxes = st.tuples(coordinate, coordinate, st.integers(1, 100), st.integers(1, 100)).map(
    lambda b: (float(b[0]), float(b[1]), float(b[0] + b[2]), float(b[1] + b[3]))
)


@given(boxes, boxes)
def test_overlap_is_symmetric_and_bounded(first: Box, second: Box) -> None:
    assert box_iou(first, second) == box_iou(second, first)
    assert -1 < box_giou(first, second) <= box_iou(first, second) <= 1
    assert box_iou(first, first) == box_giou(first, first) == 1


@given(boxes, boxes)
def test_iou_equals_counting_pixels(first: Box, second: Box) -> None:
    def pixels(box: Box) -> set[tuple[int, int]]:
        x1, y1, x2, y2 = (int(value) // 5 for value in box)
        return {(x, y) for x in range(x1, x2) for y in range(y1, y2)}

    small = [tuple(float(int(v) // 5) for v in box) for box in (first, second)]
    if any(box[0] == box[2] or box[1] == box[3] for box in small):
        return
    a, b = pixels(first), pixels(second)
    assert box_iou(small[0], small[1]) == pytest.approx(len(a & b) / len(a | b))  # type: ignore[arg-type]


@given(st.lists(boxes, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_order_of_boxes_does_not_matter(golds: list[Box], shuffler: random.Random) -> None:
    shuffled = list(golds)
    shuffler.shuffle(shuffled)
    text = str([list(box) for box in shuffled])
    assert grade("box", text, [list(box) for box in golds]).score == pytest.approx(1)


def test_matching_is_the_best_one_and_not_greedy() -> None:
    golds: list[Box] = [(0, 0, 10, 10), (4, 0, 14, 10)]
    given_boxes: list[Box | None] = [(3, 0, 13, 10), (8, 0, 18, 10)]  # greedy takes 3-13 for 4-14 and leaves 0-10 bare
    assert sum(match_boxes(given_boxes, golds)) == pytest.approx(7 / 13 + 6 / 14)


@pytest.mark.parametrize(
    "gold", [[], [1, 2, 3], [5, 5, 5, 9], [[1, 2, 3, 4], [4, 3, 2, 1]], "x", None, 7, [0, 0, 1, 1e9]]
)
def test_gold_that_is_no_box_is_refused(gold: object) -> None:
    with pytest.raises(DataError, match="is not a box"):
        grade("box", "[1,2,3,4]", gold)


def test_gold_may_be_an_array() -> None:
    assert grade("box", written(*TWO), np.array(TWO)).score == grade("box", written(GOLD), np.array(GOLD)).score == 1


def test_unknown_metric_is_refused() -> None:
    with pytest.raises(DataError, match="unknown box metric 'diou'"):
        grade("box", "[1,2,3,4]", GOLD, metric="diou")
