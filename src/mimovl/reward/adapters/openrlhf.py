"""OpenRLHF's remote reward model, both of its forms (0.11: ``SingleTurnAgentExecutor`` in openrlhf/utils/agent.py).

    --reward.remote_url http://127.0.0.1:8000/v1/openrlhf       a reward service answers
    --reward.remote_url …/mimovl/reward/adapters/openrlhf.py    this file's ``reward_func``, in its process

A label (``--data.label_key``) is a JSON string ``{"task": "counting", "gold": 3}``, or a gold answer alone, of the task
that ``MIMOVL_REWARD_TASK`` names (math without it). OpenRLHF sends queries: prompt and completion in one text, special
tokens included; what follows the prompt is rewarded, and the prompt, taken apart into its ChatML turns, is what reward
models of a service read (of its pictures only they know nothing: OpenRLHF does not send them). A service's token stands
in the address, ``http://mimovl:TOKEN@127.0.0.1:8000/v1/openrlhf``, for OpenRLHF has no other place for it; the file
reads ``MIMOVL_REWARD_URL`` and ``MIMOVL_REWARD_TOKEN``. A refused request it logs, and goes on without a reward.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict

from mimovl.errors import DataError
from mimovl.reward.adapters.columns import label_sample
from mimovl.reward.adapters.where import default_rewards
from mimovl.reward.schema import RewardItem, item_of
from mimovl.types import Outcome, Verdict

__all__ = ["OpenRLHFRequest", "OpenRLHFResponse", "completion_of", "items_of", "response_of", "reward_func"]

TASK_VARIABLE = "MIMOVL_REWARD_TASK"
ASSISTANT = "<|im_start|>assistant\n"


class OpenRLHFRequest(BaseModel):
    """What OpenRLHF posts."""

    model_config = ConfigDict(extra="ignore")

    query: list[str]
    prompts: list[str]
    labels: list[Any]


class OpenRLHFResponse(BaseModel):
    """What it reads."""

    rewards: list[float]
    scores: list[float]
    extra_logs: dict[str, list[float]]


def items_of(request: OpenRLHFRequest) -> list[RewardItem]:
    """The completions to reward.

    Raises:
        DataError: the lists differ in length, or a label holds no gold answer.
    """
    count = len(request.query)
    if not count == len(request.prompts) == len(request.labels):
        raise DataError(f"{count} query, {len(request.prompts)} prompts and {len(request.labels)} labels; send as many")
    task = os.environ.get(TASK_VARIABLE, "math")
    items = []
    for place, (query, prompt, label) in enumerate(zip(request.query, request.prompts, request.labels, strict=True)):
        sample = label_sample(label, f"labels[{place}]", task=task, prompt=prompt)
        items.append(RewardItem.model_validate(item_of(sample, completion_of(query, prompt), prompt=True)))
    return items


def response_of(verdicts: Sequence[Verdict]) -> OpenRLHFResponse:
    """The rewards in OpenRLHF's words; its logs also show the share of items that were not graded."""
    rewards = [verdict.score for verdict in verdicts]
    not_graded = [float(verdict.outcome is Outcome.NOT_GRADED) for verdict in verdicts]
    return OpenRLHFResponse(rewards=rewards, scores=rewards, extra_logs={"not_graded": not_graded})


def completion_of(query: str, prompt: str) -> str:
    """What the model said: after the prompt, else after the last assistant marker, else all."""
    if prompt and prompt in query:
        return query.partition(prompt)[2]
    _, found, rest = query.rpartition(ASSISTANT)
    return rest if found else query


def reward_func(queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any]) -> dict[str, Any]:
    """Reward completions in OpenRLHF's own process, or by the service that ``MIMOVL_REWARD_URL`` names.

    Returns:
        ``rewards`` and ``scores`` of shape (len(queries),), and ``extra_logs`` of the same.

    Raises:
        DataError: a label holds no gold answer.
    """
    task = os.environ.get(TASK_VARIABLE, "math")
    samples = [
        label_sample(label, f"labels[{place}]", task=task, prompt=prompt)
        for place, (label, prompt) in enumerate(zip(labels, prompts, strict=True))
    ]
    texts = [completion_of(query, prompt) for query, prompt in zip(queries, prompts, strict=True)]
    response = response_of(default_rewards().score_many(samples, texts))
    return {
        "rewards": torch.tensor(response.rewards),
        "scores": torch.tensor(response.scores),
        "extra_logs": {name: torch.tensor(values) for name, values in response.extra_logs.items()},
    }
