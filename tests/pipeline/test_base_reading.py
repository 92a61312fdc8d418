"""Learning to read: stages follow on each other, also after a stop; pictures hold as many things as a stage says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mimovl.curate.world import WorldConfig
from mimovl.model import load_checkpoint
from mimovl.pipeline import base_reading
from mimovl.pipeline.assets import embedded_base
from mimovl.pipeline.attribute_reader import TABLE_FILE
from mimovl.pipeline.base_reading import learn_to_read
from mimovl.pipeline.config import BaseConfig, ReadingConfig
from tests import tiny

WORLD = WorldConfig(chinese_share=0.0)


def stage(name: str, most: int | None = None, **changes: object) -> dict[str, object]:
    return {
        "name": name,
        "train": ["language", "attributes"],
        "learning_rate": {"language": 1e-3, "attributes": 1e-3},
        "mixture": {"world/counting": 1},
        "steps": 2,
        "length": 512,
        **({"most": most} if most else {}),
        **changes,
    }


def config() -> BaseConfig:
    return BaseConfig.model_validate(
        {
            "vision": {"sources": {"world/counting": 1}, "steps": 1},
            "language": [stage("language", train=["language"], learning_rate={"language": 1e-3})],
            "reading": [stage("one", 1), stage("two")],
        }
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {**load_checkpoint(folder).state_dict(), **torch.load(folder / TABLE_FILE)}


def test_a_stage_stopped_before_goes_on_from_the_one_that_was_finished(tmp_path: Path, monkeypatch) -> None:
    start = embedded_base().folder
    whole = learn_to_read(start, config(), tiny.WORLD, tmp_path / "whole", seed=3)
    assert whole == tmp_path / "whole" / "two" / "model"

    train = base_reading.train_stage

    def stop_at_two(model, processor, samples, settings, *arguments, **options):  # type: ignore[no-untyped-def]
        if settings.name == "two":
            raise KeyboardInterrupt
        return train(model, processor, samples, settings, *arguments, **options)

    monkeypatch.setattr(base_reading, "train_stage", stop_at_two)
    with pytest.raises(KeyboardInterrupt):
        learn_to_read(start, config(), tiny.WORLD, tmp_path / "cut", seed=3)
    monkeypatch.undo()
    cut = learn_to_read(start, config(), tiny.WORLD, tmp_path / "cut", seed=3)
    one, two, first = weights(whole), weights(cut), weights(tmp_path / "whole" / "one" / "model")
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    assert any(not torch.equal(value, first[name]) for name, value in one.items())


def test_tower_and_projector_stay_as_they_were(tmp_path: Path) -> None:
    start = embedded_base().folder
    after = load_checkpoint(learn_to_read(start, config(), tiny.WORLD, tmp_path, seed=3)).state_dict()
    before = load_checkpoint(start).state_dict()
    same = {name for name, value in before.items() if torch.equal(value, after[name])}
    assert {name for name in before if not name.startswith("language.")} <= same
    assert "language.layers.0.mlp.up_proj.weight" not in same


@pytest.mark.parametrize(
    ("most", "objects", "elements"), [(1, (1, 1), (1, 1)), (4, (1, 4), (3, 4)), (None, (1, 6), (3, 7))]
)
def test_pictures_hold_at_most_what_a_stage_says(most, objects, elements) -> None:
    limited = base_reading._with_most(WORLD, ReadingConfig.model_validate(stage("x", most)))
    assert (limited.objects, limited.gui_elements) == (objects, elements)
