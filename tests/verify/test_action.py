import pytest

from mimovl.errors import DataError
from mimovl.verify import grade
from tests.verify.table import CUT, RIGHT, UNREAD, WRONG, Row, check, rows

CLICK = {"action": "click", "bbox": [10, 20, 50, 60]}
POINT = {"action": "click", "start_point": [30, 40]}
DRAG = {"action": "drag", "start_point": [30, 40], "end_point": [10, 10]}
COPY = {"action": "press", "keys": ["ctrl", "c"]}
TYPED = {"action": "input", "text": "hello", "start_point": [1, 1]}
SCROLLED = {"action": "scroll", "direction": "up", "scroll_distance": 500}
NO_ACTIONS = ["click", {}, {"action": "tap"}, {"action": "click"}, {"action": "press", "keys": []}, 7]
TYPE = {"metric": "type"}
SCREEN = {"size": [1000, 500]}

TABLE = rows(
    ('{"action":"click","start_point":[30,40]}', CLICK, 1, RIGHT, "inside the target"),
    ('[{"action":"click","start_point":[30,40]}]', CLICK, 1, RIGHT, "a list of one"),
    ('{"action":"click","start_point":[80,40]}', CLICK, 0, WRONG, "outside of the target"),
    ('{"action":"click","start_point":[80,40]}', CLICK, 1, RIGHT, "the type alone", TYPE),
    ('{"action":"longpress","start_point":[30,40]}', CLICK, 0, WRONG, "another action", TYPE),
    ('{"action":"click","start_point":[57,40]}', POINT, 1, RIGHT, "within the radius"),
    ('{"action":"click","start_point":[59,40]}', POINT, 0, WRONG, "beyond the radius"),
    ('{"action":"click","start_point":[59,40]}', POINT, 1, RIGHT, "a larger radius", {"radius": 30}),
    ('{"action":"click","start_point":[69,40]}', POINT, 1, RIGHT, "within 0.04 of the screen's width", SCREEN),
    ('{"action":"click","start_point":[30,61]}', POINT, 0, WRONG, "beyond 0.04 of its height", SCREEN),
    ('{"action":"click"}', CLICK, 0, WRONG, "no point"),
    ('{"action":"drag","start_point":[30,40],"end_point":[9,9]}', DRAG, 1, RIGHT, "both ends near"),
    ('{"action":"press","keys":"home"}', {"action": "press", "keys": ["home"]}, 1, RIGHT, "one key as text"),
    ('{"action":"press","keys":["c","ctrl"]}', COPY, 0, WRONG, "keys in another order"),
    ('{"action":"input","text":" Hello"}', {"action": "input", "text": "hello"}, 1, RIGHT, "case and spaces"),
    ('{"action":"input","text":"hello"}', TYPED, 1, RIGHT, "an optional point left out"),
    ('{"action":"input","text":"hello","start_point":[900,900]}', TYPED, 0, WRONG, "an optional point that is wrong"),
    ('{"action":"finished"}', {"action": "finished", "status": "success"}, 0, WRONG, "a status left out"),
    ('{"action":"wait"}{"action":"wait"}', {"action": "wait"}, 1, RIGHT, "the same action twice"),
    ('{"action":"wait"}{"action":"hover"}', {"action": "wait"}, 0, WRONG, "two actions"),
    ('{"action":"scroll","direction":"up","scroll_distance":9}', SCROLLED, 1, RIGHT, "the distance is not compared"),
    ("wait", {"action": "wait"}, 0, UNREAD, "a word"),
    ('<think>{"action":"wait"}', {"action": "wait"}, 0, CUT, "an unfinished thought"),
)


@pytest.mark.parametrize("row", TABLE)
def test_an_action_is_graded_as_the_table_says(row: Row) -> None:
    check("action", row)


def test_a_gold_may_be_json_text_and_have_several_targets() -> None:
    assert grade("action", '{"action":"wait"}', '{"action":"wait"}').score == 1
    gold = {"action": "click", "bbox": [[0, 0, 5, 5], [10, 20, 50, 60]]}
    assert grade("action", '{"action":"click","start_point":[30,40]}', gold).score == 1


@pytest.mark.parametrize("gold", NO_ACTIONS)
def test_gold_that_is_no_action_is_refused(gold: object) -> None:
    with pytest.raises(DataError, match="gold answer"):
        grade("action", "x", gold)


def test_a_target_that_is_no_box_is_refused() -> None:
    with pytest.raises(DataError, match="is not a box"):
        grade("action", '{"action":"wait"}', {"action": "click", "bbox": [1, 2]})


def test_unknown_metric_is_refused() -> None:
    with pytest.raises(DataError, match="unknown action metric 'all'"):
        grade("action", "x", {"action": "wait"}, metric="all")
