import math
import random

import pytest

from mimovl.curate.grounding.check import REASONS, Limits, check_boxes

SIZE = (640, 480)


def planted(rng: random.Random, reason: str) -> tuple[str, tuple[float, ...] | None]:
    """An object that is wrong in the one way that its reason names."""
    x1, y1 = rng.uniform(0, 500), rng.uniform(0, 300)
    x2, y2 = x1 + rng.uniform(8, 120), y1 + rng.uniform(8, 120)
    far = rng.uniform(2, 400)
    match reason:
        case "no_class_name":
            return rng.choice(("", "  ")), (x1, y1, x2, y2)
        case "unreadable_box":
            return "cup", None
        case "not_finite":
            sides = [x1, y1, x2, y2]
            sides[rng.randrange(4)] = rng.choice((math.nan, math.inf, -math.inf))
            return "cup", tuple(sides)
        case "flipped_box":
            return "cup", rng.choice(((x2, y1, x1, y2), (x1, y2, x2, y1), (x2, y2, x1, y1)))
        case "empty_box":
            return "cup", rng.choice(((x1, y1, x1, y2), (x1, y1, x2, y1), (x1, y1, x1, y1)))
        case "outside_picture":
            moved = ((x1 - x1 - far, y1, x2, y2), (x1, y1, 640 + far, y2), (x1, -far, x2, y2), (x1, y1, x2, 480 + far))
            return "cup", rng.choice((*moved, (700, 20, 800, 90)))
        case "tiny_box":
            return "cup", rng.choice(
                ((x1, y1, x1 + rng.uniform(0.1, 3.9), y2), (x1, y1, x2, y1 + rng.uniform(0.1, 3.9)))
            )
        case "covers_everything":
            return "cup", (rng.uniform(0, 2), rng.uniform(0, 1), 640, 480)
        case _:
            raise AssertionError(reason)


@pytest.mark.parametrize("reason", [reason for reason in REASONS if reason != "duplicate_box"])
def test_every_planted_bad_box_is_rejected_by_its_reason(reason: str) -> None:
    for seed in range(200):
        rng = random.Random(seed)
        good = ("plate", (10.0, 10.0, 60.0, 50.0))
        kept, found = check_boxes([good, planted(rng, reason)], SIZE)
        assert kept == good[1]
        assert found[0] == reason and found[1], (seed, found)


def test_the_second_of_two_equal_objects_is_rejected_and_neighbours_are_not() -> None:
    first, shifted, beside = (100.0, 100.0, 200.0, 180.0), (100.5, 100.0, 200.5, 180.0), (150.0, 100.0, 250.0, 180.0)
    results = check_boxes([("cup", first), ("cup", first), ("cup", shifted), ("cup", beside), ("bowl", first)], SIZE)
    assert [result[0] if len(result) == 2 else result for result in results] == [
        first,
        "duplicate_box",
        "duplicate_box",
        beside,
        first,
    ]


def test_good_boxes_pass_whole_and_slips_of_rounding_are_cut_at_the_border() -> None:
    rng = random.Random(3)
    for _ in range(500):
        x1, y1 = rng.uniform(0, 600), rng.uniform(0, 440)
        box = (x1, y1, rng.uniform(x1 + 4, 640), rng.uniform(y1 + 4, 480))
        if (box[2] - x1) * (box[3] - y1) <= 0.98 * 640 * 480:
            assert check_boxes([("cup", box)], SIZE) == [box]
    assert check_boxes([("cup", (-0.5, -1.0, 641.0, 100.0))], SIZE) == [(0.0, 0.0, 640.0, 100.0)]


def test_limits_decide_what_is_too_small_too_large_and_too_far_out() -> None:
    small, out = ("cup", (10.0, 10.0, 12.0, 12.0)), ("cup", (-20.0, 10.0, 60.0, 60.0))
    assert check_boxes([small], SIZE, Limits(least_side=2.0)) == [small[1]]
    assert check_boxes([out], SIZE, Limits(overhang=25.0)) == [(0.0, 10.0, 60.0, 60.0)]
    assert check_boxes([("sky", (0.0, 0.0, 640.0, 480.0))], SIZE, Limits(most_area=1.0))[0] == (0.0, 0.0, 640.0, 480.0)
