"""The tower of the base: resumed to the bit, and a target for every patch."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch

from mimovl.curate.world import build_item
from mimovl.pipeline import base_vision
from mimovl.pipeline.config import VisionBaseConfig
from mimovl.train.checkpoint import save_training
from mimovl.types import IGNORE_INDEX
from tests import tiny
from tests.pipeline import micro

VISION = VisionBaseConfig(
    sources={"world/counting": 1, "world/clip": 1, "world/ocr": 1}, steps=4, pictures=3, save_seconds=1e-9
)


def train_vision(out: Path) -> dict[str, torch.Tensor]:
    base_vision.train_vision(tiny.model(), VISION, tiny.WORLD, out, 5)
    state: dict[str, torch.Tensor] = torch.load(out / "vision.pt")
    return state


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(value, two[name]) for name, value in one.items())


@pytest.mark.parametrize("after", [1, 3])
def test_the_tower_interrupted_and_resumed_is_the_same_to_the_bit(after: int, tmp_path: Path, monkeypatch) -> None:
    whole = train_vision(tmp_path / "whole")
    assert not same(whole, tiny.model().vision.state_dict())
    factor = base_vision.learning_rate_factor

    def plug(step: int, steps: int, **options: Any) -> float:
        if step == after:
            raise KeyboardInterrupt
        return factor(step, steps, **options)

    monkeypatch.setattr(base_vision, "learning_rate_factor", plug)
    with pytest.raises(KeyboardInterrupt):
        train_vision(tmp_path / "cut")
    monkeypatch.undo()
    assert same(train_vision(tmp_path / "cut"), whole)
    metrics = [
        [{**line, "seconds": 0} for line in micro.lines(tmp_path / name / "metrics.jsonl")] for name in ("whole", "cut")
    ]
    assert metrics[0] == metrics[1] and len(metrics[0]) == 4


def test_a_tower_that_had_done_its_last_step_takes_no_further_one(tmp_path: Path, monkeypatch) -> None:
    whole = train_vision(tmp_path / "whole")
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "metrics.jsonl").write_bytes((tmp_path / "whole" / "metrics.jsonl").read_bytes())

    def resume_at_the_end(out: Path, modules: dict[str, Any], optimizer: Any) -> dict[str, int]:
        modules["vision"].load_state_dict(whole)
        save_training(out, modules, optimizer, {"step": 4})
        return {"step": 4}

    monkeypatch.setattr(base_vision, "resume_training", resume_at_the_end)
    assert same(train_vision(tmp_path / "cut"), whole)
    assert len(micro.lines(tmp_path / "cut" / "metrics.jsonl")) == 4


def test_batches_go_on_where_a_step_left_off() -> None:
    first = list(itertools.islice(base_vision.annotated_batches(VISION, tiny.WORLD, 3, 0), 3))
    resumed = list(itertools.islice(base_vision.annotated_batches(VISION, tiny.WORLD, 3, 1), 2))
    for (patches, grid, targets), (other, other_grid, other_targets) in zip(first[1:], resumed, strict=True):
        assert torch.equal(patches, other) and torch.equal(grid, other_grid)
        assert same(targets.classes, other_targets.classes)


@pytest.mark.parametrize("source", ["world/counting", "world/gui", "world/ocr", "world/clip", "world/dense"])
def test_every_patch_of_a_picture_or_clip_has_a_target(source: str) -> None:
    item = build_item(source, seed=1, index=4, split="train", config=tiny.WORLD)
    patches, (frames, rows, columns), targets = base_vision.annotated_example(item)
    assert len(patches) == frames * rows * columns
    assert all(classes.shape == (len(patches),) for classes in targets.classes.values())
    for name, values in base_vision.VOCABULARY.items():
        classes = targets.classes[name]
        seen = classes[classes != IGNORE_INDEX]
        assert not len(seen) or int(seen.max()) < len(values), name
    if item.frames:
        assert frames == min(6, len(item.frames)) // 2


def test_an_object_of_a_clip_is_a_target_only_while_it_is_visible() -> None:
    kind = base_vision.VOCABULARY["kind"].index("shape")
    found = set()
    for index in range(12):
        item = build_item("world/clip", seed=1, index=index, split="train", config=tiny.WORLD)
        _, (frames, rows, columns), targets = base_vision.annotated_example(item)
        shown = (targets.classes["kind"].view(frames, rows * columns) == kind).any(dim=1).tolist()
        for pair, visible in enumerate(shown):
            expected = any(
                note.frames is None or note.frames[0] <= 2 * pair < note.frames[1] for note in item.annotations
            )
            assert visible == expected
            found.add(visible)
    assert found == {True, False}
