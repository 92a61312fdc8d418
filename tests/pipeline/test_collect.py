import json
from pathlib import Path

import pytest
import yaml

from mimovl.data import PairFolder
from mimovl.errors import CheckpointError, UsageError
from mimovl.pipeline.collect import LazyModel, collect, read_prompts
from mimovl.pipeline.collect_config import ModelSource
from mimovl.store import DatasetWriter
from tests import tiny

JUDGE = """
from mimovl.types import Completion

class Judge:
    def __init__(self, reply): self.reply = reply
    def generate(self, requests): return [[Completion(self.reply, "stop")] for request in requests]

def judge(reply): return Judge(reply)
def nothing(): return 3
"""


@pytest.fixture
def recipe(tmp_path: Path, tiny_trained: Path) -> Path:
    with DatasetWriter(tmp_path / "prompts") as writer:
        for sample in tiny.questions("world/counting", 3):
            writer.add(sample)
    (tmp_path / "judge.py").write_text(JUDGE)
    values = {
        "prompts": str(tmp_path / "prompts"),
        "generators": {"warm": {"checkpoint": str(tiny_trained)}},
        "ranker": {"load": f"{tmp_path / 'judge.py'}:judge", "arguments": {"reply": "A"}},
        "samples": 3,
        "temperature": 1.5,
        "max_tokens": 24,
    }
    (tmp_path / "collect.yaml").write_text(yaml.safe_dump(values))
    return tmp_path / "collect.yaml"


def test_a_checkpoint_answers_and_a_judge_of_ones_own_ranks(recipe: Path, tmp_path: Path) -> None:
    summary = collect(recipe, tmp_path / "pairs")
    folder = PairFolder(tmp_path / "pairs")
    assert summary["prompts"] == 3 and summary["pairs"] == len(folder) > 0
    # this judge has a taste for the first place, so nothing is decided, and it shows
    assert summary["verdicts"] == {"disagreement": len(folder)}
    assert summary["first_place_preferred"]["value"] == 1
    assert all(folder[number].tie and folder[number].media for number in range(len(folder)))
    assert json.loads((tmp_path / "pairs" / "summary.json").read_text()) == summary
    with pytest.raises(UsageError, match="pairs is there already"):
        collect(recipe, tmp_path / "pairs")


def test_models_that_are_not_there_are_named(tmp_path: Path, recipe: Path) -> None:
    with pytest.raises(CheckpointError, match="none: no such checkpoint folder"):
        LazyModel(ModelSource(checkpoint="none"), "ranker")
    with pytest.raises(UsageError, match=r"ranker: .*judge.py:nothing gave int, which has no method generate"):
        LazyModel(ModelSource(load=f"{tmp_path / 'judge.py'}:nothing"), "ranker").generate([])
    with pytest.raises(UsageError, match=r"ranker.load: no such file"):
        LazyModel(ModelSource(load=f"{tmp_path / 'jugde.py'}:judge"), "ranker").generate([])


def test_prompts_are_conversations_up_to_the_users_last_turn(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "data") as writer:
        for sample in tiny.samples("world/counting", 3):
            writer.add(sample)
    prompts = read_prompts(tmp_path / "data", 2)
    assert len(prompts) == 2
    for prompt, sample in zip(prompts, tiny.samples("world/counting", 3), strict=False):
        assert prompt.messages == sample.messages[:-1] and prompt.messages[-1].role == "user"
        assert prompt.media == sample.media
