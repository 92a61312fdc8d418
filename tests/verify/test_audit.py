import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mimovl.cli import app
from mimovl.errors import DataError, UsageError
from mimovl.types import Outcome
from mimovl.verify.audit import audit, audit_text, read_labelled

HALF = {"kind": "box", "completion": "[0,0,10,5]", "gold": [0, 0, 10, 10], "label": True, "options": {"metric": "iou"}}
UNITS = {"kind": "math", "completion": r"\boxed{5\text{ cm}}", "gold": r"5\text{ m}", "label": "WRONG"}
LINES = [
    {"kind": "count", "completion": "3", "gold": 3, "label": "CORRECT", "category": "digits"},
    {"kind": "count", "completion": "4", "gold": 3, "label": False},
    {"kind": "count", "completion": "3", "gold": 3, "label": "WRONG", "reason": "a wrong label", "category": "digits"},
    {**UNITS, "category": "units"},
    {**HALF, "score": 0.5},
]


def write(path: Path, *lines: object) -> Path:
    file = path / "labelled.jsonl"
    file.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return file


def invoke(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["verify", "audit", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_errors_are_told_apart_and_listed_with_their_line(tmp_path: Path) -> None:
    result = audit(read_labelled(write(tmp_path, *LINES)))
    assert result.errors() == ([2], [])
    text = audit_text(result)
    assert "line 3, false +: count" in text and "a wrong label" in text and "scores given: 1, met: 1" in text
    assert text.splitlines()[-2] == "1 errors:"


def test_math_verify_alone_stands_beside_ours_on_math(tmp_path: Path) -> None:
    result = audit(read_labelled(write(tmp_path, *LINES)))
    assert result.alone == [None, None, None, True, None]
    assert result.errors_alone() == ([3], [])
    assert result.verdicts[3].outcome is Outcome.WRONG


def test_the_command_prints_a_table_and_ends_with_0(tmp_path: Path) -> None:
    code, out, _ = invoke(write(tmp_path, *LINES))
    assert code == 0
    row = next(line for line in out.splitlines() if line.startswith("digits"))
    assert row.split()[:5] == ["digits", "2", "1", "1", "0"]


def test_the_command_knows_the_other_mode(tmp_path: Path) -> None:
    line = {"kind": "span", "completion": r"\boxed{[00:03.5,00:07]}", "gold": [3.5, 7], "label": "CORRECT"}
    assert "0 errors" in invoke(write(tmp_path, line))[1]
    assert "false -" in invoke(write(tmp_path, line), "--mode", "mimo_compat")[1]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "labelled.jsonl:2: not JSON"),
        ("[]", "labelled.jsonl:2: holds list, not an object"),
        ({"kind": "count", "completion": "3", "gold": 3}, "labelled.jsonl:2, field 'label': missing"),
        ({**LINES[0], "label": "CORECT"}, r"field 'label': 'CORECT' is none of .*; did you mean 'CORRECT'\?"),
        ({**LINES[0], "lable": 1}, r"field 'lable': unknown; did you mean 'label'\?"),
        ({**LINES[0], "completion": 3}, "field 'completion': 3 is no text"),
        ({**LINES[0], "options": [1]}, "field 'options'"),
        ({**LINES[0], "score": 2}, r"field 'score': 2 is no number in \[0, 1\]"),
        ({**LINES[0], "kind": "cuont"}, r"labelled.jsonl:2: unknown kind 'cuont', .*did you mean 'count'\?"),
        ({**LINES[0], "options": {"tol": 1}}, "labelled.jsonl:2: unknown option 'tol'"),
        ({**LINES[0], "gold": "many"}, "labelled.jsonl:2: gold answer 'many' is not a number"),
    ],
)
def test_a_bad_line_is_named_with_its_number(tmp_path: Path, line: object, message: str) -> None:
    file = write(tmp_path, LINES[0], line)
    with pytest.raises(DataError, match=message):
        audit(read_labelled(file), source=str(file))
    code, out, err = invoke(file)
    assert code == 2 and not out and err.startswith("error: ") and ":2" in err and "Traceback" not in err


def test_a_file_that_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read .*nothing.jsonl"):
        read_labelled(tmp_path / "nothing.jsonl")
    with pytest.raises(UsageError, match="holds no labelled answer"):
        read_labelled(write(tmp_path, "", "  "))
