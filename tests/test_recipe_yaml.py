"""YAML for recipes: 1.2 scalars, lines, and refusals."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimovl.errors import RecipeError
from mimovl.recipe_yaml import dump_yaml, read_yaml, read_yaml_file


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        ("-.5", -0.5),
        ("3.", 3.0),
        ("0x1F", 31),
        ("0o17", 15),
        ("010", 10),
        ("+7", 7),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        ("~", None),
        ("null", None),
        ("'1'", "1"),
        ("!!str 5", "5"),
        ("", None),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("1.2.3", "1.2.3"),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: Any) -> None:
    read = read_yaml(text, "t").value
    assert read == value and type(read) is type(value)


def test_every_value_knows_its_line() -> None:
    tree = read_yaml("# comment\na: 1\nb:\n  - x\n  -\n    c: [1,\n      2]\n", "t")
    assert tree.value == {"a": 1, "b": ["x", {"c": [1, 2]}]}
    assert tree.lines[("a",)] == 2
    assert tree.lines[("b",)] == 3
    assert tree.lines[("b", 1, "c")] == 6
    assert tree.lines[("b", 1, "c", 1)] == 7


def test_an_alias_repeats_its_value() -> None:
    assert read_yaml("a: &x {b: 1}\nc: *x\n", "t").value == {"a": {"b": 1}, "c": {"b": 1}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "a: written twice (first on line 1)"),
        ("x:\n  a: 1\n  a: 1\n", "x.a: written twice (first on line 2)"),
        ("a: &x [*x]", "contains itself"),
        ("a: !!python/object/apply:os.system [ls]", "has no meaning"),
        ("a: !secret x", "has no meaning"),
        ("a: !!int x", "is no int"),
        ("[1, 2]: x", "must be one word"),
        ("a: " + "9" * 5000, "is no int"),
    ],
)
def test_what_yaml_allows_and_a_recipe_does_not_is_a_problem_with_its_line(text: str, message: str) -> None:
    ((line, problem),) = read_yaml(text, "t").problems
    assert message in problem
    assert 1 <= line <= 3


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: [1", "t:1:6: "),
        ("a: 1\n\tb: 2", "t:2:1: "),
        ("a: b: c", "t:1:5: "),
        ("a: 1\n--- \nb: 2", "t:2:1: "),
        ("a: 1\nx: \x01", "t:2: "),
        ("a: *nowhere", "t:1:4: "),
        ("[" * 5000, "t: nested too deeply"),
    ],
)
def test_a_syntax_error_names_line_and_column(text: str, place: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read_yaml(text, "t")
    assert str(caught.value).startswith(place)


def test_an_alias_bomb_is_refused_quickly() -> None:
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
    )
    with pytest.raises(RecipeError, match="more than 100000 values"):
        read_yaml(bomb, "t")


def test_files_that_cannot_be_read_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such file"):
        read_yaml_file(tmp_path / "none.yaml")
    with pytest.raises(RecipeError, match="is a folder"):
        read_yaml_file(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff")
    with pytest.raises(RecipeError, match="not UTF-8 text"):
        read_yaml_file(tmp_path / "latin.yaml")
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbfa: 1")
    assert read_yaml_file(tmp_path / "bom.yaml").value == {"a": 1}


_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False)
    | st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)
    | st.sampled_from(["1e3", "yes", "null", "~", "0x1F", "1:30", "on", ".5", "- a", "a: b", "#", "<<", "="])
)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@given(_values)
def test_what_is_dumped_is_read_back_equal(value: Any) -> None:
    tree = read_yaml(dump_yaml(value), "t")
    assert tree.problems == []
    assert tree.value == value


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_but_never_crashes(text: str) -> None:
    try:
        read_yaml(text, "t")
    except RecipeError as error:
        assert str(error).startswith("t:")
