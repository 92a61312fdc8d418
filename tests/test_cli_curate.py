"""The verbs of curation, from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from mimovl.cli import app
from tests.curate.readers.voc_folder import write_voc


def invoke(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.stderr


def test_decontaminating_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    code, _, error = invoke("decontaminate", tmp_path / "none", "--against", tmp_path)
    assert code == 2
    assert error == f"error: {tmp_path / 'none'}: no such dataset folder\n"


@pytest.fixture(scope="module")
def curated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("curated")
    write_voc(folder / "photos", 3, broken={"torn": b"no photo"})
    (folder / "r.yaml").write_text(
        f"name: photos\nworkers: 0\nread: [{{reader: voc, path: {folder}/photos}}]\n"
        "steps: [{step: deduplicate}, {step: ask_objects}]\n"
    )
    code, output, error = invoke("curate", folder / "r.yaml", "--out", folder / "out")
    assert code == 0, error
    assert "read" in output and "not_an_image 1" in output
    return folder


def test_a_recipe_is_run_also_with_its_options_first_and_again_changes_nothing(curated: Path) -> None:
    before = (curated / "out" / "manifest.json").read_bytes()
    code, output, _ = invoke("curate", "--out", curated / "out", curated / "r.yaml")
    assert code == 0 and "3 samples" in output and (curated / "out" / "manifest.json").read_bytes() == before
    code, _, error = invoke("curate", curated / "r.yaml", "--out", curated / "out", "--set", "seed=9")
    assert code == 2 and error.startswith("error: ") and "made with another recipe" in error


def test_a_samples_story_is_told_by_its_id_alone(curated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(curated)
    code, output, _ = invoke("curate", "explain", "voc/torn")
    assert code == 0 and "dropped, not_an_image" in output
    code, output, _ = invoke("curate", "explain", "voc/p1/0", "--out", curated / "out")
    assert code == 0 and "became voc/p1/0" in output and output.endswith("kept, in the dataset\n")
    assert invoke("curate", "explain", "voc/none")[0] == 2


def test_a_dataset_is_looked_at(curated: Path) -> None:
    code, output, _ = invoke("data", "view", curated / "out")
    assert code == 0 and Path(output.strip()) == curated / "out.html" and (curated / "out.html").stat().st_size > 10_000


def test_help_names_the_verbs() -> None:
    assert "explain" in invoke("curate", "--help")[1] and "view" in invoke("data", "--help")[1]
    code, _, error = invoke("curate", "no.yaml", "--out", "x")
    assert code == 2 and error.startswith("error: no.yaml: no such file")


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
