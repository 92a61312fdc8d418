import pytest

from mimovl.verify.action_space import ACTIONS, field_fault, valid_point

VALUES = {
    "start_point": [1, 2],
    "end_point": [3, 4],
    "text": "a",
    "direction": "up",
    "app": "Clock",
    "keys": ["ctrl", "c"],
    "status": "done",
    "scroll_distance": 300,
}


def test_the_space_has_the_twelve_actions_of_the_report() -> None:
    names = "click scroll input drag open press finished longpress hover select wait appswitch"
    assert set(ACTIONS) == set(names.split())


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_is_whole_with_its_fields_and_faulty_without_one(name: str) -> None:
    whole = {"action": name, **{field: VALUES[field] for field in ACTIONS[name].required}}
    assert field_fault(whole) == ""
    for field in ACTIONS[name].required:
        assert field_fault({key: value for key, value in whole.items() if key != field}) == f"{field} is missing"


@pytest.mark.parametrize(
    "action",
    [
        {"action": "tap"},
        {"action": "click", "start_point": [1]},
        {"action": "click", "start_point": ["1", "2"]},
        {"action": "click", "start_point": [True, 2]},
        {"action": "click", "start_point": [1e999, 2]},
        {"action": "scroll", "direction": "north"},
        {"action": "press", "keys": []},
        {"action": "press", "keys": [1]},
        {"action": "input", "text": 7},
        {},
    ],
)
def test_a_faulty_field_is_named(action: dict) -> None:  # type: ignore[type-arg]
    assert field_fault(action)


def test_points_are_two_finite_numbers() -> None:
    assert valid_point([1, 2.5]) == (1.0, 2.5)
    assert valid_point([float("nan"), 1]) is None and valid_point([1, 2, 3]) is None and valid_point("12") is None
