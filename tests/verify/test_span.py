import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimovl.errors import DataError
from mimovl.verify import grade, span_iou
from tests.verify.table import CUT, RIGHT, UNREAD, WRONG, Row, check, rows

GOLD = [3.0, 7.0]

TABLE = rows(
    ("[00:03,00:07]", GOLD, 1, RIGHT, "the canonical form"),
    ("[00:03, 00:07]", GOLD, 1, RIGHT, "a space"),
    (r"\boxed{[00:03,00:07]}", GOLD, 1, RIGHT, "in a box"),
    (r"\boxed{00:03, 00:07}", GOLD, 1, RIGHT, "in a box without brackets"),
    ("[0:03,0:07]", GOLD, 1, RIGHT, "one digit for minutes"),
    ("[00:00:03,00:00:07]", GOLD, 1, RIGHT, "hours"),
    ("[00:03.0,00:07.000]", GOLD, 1, RIGHT, "fractions of seconds"),
    ("[00:03.5,00:07.5]", [3.5, 7.5], 1, RIGHT, "fractions are not cut off"),
    ("[01:02:03,01:02:05]", [3723, 3725], 1, RIGHT, "an hour, two minutes, three seconds"),
    ("[3,7]", GOLD, 1, RIGHT, "bare seconds"),
    ("[3.0, 7.0]", GOLD, 1, RIGHT, "bare decimal seconds"),
    ("[3s, 7s]", GOLD, 1, RIGHT, "seconds with unit"),
    ("3 - 7", GOLD, 1, RIGHT, "a whole range of seconds"),
    ("00:03 - 00:07", GOLD, 1, RIGHT, "a dash"),
    ("00:03–00:07", GOLD, 1, RIGHT, "an en dash"),
    ("from 00:03 to 00:07", GOLD, 1, RIGHT, "from and to"),
    ("It is visible from 3 to 7 seconds.", GOLD, 1, RIGHT, "a sentence with seconds"),
    ("It is visible from 00:03 to 00:07.", GOLD, 1, RIGHT, "a sentence with clock times"),
    ("从00:03到00:07", GOLD, 1, RIGHT, "Chinese"),
    ("［００：０３，００：０７］", GOLD, 1, RIGHT, "full-width characters"),
    ('["00:03","00:07"]', GOLD, 1, RIGHT, "quoted times"),
    ("[00:03,00:07]", "[00:03,00:07]", 1, RIGHT, "gold as text"),
    ("[00:05,00:07]", GOLD, 0.5, RIGHT, "half the span"),
    ("[00:05,00:07]", GOLD, 1, RIGHT, "half the span, accuracy", {"metric": "accuracy"}),
    ("[00:05,00:07]", GOLD, 0, WRONG, "half the span, accuracy at 0.7", {"metric": "accuracy", "threshold": 0.7}),
    ("[00:06,00:10]", GOLD, 1 / 7, WRONG, "one second in common"),
    ("[00:07,00:09]", GOLD, 0, WRONG, "touching spans have nothing in common"),
    ("[00:00,10:00]", GOLD, 4 / 600, WRONG, "everything is not an answer"),
    ("[00:00,00:01] no: [00:03,00:07]", GOLD, 1, RIGHT, "the last span counts"),
    ("[00:03,00:07] no: [00:00,00:01]", GOLD, 0, WRONG, "an earlier right span does not"),
    ("[00:07,00:03]", GOLD, 0, WRONG, "it ends before it starts"),
    ("[00:03,00:03]", GOLD, 0, WRONG, "no length"),
    ("[00:03,00:75]", GOLD, 0, WRONG, "a minute of 75 seconds"),
    ("00:03", GOLD, 0, UNREAD, "one time only"),
    ("[00:03,", GOLD, 0, UNREAD, "a cut"),
    ("[3,7,9]", GOLD, 0, UNREAD, "three numbers"),
    ("at the end", GOLD, 0, UNREAD, "no times"),
    ("", GOLD, 0, UNREAD, "empty"),
    ("<think>[00:03,00:07]", GOLD, 0, CUT, "an unfinished thought"),
    ("<think>[00:03,00:07]</think>[00:00,00:01]", GOLD, 0, WRONG, "the thought is not the answer"),
    ("[" + "9" * 5000 + ",7]", GOLD, 0, UNREAD, "5000 digits"),
)


@pytest.mark.parametrize("row", TABLE)
def test_span_is_read_as_the_table_says(row: Row) -> None:
    check("span", row)


@given(st.integers(0, 5999), st.integers(1, 600), st.integers(0, 5999), st.integers(1, 600))
def test_clock_times_score_as_their_seconds(start: int, length: int, other: int, extent: int) -> None:
    end = start + length
    text = f"[{start // 60:02d}:{start % 60:02d},{end // 60:02d}:{end % 60:02d}]"
    gold = (other, other + extent)
    expected = span_iou((start, end), gold)
    assert grade("span", text, gold).score == pytest.approx(expected)
    assert 0 <= expected <= 1


@pytest.mark.parametrize("gold", [[7, 3], [3], "soon", None, [3, float("inf")], [-1, 2], ["a", "b"], [1, 1]])
def test_gold_that_is_no_span_is_refused(gold: object) -> None:
    with pytest.raises(DataError, match="is not a span"):
        grade("span", "[1,2]", gold)
