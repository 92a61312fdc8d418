from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import ks_2samp

from mimovl.errors import DataError
from mimovl.generate import Engine
from mimovl.reward import RewardRouter
from mimovl.rl.easy_pool import EasyPool
from mimovl.rl.prompts import PromptSource
from mimovl.rl.reward_queue import ThreadedRewards
from mimovl.rl.seamless import Batch, Collector
from mimovl.rl.simulator import World
from mimovl.team import Team, run_team
from mimovl.types import Completion, Outcome, RolloutGroup, Verdict
from tests import tiny
from tests.data import small
from tests.rl.simulated import NAIVE, SEAMLESS, Simulation, config

PARTS = ("continuous", "asynchronous_rewards", "early_termination")
EVERY = [dict(zip(PARTS, switches, strict=True)) for switches in itertools.product((False, True), repeat=3)]
SHORT = {"continuous": True, "early_termination": True}


def numbers(groups: list[RolloutGroup]) -> list[int]:
    return [group.request.sampling.seed for group in groups]


# ---------------------------------------------------------------- what is accepted


def in_order(simulation: Simulation, first: int, count: int) -> list[int]:
    """The first informative prompts, by asking the world itself."""
    found: list[int] = []
    for number in itertools.count(first):
        if len(set(simulation.world.right(simulation.request(number)))) == 2:
            found.append(number)
            if len(found) == count:
                return found
    raise AssertionError


@pytest.mark.parametrize("rollout", EVERY, ids=str)
def test_with_any_switches_the_batch_is_the_first_informative_prompts_and_no_prompt_is_lost(rollout) -> None:
    simulation = Simulation(rollout)
    first, share = 0, None
    for step in range(3):
        batch = simulation.collector.collect(first, step, share=share)
        assert numbers(batch.kept) == in_order(simulation, first, 16)
        assert batch.draws >= numbers(batch.kept)[-1] - first + 1
        if rollout["continuous"] or rollout["early_termination"]:
            assert batch.draws == numbers(batch.kept)[-1] - first + 1
        assert numbers(batch.sampled) == list(range(first, first + batch.draws))
        assert all(group.policy_version == step for group in batch.sampled)
        first, share = first + batch.draws, batch.share
        assert not simulation.time.arrivals and simulation.engine.step() == []


@pytest.mark.parametrize("latency", [0.0, 5.0, 500.0])
def test_slow_rewards_change_what_a_step_costs_and_nothing_of_what_it_accepts(latency) -> None:
    world = World(longest=1000, mean=0.3, reward_seconds=latency, reward_skew=2.0)
    batch = Simulation(SEAMLESS, world=world).collector.collect(0, 0)
    assert numbers(batch.kept) == in_order(Simulation(SEAMLESS), 0, 16)
    assert batch.draws == numbers(batch.kept)[-1] + 1 and 0 <= batch.figures["waste"] < 1


def seconds(rollout: dict, **changes) -> tuple[float, Batch]:
    simulation = Simulation(rollout, **changes)
    batch = simulation.collector.collect(0, 0)
    return simulation.time.now, batch


def test_each_part_added_to_the_one_before_saves_time() -> None:
    names = [{}, *({part: True for part in PARTS[:count]} for count in (1, 2, 3))]
    world = World(longest=1000, mean=0.3, reward_seconds=10.0)
    times = [seconds({"round_groups": 64, **parts}, groups=64, slots=256, world=world)[0] for parts in names]
    assert times[0] > 1.1 * times[1] and times[1] > 1.1 * times[2] and times[2] > 1.1 * times[3]


def test_without_dynamic_sampling_every_prompt_is_used_and_none_is_surplus() -> None:
    for rollout in (NAIVE, SEAMLESS):
        _, batch = seconds(rollout, dynamic_sampling=False)
        assert numbers(batch.kept) == list(range(16)) and batch.draws == 16
        assert (batch.figures["groups_started"], batch.figures["waste"]) == (16, 0.0)


def test_nothing_is_started_beyond_the_limit_and_the_step_goes_ahead_with_what_there_is() -> None:
    world = World(informative=0.05, longest=1000)
    for rollout in (NAIVE, SEAMLESS):
        _, batch = seconds(rollout, world=world, oversample=2.0, max_rounds=2)
        assert 0 < len(batch.kept) < 16 and batch.figures["groups_started"] <= 2 * 2 * 16


def test_idle_counts_time_empty_slots_count_slots_and_waste_surplus_tokens() -> None:
    """One round of four single-slot groups of known lengths."""
    simulation = Simulation({"round_groups": 4}, groups=1, samples=2, slots=8, world=World(informative=1, longest=100))
    batch = simulation.collector.collect(0, 0)
    lengths = np.array([simulation.world.lengths(simulation.request(number)) for number in range(4)])
    assert batch.figures["waste"] == pytest.approx(1 - lengths[0].sum() / lengths.sum())
    assert batch.figures["empty_slots"] == pytest.approx(1 - lengths.sum() / (8 * lengths.max()))
    rewards = max(simulation.world.latency(number) for number in range(4))
    assert batch.figures["idle"] == pytest.approx(rewards / (lengths.max() + rewards))
    assert batch.figures["truncated"] == pytest.approx((lengths == 100).mean())


def answered(team: Team, rollout: dict) -> list[tuple]:
    """What a team accepts, of the embedded engine and real rewards, in two steps."""
    real = Real(by_text, rollout=rollout, max_tokens=12)
    real.collector.team = team
    first, found = 0, []
    for step in range(2):
        batch = real.collector.collect(first, step)
        first += batch.draws
        found += [
            (group.request.sampling.seed, [one.completion.tokens for one in group.rollouts], group.rollouts[0].reward)
            for group in batch.kept
        ]
    real.rewards.close()
    return [first, *found]


@pytest.mark.parametrize("rollout", [NAIVE, SEAMLESS], ids=["naive", "seamless"])
def test_a_team_of_two_accepts_what_one_process_does(rollout) -> None:
    alone, together = (run_team(size, answered, (rollout,)) for size in (1, 2))
    assert alone[0] == together[0] or not rollout
    assert alone[1:] == together[1:] and len(alone) == 13


# ---------------------------------------------------------------- no bias


def lengths(batches: list[Batch]) -> list[int]:
    return [len(one.completion.tokens) for batch in batches for group in batch.kept for one in group.rollouts[:1]]


def steps(rollout: dict, seed: int, collector: type[Collector] = Collector) -> list[Batch]:
    world = World(longest=1000, mean=0.3, within=0.2, seed=seed)
    simulation = Simulation(rollout, slots=128, groups=64, samples=2, world=world)
    simulation.collector.__class__ = collector
    first, batches = 0, []
    for step in range(20):
        batches.append(simulation.collector.collect(first, step))
        first += batches[-1].draws
    return batches


class FirstFinished(Collector):
    """What one must not do: take the first informative groups that happen to be ready."""

    def _over(self) -> bool:
        self._ledger.entries.sort(key=lambda entry: (not entry.decided, entry.number))
        ready = [entry for entry in self._ledger.entries if entry.verdicts is not None]
        if sum(self._is_valid(entry.rewards) for entry in ready) >= self.config.groups:
            self._ledger.cut = len(ready)
            return True
        self._ledger.entries.sort(key=lambda entry: entry.number)
        return super()._over()

    def _batch(self, version: int) -> Batch:
        batch = super()._batch(version)
        batch.kept = batch.kept[: self.config.groups]
        batch.draws = self._ledger.entries[-1].number - self._first + 1
        return batch


def test_early_termination_does_not_bias_the_lengths_of_what_is_accepted_and_the_test_would_notice() -> None:
    """Kolmogorov–Smirnov on 1280 groups each, one answer a group as answers of a group are alike."""
    fair = lengths(steps(NAIVE, seed=1))
    early = lengths(steps({**SEAMLESS, "margin": 2.0}, seed=2))
    hasty = lengths(steps({**SEAMLESS, "margin": 2.0}, seed=2, collector=FirstFinished))
    assert len(fair) == len(early) == len(hasty) == 1280
    assert ks_2samp(fair, early, method="asymp").pvalue > 0.05
    assert ks_2samp(fair, hasty, method="asymp").pvalue < 1e-3 and np.mean(hasty) < 0.9 * np.mean(fair)


# ---------------------------------------------------------------- resumption


class Killed(Exception):
    pass


@pytest.mark.parametrize("rollout", [SEAMLESS, SHORT, {"asynchronous_rewards": True}], ids=str)
def test_a_step_that_was_stopped_anywhere_goes_on_from_its_queue_and_ends_the_same(rollout) -> None:
    whole = Simulation(rollout).collector.collect(0, 5)
    for stop in (1, 7, 30):
        kept: list[dict] = []

        def save(queue, kept=kept, stop=stop):
            kept.append(queue())
            if len(kept) == stop:
                raise Killed

        with pytest.raises(Killed):
            Simulation(rollout).collector.collect(0, 5, save=save)
        again = Simulation(rollout)
        batch = again.collector.collect(0, 5, restored=kept[-1])
        assert numbers(batch.kept) == numbers(whole.kept) and batch.draws == whole.draws
        assert not {number for number, *_ in kept[-1]["finished"]} & set(again.engine.asked)


# ---------------------------------------------------------------- faults


def test_groups_whose_reward_fails_are_dropped_counted_and_replaced() -> None:
    simulation = Simulation(SEAMLESS, groups=32)
    simulation.rewards.fails = lambda key: key in (1, 4, 9, 20)
    batch = simulation.collector.collect(0, 0)
    assert batch.figures["dropped"] == {"reward-raised": 4} and len(batch.kept) == 32
    assert not {1, 4, 9, 20} & set(numbers(batch.sampled))
    assert [failure.message for _, failure in batch.dropped][:1] == ["group 1: as simulated"] or batch.dropped


@pytest.mark.parametrize("rollout", [SEAMLESS, NAIVE, SHORT], ids=["seamless", "naive", "short"])
def test_the_faults_that_are_counted_and_named_are_those_of_the_prompts_used_up_however_slow_rewards_are(
    rollout,
) -> None:
    told = []
    for latency in (0.0, 5.0, 500.0):
        world = World(longest=1000, mean=0.3, reward_seconds=latency, reward_skew=2.0)
        simulation = Simulation({**rollout, "max_dropped": 0.9}, world=world)
        simulation.rewards.fails = lambda key: key % 3 == 0
        batch = simulation.collector.collect(0, 0)
        told.append((batch.figures["dropped"], batch.draws, [failure.message for _, failure in batch.dropped]))
    assert told[0] == told[1] == told[2]
    counts, draws, stories = told[0]
    assert stories == [f"group {key}: as simulated" for key in range(0, draws, 3)]
    assert counts == {"reward-raised": len(stories)}


def test_too_many_faults_stop_the_training_and_name_the_first() -> None:
    simulation = Simulation(SEAMLESS)
    simulation.rewards.fails = lambda key: True
    with pytest.raises(DataError, match=r"\d+ of the \d+ groups of this step were dropped .*: group \d+: as simulated"):
        simulation.collector.collect(0, 0)
    assert simulation.engine.step() == [] and not simulation.time.arrivals


class Real:
    """The embedded engine and real rewards in threads, with a hand on each."""

    def __init__(self, reward, rollout=SEAMLESS, **changes) -> None:
        settings = config(
            {**rollout, "max_dropped": 0.5},
            **{"groups": 6, "samples": 4, "max_tokens": 6, "tasks": {"counting": 1}, **changes},
        )
        self.engine = Engine(tiny.model(sharp=3.0), tiny.processor(), slots=16)
        self.rewards = ThreadedRewards(RewardRouter({"counting": reward}), workers=2, seconds=30.0, tries=2)
        self.samples = tiny.questions("world/counting", 8)
        source = PromptSource(self.samples, settings, seed=0)
        visual = frozenset(tiny.config().visual_token_ids)
        self.collector = Collector(self.engine, source, EasyPool(0.0, seed=0), self.rewards, settings, forbidden=visual)

    def collect(self) -> Batch:
        try:
            return self.collector.collect(0, 0)
        finally:
            self.rewards.close()
            assert self.engine.idle


def by_text(sample, text: str) -> Verdict:
    return Verdict(len(text) % 5 / 4, Outcome.WRONG)


def test_a_reward_that_raises_or_is_no_number_costs_its_group_and_nothing_else() -> None:
    def moody(sample, text):
        if sample.id == real.samples[0].id:
            raise OSError("gone")
        return Verdict(float("nan") if sample.id == real.samples[1].id else len(text) % 5 / 4, Outcome.WRONG)

    real = Real(moody)
    batch = real.collect()
    assert len(batch.kept) == 6 and batch.figures["dropped"].keys() == {"reward-raised"}
    assert not {group.request.sample.id for group in batch.sampled} & {sample.id for sample in real.samples[:2]}
    stories = " ".join(failure.message for _, failure in batch.dropped)
    assert "OSError: gone (2 tries)" in stories or "not in [0, 1]" in stories


@pytest.mark.parametrize(
    ("reason", "spoiled"),
    [("visual-token", lambda tokens: (*tokens, tiny.config().image_token_id)), ("empty", lambda tokens: ())],
)
def test_an_answer_with_a_visual_token_or_none_at_all_costs_its_group_and_never_reaches_the_update(
    monkeypatch, reason, spoiled
) -> None:
    real = Real(by_text)
    bad, step = real.samples[2].id, Engine.step
    seen = {}
    submit = Engine.submit

    def spied(self, request):
        ticket = submit(self, request)
        seen[ticket] = request.sample.id
        return ticket

    def poisoned(self):
        return [
            type(done)(done.ticket, done.sample, Completion("", "stop", spoiled(done.completion.tokens)))
            if seen.get(done.ticket) == bad
            else done
            for done in step(self)
        ]

    monkeypatch.setattr(Engine, "submit", spied)
    monkeypatch.setattr(Engine, "step", poisoned)
    batch = real.collect()
    assert batch.figures["dropped"].keys() == {reason} and len(batch.kept) == 6
    assert bad not in {group.request.sample.id for group in batch.sampled}


def test_a_prompt_longer_than_the_context_is_dropped_by_name() -> None:
    real = Real(by_text, dynamic_sampling=False)
    long = real.samples[3]
    real.collector.source.samples = [
        type(long)(long.id, (small.user("circle " * 3000),), task="counting", gold=long.gold) if one is long else one
        for one in real.samples
    ]
    batch = real.collect()
    assert batch.figures["dropped"].keys() == {"prompt"} and len(batch.kept) == 6
    assert all("2048 positions" in failure.message for _, failure in batch.dropped)


def test_an_answer_that_never_ends_is_cut_rewarded_as_such_and_counted() -> None:
    real = Real(by_text, max_tokens=1, dynamic_sampling=False)
    batch = real.collect()
    assert batch.figures["truncated"] > 0.5
    for group in batch.kept:
        for rollout in group.rollouts:
            assert (rollout.completion.finish_reason == "length") == (rollout.verdict.outcome == Outcome.TRUNCATED)
