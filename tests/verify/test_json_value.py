import pytest

from mimovl.errors import DataError
from mimovl.verify import grade
from mimovl.verify.json_value import read_json_values, same_json
from tests.verify.table import CUT, RIGHT, UNREAD, WRONG, Row, check, rows

FIELDS = {"metric": "fields"}
TABLE = rows(
    ('{"a":1,"b":[1,2]}', {"b": [1, 2], "a": 1}, 1, RIGHT, "keys have no order"),
    ('{"a":1}', '{"a": 1}', 1, RIGHT, "a gold as JSON text"),
    ('{"a":1.0}', {"a": 1}, 1, RIGHT, "numbers by value"),
    ('{"a":true}', {"a": 1}, 0, WRONG, "true is not 1"),
    ("[2,1]", [1, 2], 0, WRONG, "lists have an order"),
    ('```json\n{"a":1}\n```', {"a": 1}, 1, RIGHT, "a code fence"),
    ('Here: {"a":2} no, {"a":1}', {"a": 1}, 1, RIGHT, "the last value"),
    (r"\boxed{[1,2]}", [1, 2], 1, RIGHT, "in a box"),
    ('{"a":NaN}', {"a": 1}, 0, UNREAD, "NaN is not JSON"),
    ("{'a':1}", {"a": 1}, 0, UNREAD, "Python is not JSON"),
    ('{"a":1', {"a": 1}, 0, UNREAD, "cut"),
    ("", {"a": 1}, 0, UNREAD, "empty"),
    ('<think>{"a":1}', {"a": 1}, 0, CUT, "an unfinished thought"),
    ('{"a":1,"b":3}', {"a": 1, "b": 2}, 0.5, WRONG, "half of the fields", FIELDS),
    ('{"a":1,"b":2,"c":3,"d":4}', {"a": 1, "b": 2}, 0.5, WRONG, "fields too many", FIELDS),
    ('{"a":{"b":[1,2]}}', {"a": {"b": [1, 3]}}, 0.5, WRONG, "nested leaves", FIELDS),
    ('{"a":[]}', {"a": []}, 1, RIGHT, "an empty list is a leaf", FIELDS),
)


@pytest.mark.parametrize("row", TABLE)
def test_json_is_read_as_the_table_says(row: Row) -> None:
    check("json", row)


def test_values_are_found_in_order_and_nesting_is_bounded() -> None:
    assert read_json_values('x {"a":1} y [2] z') == [{"a": 1}, [2]]
    assert read_json_values("[" * 100 + "]" * 100) == []
    assert read_json_values("7") == [7]
    assert same_json([1, {"a": None}], [1.0, {"a": None}]) and not same_json([1], [1, 1])


@pytest.mark.parametrize("gold", ["{", float("nan"), {1, 2}])
def test_gold_that_is_no_json_is_refused(gold: object) -> None:
    with pytest.raises(DataError, match="is no JSON value"):
        grade("json", "1", gold)


def test_unknown_metric_is_refused() -> None:
    with pytest.raises(DataError, match="unknown json metric 'f1'"):
        grade("json", "1", 1, metric="f1")
