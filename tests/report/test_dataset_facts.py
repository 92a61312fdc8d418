"""What a dataset's page says: counts that add up, drops of every reason, boxes where they belong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mimovl.curate.pipeline import Limits, curate
from mimovl.report.dataset_facts import dataset_page
from mimovl.store import Dataset, DatasetWriter
from mimovl.types import Gold, Message, Part
from tests.curate.pipeline.parts import Double, DropEven, Numbers, OnePerPicture, caption, picture


@pytest.fixture(scope="module")
def curated(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    out = tmp_path_factory.mktemp("runs") / "out"
    curate([Numbers()], [OnePerPicture(), Double(), DropEven()], out, workers=0, limits=Limits(task_items=20))
    return Dataset.open(out)


def test_counts_and_steps_are_those_of_the_manifest(curated: Dataset) -> None:
    page = dataset_page(curated)
    assert [(bar.label, bar.value) for bar in page.sources] == [("Numbers", str(len(curated)))]
    assert [(step.name, step.seen, step.passed) for step in page.steps] == [
        (row["step"].replace("_", " "), str(row["seen"]), str(row["passed"])) for row in curated.manifest["steps"]
    ]
    assert page.numbers[1].value == str(sum(curated.manifest["counts"]["dropped"].values()))
    assert page.steps[0].reasons == "broken 14" and page.steps[2].made.startswith("+")


def test_drops_of_every_reason_are_shown_and_are_real(curated: Dataset) -> None:
    page = dataset_page(curated)
    assert {drop.reason for drop in page.drops} == {"broken", "seen", "even"}
    real = {(drop.id, drop.detail) for drop in curated.drops()}
    assert all((drop.id, drop.detail) in real for drop in page.drops)


def test_charts_are_drawn_of_what_differs_and_the_rest_is_said(curated: Dataset) -> None:
    page = dataset_page(curated)
    assert page.measured == "Measured on all samples." and "messages 1 a sample" in page.constant
    assert [figure.title for figure in page.figures] == ["Text", "Answers"]


def written(tmp_path: Path) -> Dataset:
    base = caption("a", "x", picture(1))
    box = '[{"bbox_2d":[28,28,56,56],"label":"cup"}]'
    with DatasetWriter(tmp_path / "set") as writer:
        writer.add(replace(base, id="said", messages=(*base.messages, Message("assistant", (Part("text", box),)))))
        writer.add(replace(base, id="gold", gold=Gold("box", [10, 10, 30, 40])))
        writer.add(
            replace(base, id="objects", meta={"objects": [{"label": "c", "box": [4, 6, 16, 12]}], "size": [32, 24]})
        )
        writer.add(replace(base, id="odd", meta={"objects": [{"box": [1, "x", 2, None]}, 5], "size": 3}, task="<b>"))
        writer.add(caption("words", "<think>\n\n</think>\n\nonly words"))
    return Dataset.open(tmp_path / "set")


def test_boxes_are_drawn_in_the_pixels_they_are_written_in(tmp_path: Path) -> None:
    cards = {card.id: card for card in dataset_page(written(tmp_path)).cards}
    said, gold, objects = (str(cards[name].shown.markup) for name in ("said", "gold", "objects"))
    assert 'viewBox="0 0 84 56"' in said and '<rect class="said" x="28.0" y="28.0" width="28.0"' in said
    assert 'viewBox="0 0 84 56"' in gold and '<rect class="truth" x="10.0"' in gold
    assert (
        'viewBox="0 0 32 24"' in objects and '<rect class="truth" x="4.0" y="6.0" width="12.0" height="6.0"' in objects
    )
    assert "<rect" not in str(cards["odd"].shown.markup)
    assert cards["words"].shown.markup is None and cards["words"].turns == [("assistant", "only words")]


def test_a_damaged_shard_is_noted_and_the_rest_is_shown(curated: Dataset, tmp_path: Path) -> None:
    dataset = written(tmp_path)
    (dataset.path / "media-00000.tar").unlink()
    page = dataset_page(Dataset.open(dataset.path, skip_damaged=True))
    assert any("media-00000.tar" in note for note in page.notes) and len(page.cards) == 5


def test_an_empty_dataset_has_a_page(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "set"):
        pass
    page = dataset_page(Dataset.open(tmp_path / "set"))
    assert (page.cards, page.figures, page.sources, page.drops) == ([], [], [], [])
