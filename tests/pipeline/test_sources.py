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
        "2 of 3 dataset folders are not there (data.sources.gui: nowhere/gui, data.sources.text: nowhere/text); put "
        "the datasets there, or say where they are with --set data.sources.gui=FOLDER"
    )


def test_of_many_missing_folders_a_few_are_named_and_all_counted() -> None:
    with pytest.raises(UsageError, match=r"9 of 9 .* \(data.sources.s0: x, .*data.sources.s2: x and 6 more\)"):
        check_sources({f"s{number}": "x" for number in range(9)})


def test_a_run_looks_for_its_sources_before_it_makes_anything(tiny_start: Path, tmp_path: Path) -> None:
    values = micro.recipe(tiny_start)
    values["stages"] = values["stages"][:1]
    values["stages"][0]["mixture"] = {"ocr": 1}
    values |= {"data": {"sources": {"ocr": "nowhere"}}, "rl": None, "evaluate": {}}
    with pytest.raises(UsageError, match="1 of 1 dataset folders are not there"):
        run(micro.write(tmp_path / "r.yaml", values), tmp_path / "out")
    assert not (tmp_path / "out").exists()
