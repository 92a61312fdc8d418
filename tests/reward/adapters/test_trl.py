"""Rewards for TRL: the documented call, and a real step of GRPOTrainer where TRL is installed."""

from __future__ import annotations

import asyncio
import inspect
import json
from typing import Any

import pytest

from mimovl.errors import DataError
from mimovl.reward import RewardRouter
from mimovl.reward.adapters import Columns, trl_async_reward, trl_reward
from mimovl.reward.client import AsyncRemoteRewards
from mimovl.types import Gold, Outcome, Sample, Verdict
from tests.reward.adapters.installed import TINY_MODEL, run_beside
from tests.reward.running import RunningService


def call(reward: Any, completions: list[Any], **columns: Any) -> Any:
    """As ``GRPOTrainer._calculate_rewards`` calls it."""
    return reward(
        prompts=["How many?"] * len(completions),
        completions=completions,
        completion_ids=[[1, 2]] * len(completions),
        **columns,
        trainer_state=object(),
        log_extra=print,
        log_metric=print,
    )


def test_texts_and_conversations_are_rewarded_by_their_columns() -> None:
    reward = trl_reward(RewardRouter())
    columns = {"task": ["counting", "grounding"], "gold": [3, [0, 0, 10, 10]]}
    assert call(reward, ["There are 3.", "[0,0,10,5]"], **columns) == [1.0, 0.75]
    conversations = [[{"role": "assistant", "content": text}] for text in ("There are 4.", "[0,0,10,10]")]
    assert call(reward, conversations, **columns) == [0.0, 1.0]


def test_one_task_and_another_column() -> None:
    reward = trl_reward(task="math", gold="solution")
    assert call(reward, [r"\boxed{0.5}", r"\boxed{2}"], solution=[r"\frac12"] * 2) == [1.0, 0.0]
    other = trl_reward(columns=Columns(task="kind_of_question", gold="answer"))
    assert call(other, ["3"], kind_of_question=["counting"], answer=[3]) == [1.0]


def test_a_row_that_cannot_be_rewarded_is_named() -> None:
    with pytest.raises(DataError, match="the dataset has no column 'task', only .*gold"):
        call(trl_reward(RewardRouter()), ["3"], gold=[3])
    with pytest.raises(DataError, match="row 0.*of task 'counting' has no gold"):
        call(trl_reward(RewardRouter()), ["3"], task=["counting"])
    with pytest.raises(DataError, match="sample 'row 1' of task 'counting', field gold.answer"):
        call(trl_reward(RewardRouter()), ["3", "3"], task=["counting"] * 2, gold=[3, "many"])


def test_what_is_not_graded_may_be_left_out() -> None:
    class Undecided:
        def score(self, sample: Sample, completion: Any) -> Verdict:
            return Verdict(0.0, Outcome.NOT_GRADED)

        def score_many(self, samples: Any, completions: Any) -> list[Verdict]:
            return [Verdict(0.0, Outcome.NOT_GRADED) for _ in samples]

    assert call(trl_reward(Undecided(), task="math"), ["3"], gold=["3"]) == [0.0]
    assert call(trl_reward(Undecided(), task="math", not_graded=None), ["3"], gold=["3"]) == [None]


def test_an_asynchronous_reward_asks_the_service(running: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> list[Any]:
        by_address = trl_async_reward(running.url, task="counting")
        async with AsyncRemoteRewards(running.url) as client:
            by_client = trl_async_reward(client, task="counting")
            assert inspect.iscoroutinefunction(by_client), "by which TRL knows that it can be awaited"
            calls = (call(reward, ["3", "4"], gold=[3, 3]) for reward in (by_address, by_client))
            return list(await asyncio.gather(*calls))

    assert asyncio.run(story()) == [[1.0, 0.0], [1.0, 0.0]]
    monkeypatch.setenv("MIMOVL_REWARD_URL", running.url)
    assert call(trl_reward(task="counting"), ["3", "4"], gold=[3, 3]) == [1.0, 0.0]


STEP = (
    TINY_MODEL
    + """
import json, sys
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer
from mimovl.reward.adapters import trl_async_reward, trl_reward
model = Qwen2ForCausalLM(Qwen2Config(
    vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
    num_key_value_heads=2, eos_token_id=1, pad_token_id=0,
))
model.generation_config.eos_token_id, model.generation_config.pad_token_id = 1, 0
rows = Dataset.from_dict({"prompt": ["How many ?"] * 8, "task": ["counting"] * 8, "gold": [3] * 8})
seen = []
def watched(prompts, completions, **columns):
    rewards = trl_reward()(prompts, completions, **columns)
    seen.append([completions, rewards])
    return rewards
trainer = GRPOTrainer(
    model, reward_funcs=[watched, trl_async_reward(sys.argv[1])], processing_class=tokenizer, train_dataset=rows,
    args=GRPOConfig(
        output_dir=sys.argv[2], max_steps=2, per_device_train_batch_size=8, num_generations=8,
        max_completion_length=2, report_to=[], use_cpu=True, logging_steps=1, save_strategy="no", disable_tqdm=True,
    ),
)
trainer.train()
print("HISTORY", json.dumps([seen, trainer.state.log_history]))
"""
)


@pytest.mark.engines
def test_a_step_of_grpo_trains_on_our_rewards(running: RunningService, tmp_path: Any) -> None:
    said = run_beside("trl", STEP, running.url, str(tmp_path), needs=("datasets", "accelerate"))
    seen, history = json.loads(said.partition("HISTORY ")[2])
    for completions, rewards in seen:
        samples = [Sample("a", (), task="counting", gold=Gold("count", 3))] * len(completions)
        assert rewards == [verdict.score for verdict in RewardRouter().score_many(samples, completions)]
    logged = [entry for entry in history if "reward" in entry]
    assert len(logged) == 2 and len(seen) == 2
    for (_, rewards), entry in zip(seen, logged, strict=True):
        mean = sum(rewards) / len(rewards)
        assert entry["rewards/watched/mean"] == pytest.approx(mean)
        assert entry["rewards/mimovl_reward/mean"] == pytest.approx(mean), "the service gave the same"
