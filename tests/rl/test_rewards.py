from __future__ import annotations

import pytest
from pydantic import ValidationError

from mimovl.errors import DataError, UsageError
from mimovl.reward import RewardRouter
from mimovl.rl import RLConfig, group_advantages
from mimovl.rl.rewards import RewardsConfig, check_rewards, open_rewards, reward_groups
from mimovl.types import Completion, Outcome, Request, SamplingParams, Verdict
from tests import tiny
from tests.reward.conftest import running as running  # noqa: PLC0414  (a fixture)
from tests.reward.running import RunningService


def asked(count: int = 3, samples: int = 4) -> tuple[list[Request], list[list[Completion]]]:
    """Prompts about counting, and answers of which the first is right."""
    requests = [Request(sample, SamplingParams(), samples) for sample in tiny.questions("world/counting", count)]
    golds = [request.sample.gold.answer for request in requests]
    return requests, [[Completion(str(gold + wrong), "stop") for wrong in range(samples)] for gold in golds]


def test_all_completions_of_a_round_are_rewarded_in_one_call() -> None:
    calls: list[int] = []

    class Spy(RewardRouter):
        def score_many(self, samples, completions):
            calls.append(len(samples))
            return super().score_many(samples, completions)

    requests, answers = asked()
    groups = reward_groups(requests, answers, Spy(), 7)
    assert calls == [12]
    for request, completions, group in zip(requests, answers, groups, strict=True):
        assert group.request is request and group.policy_version == 7
        assert [rollout.completion for rollout in group.rollouts] == completions
        rewards = [rollout.reward for rollout in group.rollouts]
        assert rewards == [1.0, 0.0, 0.0, 0.0]
        assert [rollout.advantage for rollout in group.rollouts] == group_advantages(rewards)


def test_groups_of_different_sizes_keep_their_own_rewards() -> None:
    requests, answers = asked()
    groups = reward_groups(requests, [answers[0][:1], answers[1], answers[2][2:]], RewardRouter(), 0)
    assert [[one.reward for one in group.rollouts] for group in groups] == [[1.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0]]


def test_without_a_section_the_router_of_this_process_rewards() -> None:
    with open_rewards(None) as rewards:
        assert type(rewards) is RewardRouter


def test_a_service_gives_the_very_rewards_of_the_router(running: RunningService) -> None:
    requests, answers = asked()
    with open_rewards(RewardsConfig(url=running.url, batch=5)) as remote:
        check_rewards([request.sample for request in requests], ["counting"], remote)
        assert reward_groups(requests, answers, remote, 0) == reward_groups(requests, answers, RewardRouter(), 0)


def test_the_token_comes_from_the_variable_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_TOKEN", "secret")
    config = RewardsConfig(url="http://127.0.0.1:1", token_env="OUR_TOKEN")
    with open_rewards(config) as remote:
        assert remote._arguments[1]["token"] == "secret"
    monkeypatch.delenv("OUR_TOKEN")
    with pytest.raises(UsageError, match=r"rl\.rewards\.token_env names OUR_TOKEN, which is not set"):
        open_rewards(config).__enter__()


def test_a_service_that_is_not_there_is_found_out_before_anything_is_sampled() -> None:
    with (
        open_rewards(RewardsConfig(url="http://127.0.0.1:9", timeout=0.2)) as remote,
        pytest.raises(UsageError, match=r"127\.0\.0\.1:9: no rewards within 0\.2 s"),
    ):
        check_rewards(tiny.questions("world/counting", 1), ["counting"], remote)


def test_a_gold_answer_that_earns_nothing_is_found_out_too() -> None:
    rewards = RewardRouter({"counting": lambda sample, text: Verdict(0.25, Outcome.WRONG)})
    with pytest.raises(DataError, match=r"earns 0\.250 instead of 1"):
        check_rewards(tiny.questions("world/counting", 2), ["counting"], rewards)


def test_a_recipe_names_the_service_and_never_the_token() -> None:
    values = {"tasks": {"counting": 1}, "steps": 1, "train": ["language"], "learning_rate": {"language": 1e-3}}
    made = RLConfig.model_validate({**values, "rewards": {"url": "http://127.0.0.1:8000", "token_env": "OUR_TOKEN"}})
    assert made.rewards == RewardsConfig(url="http://127.0.0.1:8000", token_env="OUR_TOKEN")
    with pytest.raises(ValidationError, match="token"):
        RLConfig.model_validate({**values, "rewards": {"url": "http://127.0.0.1:8000", "token": "secret"}})
