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


def test_metadata_are_built_from_corpora_and_titles(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("a polar bear\n" * 25 + "a red house by the sea\n" * 400, encoding="utf-8")
    (tmp_path / "titles.txt").write_text("蒙娜丽莎\n", encoding="utf-8")
    out = tmp_path / "metadata.tsv"
    asked = ("--corpus", tmp_path / "texts.txt", "--titles", tmp_path / "titles.txt", "--out", out)
    code, said, error = invoke("curate", "metadata", *asked, "--pmi", 4)
    assert (code, error) == (0, f"{tmp_path / 'texts.txt'}: 425 texts\n")
    assert said.startswith(f"{out}: ") and "1 zh title" in said and "from 425 texts, 1 titles" in said
    assert "polar bear\ten\tbigram\t25\t" in out.read_text(encoding="utf-8")


def test_metadata_from_nothing_are_one_line(tmp_path: Path) -> None:
    code, _, error = invoke("curate", "metadata", "--out", tmp_path / "m.tsv")
    assert code == 2
    assert error == "error: metadata come from something: give --corpus or --titles, each may be given again\n"
