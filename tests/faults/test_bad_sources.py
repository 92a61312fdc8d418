"""Bad data behind a recipe's folders: one clear line that names the file or the sample, both numbers and the cure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mimovl.cli import app
from tests.data import parquet_samples as plain
from tests.data.test_parquet_folder import spoil
from tests.pipeline import micro


def run(tmp_path: Path, start: Path, *, length: int = 320, steps: int = 2, **loading: Any) -> tuple[int, str, Path]:
    """Exit code, the error's text and the run's folder."""
    values = micro.recipe(start, data={"sources": {"web": str(tmp_path / "web")}}, evaluate={})
    del values["rl"]
    stage = {**values["stages"][0], "mixture": {"web": 1}, "length": length, "steps": steps}
    values["stages"] = [{**stage, "loading": {"workers": 0, "window": 8, **loading}}]
    path = micro.write(tmp_path / "r.yaml", values)
    result = CliRunner().invoke(app, ["run", str(path), "--out", str(tmp_path / "out")])
    assert "Traceback" not in result.stderr
    return result.exit_code, result.stderr.strip().splitlines()[-1] if result.exit_code else "", tmp_path / "out"


@pytest.fixture
def web(tmp_path: Path) -> Path:
    return plain.write_folder(tmp_path / "web", 24)


def rewritten(web: Path, **changes: Any) -> None:
    """The same folder with one row changed."""
    rows = [plain.row(number) for number in range(8)]
    rows[4] = {**plain.row(4, pictures=1), **changes}
    plain.write_file(web / "train-00000-of-00003.parquet", rows)


def test_text_with_another_number_of_placeholders_than_pictures(tmp_path, web, tiny_start) -> None:
    wrong = [{"role": "user", "content": "<image><image>?"}, {"role": "assistant", "content": "1"}]
    rewritten(web, messages=wrong)
    code, error, out = run(tmp_path, tiny_start, steps=9)
    assert code == 2 and "sample s4: its text holds 2 image placeholders, its column images 1; each needs" in error
    assert not (out / "1-projector" / "done.json").exists()


def test_a_sample_longer_than_the_length(tmp_path, web, tiny_start) -> None:
    rewritten(web, messages=[{"role": "user", "content": "<image>" + "why? " * 400}, plain.row(4)["messages"][1]])
    code, error, _ = run(tmp_path, tiny_start, steps=9)
    assert (
        code == 2 and "error: sample s4 has" in error and "tokens, a pack holds 320; raise the stage's length" in error
    )


def test_a_sample_longer_than_the_length_is_dropped_and_listed_where_the_recipe_says_so(
    tmp_path, web, tiny_start
) -> None:
    rewritten(web, messages=[{"role": "user", "content": "<image>" + "why? " * 400}, plain.row(4)["messages"][1]])
    code, _, out = run(tmp_path, tiny_start, steps=9, too_long="drop")
    assert code == 0
    (line,) = (out / "1-projector" / "dropped.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert (entry["id"], entry["reason"]) == ("s4", "too_long") and entry["detail"].endswith("tokens, a pack holds 320")
    assert json.loads((out / "1-projector" / "done.json").read_text())["dropped"]["too_long"] >= 1


def test_a_shard_that_cannot_be_opened_stops_before_training(tmp_path, web, tiny_start) -> None:
    (web / "train-00001-of-00003.parquet").write_bytes(b"PAR1 torn")
    code, error, out = run(tmp_path, tiny_start)
    assert code == 2 and "source web: " in error and "train-00001-of-00003.parquet cannot be read" in error
    assert "loading.damaged: drop" in error and not (out / "1-projector").exists()


def test_a_shard_damaged_inside_stops_with_its_name_and_the_others_go_on_if_asked(tmp_path, web, tiny_start) -> None:
    spoil(web / "train-00001-of-00003.parquet", group=0)
    code, error, _ = run(tmp_path, tiny_start, steps=9)
    assert code == 2 and "train-00001-of-00003.parquet, row group 0 cannot be read" in error and "drop" in error
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "web").symlink_to(web)
    code, _, out = run(tmp_path / "again", tiny_start, steps=9, damaged="drop")
    assert code == 0
    entries = [json.loads(line) for line in (out / "1-projector" / "dropped.jsonl").read_text().splitlines()]
    assert entries and all("row group 0" in entry["detail"] for entry in entries)
