"""The verbs of curation, from the command line."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from mimovl.cli import app


def invoke(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.stderr


def test_decontaminating_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    code, _, error = invoke("decontaminate", tmp_path / "none", "--against", tmp_path)
    assert code == 2
    assert error == f"error: {tmp_path / 'none'}: no such dataset folder\n"
