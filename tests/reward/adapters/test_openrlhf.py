"""Rewards for OpenRLHF: the documented call and body, and its own executor where OpenRLHF is installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

import mimovl.reward.adapters
from mimovl.errors import DataError
from mimovl.reward.adapters import openrlhf, where
from mimovl.reward.adapters.openrlhf import OpenRLHFRequest, completion_of, items_of, reward_func
from mimovl.reward.client import RemoteRewards
from tests.reward.adapters.installed import TINY_MODEL, run_beside
from tests.reward.running import RunningService
from tests.reward.test_gate import gate

FILE = Path(mimovl.reward.adapters.__path__[0]) / "openrlhf.py"
LABEL = '{"task": "counting", "gold": 3}'


def test_what_follows_the_prompt_is_the_completion() -> None:
    assert completion_of("How many?3<eos>", "How many?") == "3<eos>"
    assert completion_of("<bos>How many?How many? 3", "How many?") == "How many? 3"
    chat = "<|im_start|>user\nHow many?<|im_end|>\n<|im_start|>assistant\n3"
    assert completion_of(chat, "a prompt that was cut") == "3"
    assert completion_of("3", "How many?") == "3" and completion_of("3", "") == "3"


def test_the_function_gives_tensors_of_one_reward_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIMOVL_REWARD_URL", raising=False)
    found = reward_func(["How many?3", "How many?4"], ["How many?"] * 2, [LABEL] * 2)
    assert set(found) == {"rewards", "scores", "extra_logs"}
    assert torch.equal(found["rewards"], torch.tensor([1.0, 0.0])) and torch.equal(found["scores"], found["rewards"])
    assert torch.equal(found["extra_logs"]["not_graded"], torch.zeros(2))


def test_a_gold_answer_alone_is_of_the_task_that_a_variable_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIMOVL_REWARD_TASK", raising=False)
    assert reward_func([r"x\boxed{0.5}"], ["x"], [r"\frac12"])["rewards"].tolist() == [1.0]
    monkeypatch.setenv("MIMOVL_REWARD_TASK", "counting")
    assert reward_func(["There are 3."], ["x"], ["3"])["rewards"].tolist() == [1.0]


def test_lists_of_other_lengths_and_labels_without_gold_are_refused() -> None:
    with pytest.raises(DataError, match="1 query, 2 prompts and 1 labels"):
        items_of(OpenRLHFRequest(query=["a"], prompts=["b", "c"], labels=["d"]))
    with pytest.raises(DataError, match=r"sample 'labels\[0\]' of task 'counting' has no gold"):
        reward_func(["a"], ["b"], ['{"task": "counting"}'])


EXECUTOR = (
    TINY_MODEL
    + """
import asyncio, json, sys
from types import SimpleNamespace
from openrlhf.utils.agent import SingleTurnAgentExecutor
class Engine:
    def __init__(self, word):
        self.word = word
    async def generate(self, prompt_token_ids, params, multi_modal_data=None):
        said = SimpleNamespace(token_ids=[words.index(self.word)], finish_reason="stop", logprobs=None)
        return SimpleNamespace(outputs=[said])
async def story(url):
    executor = SingleTurnAgentExecutor(url)
    params = SimpleNamespace(max_tokens=4, logprobs=None)
    for word in ("3", "4"):
        label = '{"task": "counting", "gold": 3}'
        output = await executor.execute("How many ?", label, params, 64, tokenizer, Engine(word))
        yield [float(output["reward"][0]), float(output["scores"][0]), float(output["extra_logs"]["not_graded"][0])]
async def main():
    return [[found async for found in story(url)] for url in sys.argv[1:]]
print("FOUND", json.dumps(asyncio.run(main())))
"""
)


@pytest.mark.engines
def test_openrlhfs_own_executor_gets_our_rewards_by_file_and_by_address(running: RunningService) -> None:
    said = run_beside("openrlhf", EXECUTOR, str(FILE), running.url + "/v1/openrlhf", needs=("aiohttp",))
    assert json.loads(said.partition("FOUND ")[2]) == [[[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]] * 2


def test_the_body_may_hold_more_than_is_read() -> None:
    body: dict[str, Any] = {"query": ["a3"], "prompts": ["a"], "labels": [LABEL], "images": [None]}
    [item] = items_of(OpenRLHFRequest.model_validate(body))
    assert (item.task, item.kind, item.gold, item.completion) == ("counting", "count", 3, "3")


PROMPT = "<|im_start|>user\nSay hello.<|im_end|>\n<|im_start|>assistant\n"


def test_the_prompt_travels_as_messages_for_reward_models_that_read_it() -> None:
    [item] = items_of(OpenRLHFRequest(query=[PROMPT + "Hi"], prompts=[PROMPT], labels=['{"task": "rlhf"}']))
    [message] = item.messages
    assert (message.role, [part.text for part in message.content]) == ("user", ["Say hello."])
    assert (item.task, item.completion, item.gold) == ("rlhf", "Hi", None)


def test_a_service_with_a_token_in_its_address_rewards_by_rule_and_by_model(
    running: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate(running), "_token", b"hush")
    body = {"query": ["How many?3", PROMPT + "Hi"], "prompts": ["How many?", PROMPT], "labels": [LABEL, LABEL_OF_MODEL]}
    path = "/v1/openrlhf"
    assert httpx.post(running.url + path, json=body).status_code == 401
    answer = httpx.post(running.url.replace("://", "://mimovl:hush@") + path, json=body)
    assert answer.json()["rewards"] == [1.0, pytest.approx(1 / 3)]


LABEL_OF_MODEL = '{"task": "rlhf"}'


def test_the_file_asks_a_service_with_token_and_messages(
    running: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate(running), "_token", b"hush")
    monkeypatch.setattr(where, "_rewards", where._rewards.__wrapped__)  # the address was never asked before
    monkeypatch.setenv("MIMOVL_REWARD_URL", running.url)
    monkeypatch.setenv("MIMOVL_REWARD_TOKEN", "hush")
    opened: list[RemoteRewards] = []
    made = where.default_rewards
    monkeypatch.setattr(openrlhf, "default_rewards", lambda: opened.append(made()) or opened[-1])
    found = reward_func([PROMPT + "Hi", "x3"], [PROMPT, "x"], [LABEL_OF_MODEL, LABEL])
    opened[0].close()
    assert found["rewards"].tolist() == [pytest.approx(1 / 3), 1.0]
