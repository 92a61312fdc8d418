from __future__ import annotations

from pathlib import Path

import pytest

from mimovl.errors import UsageError
from mimovl.pipeline.run import run
from mimovl.pipeline.sources import check_sources
from tests.pipeline import micro


def test_folders_that_are_there_are_not_looked_into(tmp_path: Path) -> None:
    check_sources({"ocr": str(tmp_path)})
    check_sources({})


def test_missing_folders_are_named_with_the_field_and_the_cure(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        check_sources({"ocr": str(tmp_path), "gui": "nowhere/gui", "text": "nowhere/text"})
    assert str(caught.value) == (
        "data.sources.gui: nowhere/gui: no such folder of samples, nor are those of text; put the datasets there, or "
        "say where they are with --set data.sources.gui=FOLDER"
    )


def test_of_many_missing_folders_a_few_are_named_and_the_others_counted() -> None:
    with pytest.raises(UsageError, match=r"data.sources.s0: x: no such folder .* those of s1, s2, s3 and 5 more;"):
        check_sources({f"s{number}": "x" for number in range(9)})


def test_a_run_looks_for_its_sources_before_it_makes_anything(tiny_start: Path, tmp_path: Path) -> None:
    values = micro.recipe(tiny_start)
    values["stages"] = values["stages"][:1]
    values["stages"][0]["mixture"] = {"ocr": 1}
    values |= {"data": {"sources": {"ocr": "nowhere"}}, "rl": None, "evaluate": {}}
    with pytest.raises(UsageError, match="data.sources.ocr: nowhere: no such folder of samples; put"):
        run(micro.write(tmp_path / "r.yaml", values), tmp_path / "out")
    assert not (tmp_path / "out").exists()
