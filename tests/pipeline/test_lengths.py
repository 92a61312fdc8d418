from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mimovl.cli import app
from mimovl.data import Processor
from mimovl.errors import UsageError
from mimovl.pipeline import lengths
from mimovl.pipeline.lengths import index_lengths
from mimovl.store import DatasetWriter
from tests import tiny


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    with DatasetWriter(tmp_path / "data") as writer:
        for sample in [*tiny.samples("world/counting", 6), *tiny.samples("world/clip", 2)]:
            writer.add(sample)
    return tmp_path / "data"


def test_the_command_counts_keeps_and_sums_up_and_lists_what_is_too_long(dataset, tiny_start) -> None:
    processor = Processor.load(tiny_start)
    samples = [*tiny.samples("world/counting", 6), *tiny.samples("world/clip", 2)]
    real = {sample.id: processor.encode(sample).num_tokens for sample in samples}
    limit = sorted(real.values())[-3]
    command = ["lengths", str(dataset), "--checkpoint", str(tiny_start), "--length", str(limit)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert f"8 samples, {sum(real.values()):,} tokens; counted in" in result.stdout
    assert "2 samples are longer, 0 cannot be used" in result.stdout
    for name, tokens in real.items():
        assert (f"  {name}: {tokens:,} tokens" in result.stdout) == (tokens > limit)
    assert len(list((dataset / "lengths").iterdir())) == 1
    assert CliRunner().invoke(app, command).stdout == result.stdout, "the second time it is read"


def test_samples_that_cannot_be_used_are_listed(tmp_path, tiny_start, monkeypatch) -> None:
    monkeypatch.setattr(lengths, "_LISTED", 2)
    with DatasetWriter(tmp_path / "data") as writer:
        for number, sample in enumerate(tiny.samples("world/arithmetic", 5)):
            bad = replace(sample.messages[0], content=(replace(sample.messages[0].content[0], text="<|im_end|>"),))
            writer.add(replace(sample, messages=(bad, *sample.messages[1:])) if number else sample)
    text = index_lengths(tmp_path / "data", tiny_start, length=512)
    assert "0 samples are longer, 4 cannot be used" in text and text.count("its text contains <|im_end|>") == 2
    assert text.endswith("and 2 more")


def test_a_folder_that_is_not_there(tmp_path, tiny_start) -> None:
    with pytest.raises(UsageError, match="no such folder of samples"):
        index_lengths(tmp_path / "none", tiny_start, length=512)
