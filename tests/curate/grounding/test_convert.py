from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimovl.curate.grounding.convert import FORMS, from_resized, read_box, resized, to_resized, write_box
from mimovl.errors import DataError, MediaError

SIDES = st.integers(32, 4000)


@st.composite
def boxes(draw: st.DrawFn) -> tuple[tuple[float, float, float, float], tuple[int, int]]:
    width, height = draw(SIDES), draw(SIDES)
    x1, y1 = draw(st.integers(0, width - 2)), draw(st.integers(0, height - 2))
    return (x1, y1, draw(st.integers(x1 + 1, width)), draw(st.integers(y1 + 1, height))), (width, height)


@pytest.mark.parametrize(
    ("form", "written"),
    [
        ("xyxy", [40, 60, 160, 240]),
        ("xywh", [40, 60, 120, 180]),
        ("cxcywh", [0.125, 0.25, 0.15, 0.3]),
        ("unit", [0.05, 0.1, 0.2, 0.4]),
        ("thousandths", [50, 100, 200, 400]),
        ("yxyx_thousandths", [100, 50, 400, 200]),
        ("voc", [41, 61, 160, 240]),
        ("polygon", [40, 100, 100, 60, 160, 90, 120, 240]),
        ("polygon", [[[40, 100], [100, 60], [160, 90]], [[120, 240], [60, 200], [70, 90]]]),
    ],
)
def test_every_form_says_the_same_box(form: str, written: list) -> None:
    assert read_box(written, form, (800, 600)) == pytest.approx((40, 60, 160, 240), abs=1e-9)


@given(boxes(), st.sampled_from(FORMS))
def test_a_box_written_in_any_form_is_read_back_exactly(case: tuple, form: str) -> None:
    box, size = case
    assert read_box(write_box(box, form, size), form, size) == pytest.approx(box, abs=1e-8)


@given(boxes())
def test_thousandths_are_exact_where_fractions_say_so(case: tuple) -> None:
    box, size = case
    whole = [round(side * 1000 / size[axis % 2]) for axis, side in enumerate(box)]
    exact = [Fraction(number * size[axis % 2], 1000) for axis, number in enumerate(whole)]
    assert read_box(whole, "thousandths", size) == pytest.approx([float(one) for one in exact], rel=1e-15)


@given(boxes())
def test_pixels_of_the_resized_picture_come_back_within_one_pixel(case: tuple) -> None:
    box, size = case
    if max(size) > 200 * min(size):
        return
    new_size = resized(size)
    assert new_size[0] % 28 == 0 and new_size[1] % 28 == 0
    seen = to_resized(box, size, new_size)
    assert 0 <= seen[0] < seen[2] <= new_size[0] and 0 <= seen[1] < seen[3] <= new_size[1]
    back = from_resized(seen, size, new_size)
    for axis in range(4):
        step = max(1.0, size[axis % 2] / new_size[axis % 2])  # a pixel of the coarser of the two pictures
        assert abs(back[axis] - box[axis]) <= step + 1e-9


def test_round_trips_are_within_one_pixel_for_every_place_of_pictures_that_are_not_shrunk() -> None:
    for size in [(333, 500), (640, 480), (1921, 1079), (57, 57), (29, 700)]:
        new_size = resized(size)
        for place in range(min(size) - 9):
            box = (float(place), float(place), float(place + 8), float(place + 9))
            back = from_resized(to_resized(box, size, new_size), size, new_size)
            assert max(abs(a - b) for a, b in zip(back, box, strict=True)) <= 1, (size, box)


@pytest.mark.parametrize("values", [None, "1,2,3,4", [1, 2, 3], [1, 2, 3, 4, 5], [1, 2, "x", 4], {"x": 1}, True])
def test_what_is_no_box_is_refused(values: object) -> None:
    with pytest.raises(DataError):
        read_box(values, "xyxy", (10, 10))


def test_an_outline_with_a_hole_in_its_numbers_does_not_become_a_box() -> None:
    box = read_box([1, 1, float("nan"), 5, 9, 9], "polygon", (10, 10))
    assert all(side != side for side in box)
    with pytest.raises(DataError, match="three points"):
        read_box([1, 1, 5, 5], "polygon", (10, 10))


def test_an_unknown_form_names_the_nearest() -> None:
    with pytest.raises(DataError, match="xywh"):
        read_box([1, 2, 3, 4], "xwyh", (10, 10))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="there are"):
        write_box((1, 2, 3, 4), "boxes", (10, 10))  # type: ignore[arg-type]


def test_a_picture_too_long_for_its_breadth_has_no_pixels_to_speak_of() -> None:
    with pytest.raises(MediaError):
        resized((6000, 20))
