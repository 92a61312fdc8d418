from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mimovl.reward import RewardRouter
from mimovl.rl.monitors.alert import Update
from mimovl.rl.monitors.config import HeldoutConfig
from mimovl.rl.monitors.heldout import HeldoutMonitor, choose_questions
from mimovl.team import ALONE
from mimovl.types import Completion, Outcome, Request, Sample, SamplingParams, Verdict
from tests import tiny
from tests.rl.monitors.making import group

QUESTIONS = tiny.questions("world/counting", 8) + tiny.questions("world/arithmetic", 8)
SAMPLING = SamplingParams(1.0, max_tokens=8)


class Policy:
    """An engine that answers held-out questions rightly with a probability that rises by the update, or does not."""

    def __init__(self, gain: float) -> None:
        self.gain = gain
        self.number = 0
        self.asked: list[Request] = []

    def generate(self, requests) -> list[list[Completion]]:
        self.asked += requests
        right = min(1.0, 0.4 + self.gain * self.number)
        return [
            [Completion("right" if random.Random(place).random() < right else "wrong", "stop")]
            for place, _ in enumerate(requests)
        ]


def says_right(sample: Sample, text: str) -> Verdict:
    return Verdict(float(text == "right"), Outcome.CORRECT if text == "right" else Outcome.WRONG)


REWARDS = RewardRouter({"counting": says_right, "arithmetic": says_right})


def run(gain: float, *, rise: float = 0.02, updates: int = 33, resume_at: int = 0):
    """A training whose reward rises by ``rise`` an update while held-out rises by ``gain``."""
    config, policy = HeldoutConfig(every=4, questions=16), Policy(gain)
    monitor = HeldoutMonitor(config, QUESTIONS, SAMPLING)
    said, figures = [], []
    for number in range(1, updates + 1):
        policy.number = number
        figures.append(monitor.ask(number, policy, REWARDS, ALONE))
        reward = min(1.0, 0.4 + rise * number)
        said.append(monitor.look(Update(number, [group(["x"] * 4, [reward] * 4)], {})))
        if number == resume_at:
            monitor = HeldoutMonitor(config, QUESTIONS, SAMPLING, json.loads(json.dumps(monitor.state_dict())))
    return said, figures, policy


def test_a_reward_that_rises_while_heldout_is_flat_is_found() -> None:
    said, figures, _ = run(0.0)
    [alert] = said[-1]
    assert alert.monitor == "heldout" and "does not carry over" in alert.message
    assert [number for number, one in enumerate(figures, start=1) if one] == list(range(1, 34, 4))


def test_a_reward_that_heldout_follows_is_healthy() -> None:
    said, figures, _ = run(0.02)
    assert not any(said)
    assert figures[-1]["heldout_reward"] > figures[0]["heldout_reward"] + 0.2


def test_a_reward_that_does_not_rise_is_no_reason() -> None:
    assert not any(run(0.0, rise=0.0)[0])


@pytest.mark.parametrize("at", [3, 5, 12, 20, 29])
def test_it_goes_on_where_it_stood(at: int) -> None:
    assert run(0.0, resume_at=at)[0] == run(0.0)[0]


def test_the_same_questions_are_asked_each_time_as_in_training() -> None:
    _, _, policy = run(0.0, updates=5)
    assert policy.asked[:16] == policy.asked[16:] and len(policy.asked) == 32
    assert len({one.sampling.seed for one in policy.asked}) == 16  # questions draw apart from each other
    assert all(replace(one.sampling, seed=0) == SAMPLING and one.num_samples == 1 for one in policy.asked)


def test_questions_are_taken_of_all_tasks_in_turn() -> None:
    chosen = choose_questions(QUESTIONS, ["counting", "arithmetic"], 5)
    assert [one.task for one in chosen] == ["counting", "arithmetic", "counting", "arithmetic", "counting"]
    assert len(choose_questions(QUESTIONS, ["counting"], 64)) == 8
    assert choose_questions(QUESTIONS, ["ocr"], 4) == [] and choose_questions([], ["ocr"], 4) == []


def trained(seed: int, train: Callable[[int], float], held: Callable[[int], float], redrawn: float) -> bool:
    """Whether a training of 100 updates of 16 prompts of unlike difficulty gives an alert, 64 questions asked."""
    rng = np.random.default_rng(seed)
    requests = [Request(QUESTIONS[0]) for _ in range(64)]
    monitor = HeldoutMonitor(HeldoutConfig(every=10, questions=64), [one.sample for one in requests], SAMPLING)
    dice = rng.random(64)

    class Asked:
        def generate(self, requests) -> list[list[Completion]]:
            nonlocal dice
            dice = np.where(rng.random(64) < redrawn, rng.random(64), dice)
            return [[Completion("right" if one < held(number) else "wrong", "stop")] for one in dice]

    found = False
    for number in range(1, 101):
        monitor.ask(number, Asked(), REWARDS, ALONE)
        easy = rng.beta(train(number), 1 - train(number), 16)
        rewards = (rng.random((16, 8)) < easy[:, None]).astype(float)
        groups = [group(["x"] * 8, list(map(float, one))) for one in rewards]
        found |= bool(monitor.look(Update(number, groups, {})))
    return found


def test_a_policy_that_does_not_change_gives_no_alert_and_one_that_fails_mostly_does() -> None:
    """The drawn prompts alone make the training reward rise by 0.05 in most of these runs, and nothing follows."""
    for redrawn in (0.0, 0.1):
        assert sum(trained(seed, lambda _: 0.5, lambda _: 0.5, redrawn) for seed in range(12)) == 0
    assert sum(trained(seed, lambda n: 0.3 + 0.5 * min(1, n / 60), lambda _: 0.3, 0.1) for seed in range(12)) >= 9


def test_a_question_is_asked_in_the_mode_and_with_the_limit_of_its_task() -> None:
    monitor = HeldoutMonitor(HeldoutConfig(), QUESTIONS, SAMPLING, thinking={"counting": 0.0}, budgets={"counting": 5})
    asked = {(one.sample.task, one.thinking, one.sampling.max_tokens) for one in monitor.requests}
    assert asked == {("counting", False, 5), ("arithmetic", None, 8)}
    half = HeldoutMonitor(HeldoutConfig(), QUESTIONS, SAMPLING, thinking={"counting": 0.5}).requests
    assert {one.thinking for one in half[:8]} == {None, False}


def test_what_was_remembered_by_the_test_before_is_left_alone() -> None:
    old = {"rewards": [0.5], "askings": [[1, None, [0.0] * 16], [5, 0.4, [0.0] * 16]]}
    monitor = HeldoutMonitor(HeldoutConfig(every=4), QUESTIONS, SAMPLING, old)
    monitor.ask(9, Policy(0.0), REWARDS, ALONE)
    assert monitor.look(Update(9, [group(["x"] * 4, [1.0] * 4)], {})) == []
