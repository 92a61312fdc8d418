from pathlib import Path

import pytest
from typer.testing import CliRunner

from mimovl.cli import app
from mimovl.curate.world import WorldConfig
from mimovl.errors import UsageError
from mimovl.pipeline import decontaminate as module
from mimovl.pipeline.data import heldout_questions
from mimovl.pipeline.decontaminate import decontaminate_dataset
from mimovl.store import Dataset, DatasetWriter
from tests.curate.pictures import encoded, sample_of, small_photo

COUNTS = {"world/counting": 3, "world/ocr": 3}


@pytest.fixture
def train(tmp_path: Path) -> Path:
    [(_, [question, *_])] = heldout_questions({"world/counting": 1}, WorldConfig(), seed=1, per_item=4)
    with DatasetWriter(tmp_path / "train") as writer:
        writer.add(sample_of("photo", "?", encoded(small_photo(0))))
        writer.add(sample_of("leak", "?", next(iter(question.media.values())).data))
    return tmp_path / "train"


def test_a_task_of_the_embedded_evaluation_is_checked_against(train: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELDOUT_ITEMS", COUNTS)
    audit, out = decontaminate_dataset(train, ["counting,ocr"])
    assert out == train.with_name("train-decontaminated") and Dataset.open(out / "data").ids == ["photo"]
    assert set(audit.items) == {"counting", "ocr"} and {leak.benchmark for leak in audit.leaks} == {"counting"}
    with pytest.raises(UsageError, match="countng"):
        decontaminate_dataset(train, ["countng"], train.with_name("two"))


def test_the_command_writes_a_clean_copy_and_says_where_the_audit_is(train: Path, tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "a.png").write_bytes(encoded(small_photo(0).transpose(0), "PNG"))
    arguments = ["decontaminate", str(train), "--against", str(tmp_path / "bench"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0 and "1 of 2 samples kept" in result.output and "audit.html" in result.output
    assert Dataset.open(tmp_path / "out" / "data").ids == ["leak"] and len(Dataset.open(train)) == 2
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 2 and "exists" in again.output and "Traceback" not in again.output
    missing = CliRunner().invoke(app, ["decontaminate", str(train), "--against", str(tmp_path / "no/where")])
    assert missing.exit_code == 2 and "no such folder" in missing.output
