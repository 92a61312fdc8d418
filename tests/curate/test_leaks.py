"""Decontamination as a step: leaks go with the item they came from, wherever the chunks are cut."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mimovl.curate.grey import turned
from mimovl.curate.leaks import Decontaminate
from mimovl.curate.pipeline.tools import PlainTools
from mimovl.curate.step import Dropped
from mimovl.errors import UsageError
from mimovl.types import Sample
from tests.curate.pictures import encoded, sample_of, small_photo

QUESTION = "which of the three bridges drawn in the figure carries the heaviest load when the wind blows from the west"


@pytest.fixture(scope="module")
def against(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("benchmark")
    (folder / "pictures").mkdir()
    for number in range(3):
        (folder / "pictures" / f"q{number}.png").write_bytes(encoded(small_photo(number), "PNG"))
    (folder / "questions.jsonl").write_text(json.dumps({"id": "bridge", "question": QUESTION}) + "\n")
    return str(folder / "pictures"), str(folder / "questions.jsonl")


def samples() -> list[Sample]:
    leaks = []
    for turn in (0, 3, 4, 6):
        pixels = np.ascontiguousarray(turned(np.asarray(small_photo(turn % 3)), turn))
        leaks.append(sample_of(f"leak-{turn}", "What is it?", encoded(Image.fromarray(pixels), quality=80)))
    clean = [sample_of(f"clean-{n}", f"What is thing {n}?", encoded(small_photo(50 + n))) for n in range(4)]
    both = sample_of("both", f"Now {QUESTION}?", encoded(small_photo(1), quality=70))
    return [*leaks, *clean, sample_of("words", f"Now {QUESTION}, if any?"), both]


@pytest.mark.parametrize("size", [1, 4, 100])
def test_leaks_go_in_every_orientation_and_by_text_and_nothing_else_does(
    against: tuple[str, str], tmp_path: Path, size: int
) -> None:
    step, tools = Decontaminate(against=against), PlainTools(tmp_path)
    every = samples()
    chunks = [every[start : start + size] for start in range(0, len(every), size)]
    decision = step.settle(iter([step.observe(chunk, tools) for chunk in chunks]), tools)
    found = {
        sample.id: result
        for number, chunk in enumerate(chunks)
        for sample, result in zip(chunk, step.decide(chunk, number, decision, tools), strict=True)
        if isinstance(result, Dropped)
    }
    assert {name: drop.reason for name, drop in found.items()} == {
        **dict.fromkeys(["leak-0", "leak-3", "leak-4", "leak-6", "both"], "leaked_image"), "words": "leaked_text"
    }  # fmt: skip
    assert "q1.png" in found["leak-4"].detail and "mirrored" in found["leak-4"].detail
    assert "bridge" in found["words"].detail


def test_nothing_to_check_against_is_said(tmp_path: Path) -> None:
    (tmp_path / "none.txt").write_text("\n")
    with pytest.raises(UsageError, match="nothing to check against in .*none.txt"):
        Decontaminate(against=(str(tmp_path / "none.txt"),)).settle(iter([]), PlainTools(tmp_path))
