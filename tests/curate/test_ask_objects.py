"""Objects become the importer's conversations."""

from __future__ import annotations

from pathlib import Path

from mimovl.curate.ask_objects import AskObjects
from mimovl.curate.pipeline.tools import PlainTools
from mimovl.curate.readers.voc_reader import Voc
from mimovl.curate.step import Dropped
from mimovl.types import Sample
from tests.curate.readers.reading import kept, read_all
from tests.curate.readers.voc_folder import write_voc


def test_the_conversations_are_those_of_the_importer(tmp_path: Path) -> None:
    from mimovl.curate.readers import import_voc
    from mimovl.store import Dataset

    write_voc(tmp_path / "photos", 4)
    import_voc(tmp_path / "photos", tmp_path / "out", heldout=0, seed=5, names={"RBC": "red cell"})
    expected = {sample.id: sample.messages for sample in Dataset.open(tmp_path / "out" / "train")}
    records = list(kept(read_all(Voc(path=str(tmp_path / "photos")))).values())
    results = AskObjects(names={"RBC": "red cell"}).open(PlainTools(tmp_path, seed=5))(records)
    made = [sample for result in results for sample in result]  # type: ignore[union-attr]
    assert {sample.id: sample.messages for sample in made} == expected


def test_a_picture_without_objects_or_with_doubtful_ones_alone_is_dropped(tmp_path: Path) -> None:
    (record,) = kept(read_all(Voc(path=str(write_voc(tmp_path, 1))))).values()
    bare = Sample("a", record.messages, record.media)
    doubtful = Sample("b", record.messages, record.media, meta={**record.meta, "doubtful": [""]})
    results = AskObjects().open(PlainTools(tmp_path))([bare, doubtful])
    assert [result.reason for result in results if isinstance(result, Dropped)] == ["no_objects", "nothing_to_ask"]
