"""A dataset of ours is a source again."""

from __future__ import annotations

from pathlib import Path

from mimovl.curate.pipeline import curate
from mimovl.curate.readers.folder import DatasetFolder
from mimovl.store import Dataset
from tests.curate.pipeline.parts import Numbers
from tests.curate.readers.reading import kept, read_all


def test_every_sample_comes_back_as_it_was(tmp_path: Path) -> None:
    curate([Numbers()], [], tmp_path / "one", workers=0)
    found = kept(read_all(DatasetFolder(path=str(tmp_path / "one"))))
    assert found == {sample.id: sample for sample in Dataset.open(tmp_path / "one")}
    curate([DatasetFolder(path=str(tmp_path / "one"))], [], tmp_path / "two", workers=0)
    assert list(Dataset.open(tmp_path / "two")) == list(found.values())
