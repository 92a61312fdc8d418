import pytest

from mimovl.errors import DataError
from mimovl.verify import grade
from tests.verify.table import CUT, RIGHT, UNREAD, WRONG, Row, check, rows

GOLD = [10, 20, 50, 60]
TWO = [[10, 20, 50, 60], [70, 20, 90, 60]]

TABLE = rows(
    ('{"action":"click","start_point":[30,40]}', GOLD, 1, RIGHT, "the canonical form"),
    ('[{"action": "click", "start_point": [30, 40]}]', GOLD, 1, RIGHT, "a list of one action"),
    ('{"action":"drag","start_point":[30,40],"end_point":[99,99]}', GOLD, 1, RIGHT, "the start of a drag"),
    ('{"point_2d":[30,40],"label":"Save"}', GOLD, 1, RIGHT, "point_2d"),
    ("[30,40]", GOLD, 1, RIGHT, "a bare point"),
    ("(30, 40)", GOLD, 1, RIGHT, "round brackets"),
    ("30, 40", GOLD, 1, RIGHT, "no brackets"),
    (r"\boxed{[30,40]}", GOLD, 1, RIGHT, "in a box"),
    ("Click on [30,40].", GOLD, 1, RIGHT, "in a sentence"),
    ('[{"bbox_2d":[20,30,40,50],"label":"Save"}]', GOLD, 1, RIGHT, "the centre of a box"),
    ("[0,0,60,80]", GOLD, 1, RIGHT, "the centre of a bare box"),
    ("[10,20]", GOLD, 1, RIGHT, "the first corner belongs to the box"),
    ("[50,60]", GOLD, 1, RIGHT, "the last corner belongs to the box"),
    ("[30.5,40.25]", GOLD, 1, RIGHT, "decimals"),
    ("[80,40]", TWO, 1, RIGHT, "either of two boxes"),
    ("[60,40]", TWO, 0, WRONG, "between two boxes"),
    ("[51,40]", GOLD, 0, WRONG, "one pixel outside"),
    ("[40,70]", GOLD, 0, WRONG, "below"),
    ("[30,40] or [80,40]", GOLD, 0, WRONG, "two points are a hedge"),
    ("[30,40], that is [30,40]", GOLD, 1, RIGHT, "the same point twice is one"),
    ('{"start_point":[30,40]}{"start_point":[0,0]}', GOLD, 0, WRONG, "two actions"),
    ('{"action":"click","start_point":[30]}', GOLD, 0, WRONG, "half a point"),
    ('{"action":"click","start_point":["x","y"]}', GOLD, 0, WRONG, "words for a point"),
    ("[NaN,40]", GOLD, 0, WRONG, "NaN"),
    ("[1e999,40]", GOLD, 0, WRONG, "overflow"),
    ("[-30,-40]", GOLD, 0, WRONG, "negative coordinates"),
    ("[50,60,10,20]", GOLD, 0, WRONG, "a flipped box has no centre"),
    ("Save", GOLD, 0, UNREAD, "no point"),
    ("[1,2,3]", GOLD, 0, UNREAD, "three numbers"),
    ('{"action":"click","start_point":[30,4', GOLD, 0, UNREAD, "a cut inside the point"),
    ("", GOLD, 0, UNREAD, "empty"),
    ("<think>[30,40]", GOLD, 0, CUT, "an unfinished thought"),
    ("<think>[30,40]</think>[0,0]", GOLD, 0, WRONG, "the thought is not the answer"),
)


@pytest.mark.parametrize("row", TABLE)
def test_point_is_read_as_the_table_says(row: Row) -> None:
    check("point", row)


def test_gold_that_is_no_box_is_refused() -> None:
    with pytest.raises(DataError, match="is not a box"):
        grade("point", "[1,2]", [1, 2])
