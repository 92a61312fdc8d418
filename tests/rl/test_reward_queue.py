from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from mimovl.errors import DataError, UsageError
from mimovl.rl.reward_queue import LateRewardError, Rewarded, ThreadedRewards
from mimovl.types import Completion, Outcome, Sample, Verdict

ANSWERS = [Completion("a", "stop"), Completion("b", "stop")]


class Rewards:
    """Rewards that misbehave as a sample's id says, until it has been asked often enough."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gate = threading.Event()

    def score(self, sample, completion):
        return self.score_many([sample], [completion])[0]

    def score_many(self, samples, completions):
        name = samples[0].id
        self.asked.append(name)
        if name == "raises" or (name == "flaky" and self.asked.count(name) < 3):
            raise RuntimeError("out of luck")
        if name == "exits":
            sys.exit("bad answer")
        if name == "late":
            raise LateRewardError("no reward within 3 s")
        if name == "no gold":
            raise DataError("sample 'no gold' has no gold")
        if name == "hangs" or (name == "hangs once" and self.asked.count(name) == 1):
            self.gate.wait(60)
        score = {"nan": math.nan, "inf": math.inf, "large": 1.5}.get(name, 0.25)
        return [Verdict(score, Outcome.WRONG) for _ in range({"few": 1, "many": 3, "none": 0}.get(name, 2))]


@pytest.fixture
def rewards() -> Iterator[Rewards]:
    made = Rewards()
    yield made
    made.gate.set()


def arrived(made: ThreadedRewards, count: int) -> dict[int, Rewarded]:
    found: dict[int, Rewarded] = {}
    deadline = time.monotonic() + 60
    while len(found) < count and time.monotonic() < deadline:
        made.wait(0.02)
        found |= {one.key: one for one in made.poll()}
    return found


def outcome(rewards: Rewards, name: str, **settings) -> tuple[str | None, int]:
    made = ThreadedRewards(rewards, workers=2, **{"seconds": 30.0, "tries": 3, **settings})
    made.submit(7, Sample(name, (), task="t"), ANSWERS)
    result = arrived(made, 1)[7]
    made.close()
    assert (result.verdicts is None) == (result.failure is not None)
    return result.failure and result.failure.reason, rewards.asked.count(name)


@pytest.mark.parametrize(
    ("name", "reason", "asked"),
    [
        ("good", None, 1),
        ("flaky", None, 3),
        ("raises", "reward-raised", 3),
        ("no gold", "reward-raised", 1),
        ("exits", "reward-raised", 3),
        ("late", "reward-timeout", 3),
        ("nan", "reward-invalid", 1),
        ("inf", "reward-invalid", 1),
        ("large", "reward-invalid", 1),
        ("few", "reward-invalid", 1),
        ("many", "reward-invalid", 1),
        ("none", "reward-invalid", 1),
    ],
)
def test_a_group_gets_whole_verdicts_in_the_unit_interval_or_a_named_failure(rewards, name, reason, asked) -> None:
    assert outcome(rewards, name) == (reason, asked)


def test_a_reward_that_hangs_is_tried_again_by_another_thread_and_then_given_up(rewards) -> None:
    assert outcome(rewards, "hangs once", seconds=0.2) == (None, 2)
    assert outcome(rewards, "hangs", seconds=0.2, tries=2) == ("reward-timeout", 2)


def test_hanging_rewards_do_not_keep_others_waiting_for_ever(rewards) -> None:
    made = ThreadedRewards(rewards, workers=1, seconds=0.2, tries=1)
    for key, name in enumerate(["hangs", "good", "hangs", "good"]):
        made.submit(key, Sample(name, (), task="t"), ANSWERS)
    results = arrived(made, 4)
    made.close()
    assert [results[key].failure is None for key in range(4)] == [False, True, False, True]


def test_a_failure_names_sample_task_and_what_happened(rewards) -> None:
    made = ThreadedRewards(rewards, tries=3)
    made.submit(1, Sample("raises", (), task="counting"), ANSWERS)
    failure = arrived(made, 1)[1].failure
    made.close()
    assert failure and failure.message == "sample 'raises' of task 'counting': RuntimeError: out of luck (3 tries)"


def test_a_reward_that_leaves_the_process_is_a_failure_with_its_cause(rewards) -> None:
    made = ThreadedRewards(rewards, tries=1)
    made.submit(1, Sample("exits", (), task="counting"), ANSWERS)
    failure = arrived(made, 1)[1].failure
    made.close()
    assert failure and failure.message == "sample 'exits' of task 'counting': SystemExit: bad answer"


class Counted:
    """Rewards that wait for a gate, and count how many are at work at once."""

    def __init__(self) -> None:
        self.lock, self.gate = threading.Lock(), threading.Event()
        self.now = self.most = 0

    def score_many(self, samples, completions):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.gate.wait(60)
        with self.lock:
            self.now -= 1
        return [Verdict(0.5, Outcome.WRONG) for _ in completions]


def until(holds) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def started(made: ThreadedRewards, keys: range) -> None:
    for key in keys:
        made.submit(key, Sample("good", (), task="t"), ANSWERS)


def test_forgotten_rewards_that_end_in_time_leave_as_many_threads_as_are_allowed() -> None:
    rewards = Counted()
    made = ThreadedRewards(rewards, workers=2, seconds=0.5)
    for step in range(3):
        rewards.gate.clear()
        started(made, range(10 * step, 10 * step + 2))
        until(lambda: rewards.now == 2)
        made.forget()
        rewards.gate.set()
        until(lambda: rewards.now == 0)
    time.sleep(0.6)  # now they would be overdue
    assert made.poll() == []
    made.seconds = 60
    rewards.gate.clear()
    started(made, range(100, 130))
    until(lambda: rewards.now == 2)
    time.sleep(0.05)
    rewards.gate.set()
    assert len(arrived(made, 30)) == 30 and rewards.most == 2
    made.close()


def test_the_thread_of_a_forgotten_reward_that_hangs_is_replaced_once_however_often_one_looks() -> None:
    rewards = Counted()
    made = ThreadedRewards(rewards, workers=2, seconds=0.2)
    started(made, range(2))
    until(lambda: rewards.now == 2)
    made.forget()
    time.sleep(0.3)
    for _ in range(5):
        assert made.poll() == []
    made.seconds = 60
    started(made, range(10, 40))
    until(lambda: rewards.now == 4)  # two hang, two are at work
    time.sleep(0.05)
    rewards.gate.set()
    assert len(arrived(made, 30)) == 30 and rewards.most == 4
    made.close()


def test_what_was_forgotten_never_arrives(rewards) -> None:
    made = ThreadedRewards(rewards, workers=1)
    for key, name in enumerate(["hangs", "good"]):
        made.submit(key, Sample(name, (), task="t"), ANSWERS)
    made.forget()
    made.submit(2, Sample("good", (), task="t"), ANSWERS)
    rewards.gate.set()
    assert arrived(made, 1).keys() == {2}
    made.close()


def test_a_service_that_is_gone_stops_the_training_and_costs_no_group(rewards) -> None:
    def gone(samples, completions):
        raise UsageError("no reward service answers")

    rewards.score_many = gone
    made = ThreadedRewards(rewards)
    made.submit(0, Sample("good", (), task="t"), ANSWERS)
    with pytest.raises(UsageError, match="no reward service answers"):
        arrived(made, 1)
    made.close()
