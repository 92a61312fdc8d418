"""Rewards for verl: the documented call, and verl's own loader and reward manager where verl is installed."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest

from mimovl.errors import DataError
from mimovl.reward.adapters.verl import compute_score, compute_score_remote, compute_scores
from tests.reward.adapters.installed import TINY_MODEL, run_beside
from tests.reward.running import RunningService

RIGHT = {"score": 1.0, "acc": 1.0, "not_graded": 0.0, "pred": "3"}


def test_a_response_is_rewarded_by_data_source_and_ground_truth() -> None:
    call: dict[str, Any] = {"data_source": "counting", "solution_str": "3", "ground_truth": "3"}
    extra = {"index": 7, "num_turns": None, "rollout_reward_scores": {}}
    assert compute_score(**call, extra_info=extra) == RIGHT
    assert compute_score(**call, extra_info=extra, reward_router_address="x", reward_model_tokenizer=None) == RIGHT
    assert compute_score("lmms/counting", "3", 3, {"task": "counting"})["score"] == 1.0
    assert compute_score("my_data", "3", '{"kind": "count", "answer": 3}')["score"] == 1.0
    assert compute_score("my_data", "[0,0,10,5]", np.array([0, 0, 10, 10]), task="grounding")["score"] == 0.75
    edit = {"kind": "text", "options": {"metric": "edit"}}
    assert compute_score("x", "re", "red", edit)["score"] == pytest.approx(2 / 3)


def test_all_scores_have_the_same_keys() -> None:
    """verl stacks them into columns."""
    scores = compute_scores(
        data_sources=np.array(["counting", "counting", "math"]),
        solution_strs=["3", "<think>", r"\boxed{x}"],
        ground_truths=[3, 3, "x"],
        extra_infos=np.array([{}, {"index": 1}, None], dtype=object),
    )
    assert [score["score"] for score in scores] == [1.0, 0.0, 1.0]
    assert len({tuple(score) for score in scores}) == 1
    assert compute_scores(["counting"], ["3"], [3]) == [RIGHT]


def test_a_service_is_asked_where_one_is_named(running: RunningService) -> None:
    async def story() -> list[Any]:
        asked = (compute_score_remote("counting", str(n), 3, url=running.url) for n in range(6))
        return [score["score"] for score in await asyncio.gather(*asked)]

    assert asyncio.run(story()) == [0.0, 0.0, 0.0, 1.0, 0.0, 0.0]
    assert asyncio.run(story())[3] == 1.0, "another event loop has another client"
    assert compute_score("counting", "3", 3, url=running.url) == RIGHT


def test_a_ground_truth_that_cannot_be_read_is_named() -> None:
    with pytest.raises(DataError, match="sample '7' of task 'counting', field gold.answer: gold answer 'many'"):
        compute_score("counting", "3", "many", {"index": 7})
    with pytest.raises(DataError, match="sample '7' of data_source 'x', ground_truth: .*options"):
        compute_score("x", "3", {"kind": "count", "answer": 3, "options": 1}, {"index": 7})


MANAGER = (
    TINY_MODEL
    + """
import asyncio, json, sys
import numpy as np, torch
from omegaconf import OmegaConf
from verl import DataProto
from verl.trainer.ppo.reward import load_reward_manager
def reward_of(name, **kwargs):
    config = OmegaConf.create({"reward": {
        "custom_reward_function": {"path": "pkg://mimovl.reward.adapters.verl", "name": name, "reward_kwargs": kwargs},
        "reward_manager": {"source": "register", "name": "naive"},
    }})
    found = []
    async def story():
        manager = load_reward_manager(config, tokenizer)
        for text in ("3", "4"):
            response = torch.tensor([[words.index(text), 0]])
            data = DataProto.from_dict(
                tensors={"responses": response, "attention_mask": torch.tensor([[1, 1, 1, 0]])},
                non_tensors={
                    "data_source": np.array(["counting"], dtype=object),
                    "reward_model": np.array([{"ground_truth": "3"}], dtype=object),
                    "extra_info": np.array([{"index": 0}], dtype=object),
                },
            )
            found.append(await manager.run_single(data))
    asyncio.run(story())
    return found
print("FOUND", json.dumps([reward_of("compute_score"), reward_of("compute_score_remote", url=sys.argv[1])]))
"""
)


@pytest.mark.engines
def test_verls_own_reward_manager_gives_our_rewards(running: RunningService) -> None:
    said = run_beside("verl", MANAGER, running.url, needs=("ray", "tensordict", "omegaconf"))
    expected = [
        {"reward_score": 1.0, "reward_extra_info": RIGHT},
        {"reward_score": 0.0, "reward_extra_info": {**RIGHT, "score": 0.0, "acc": 0.0, "pred": "4"}},
    ]
    assert json.loads(said.partition("FOUND ")[2]) == [expected, expected]
