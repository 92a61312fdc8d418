from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from mimovl.generate import Engine
from mimovl.model import VisionLanguageModel
from mimovl.reward import RewardRouter
from mimovl.rl.monitors.alert import Update
from mimovl.rl.monitors.blanked import BlankedMonitor, blank_media, blank_sample
from mimovl.rl.monitors.config import BlankedConfig
from mimovl.rl.rewards import reward_groups
from mimovl.team import ALONE
from mimovl.types import Request, RolloutGroup, Sample, SamplingParams
from tests import tiny
from tests.rl.monitors.making import group


def encoded(sample: Sample):
    return tiny.processor().encode_prompt(sample.messages, sample.media, id=sample.id)


@pytest.mark.parametrize("source", ["world/counting", "world/clip"])
def test_a_blanked_prompt_has_the_tokens_and_positions_of_the_true_one(source: str) -> None:
    for sample in tiny.questions(source, 4):
        true, blank = encoded(sample), encoded(blank_sample(sample))
        assert torch.equal(true.tokens, blank.tokens) and torch.equal(true.positions, blank.positions)
        for seen, unseen in zip(true.patches, blank.patches, strict=True):
            assert seen.shape == unseen.shape
            assert float(unseen.std(0).max()) < 0.02 < float(seen.std(0).max())  # all patches alike


def test_a_grey_picture_is_made_once() -> None:
    assert blank_media("image", 56, 84) is blank_media("image", 56, 84)
    assert len(blank_sample(tiny.questions("world/arithmetic", 1)[0]).media) == 0


def blind(model: VisionLanguageModel) -> VisionLanguageModel:
    """The same model, but every picture looks alike to it."""
    with torch.no_grad():
        for parameter in model.projector.parameters():
            parameter.zero_()
    return model


def rolled(engine: Engine, count: int = 12) -> list[RolloutGroup]:
    requests = [
        Request(sample, SamplingParams(1.0, max_tokens=6, seed=n), 2, thinking=False)
        for n, sample in enumerate(tiny.questions("world/counting", count))
    ]
    return reward_groups(requests, engine.generate(requests), RewardRouter(), 0)


def asked(model: VisionLanguageModel, **changes: object):
    engine = Engine(model, tiny.processor())
    groups = rolled(engine)
    monitor = BlankedMonitor(BlankedConfig(**{"share": 1.0, "least": 8, **changes}))
    figures = monitor.ask(1, engine, groups, RewardRouter(), ALONE)
    return monitor.look(Update(1, groups, {})), figures


def test_a_policy_that_does_not_look_answers_the_same_and_is_found() -> None:
    [alert], figures = asked(blind(tiny.model(sharp=8)))
    assert figures["blanked_same_by_task"] == {"counting": 1.0}
    assert (alert.monitor, alert.task) == ("blanked", "counting")
    assert "100% of the answers stay the same" in alert.message
    assert all(one.request.sample.media for one in alert.groups)


def test_a_policy_that_looks_answers_something_else_and_is_healthy() -> None:
    alerts, figures = asked(tiny.model(sharp=8))
    assert not alerts and figures["blanked_same_by_task"]["counting"] < 0.5
    assert set(figures) == {"blanked_same_by_task", "blanked_reward_by_task"}


def test_the_share_of_prompts_is_that_of_the_recipe_and_prompts_without_pictures_are_not_among_them() -> None:
    monitor = BlankedMonitor(BlankedConfig(share=0.05))
    mixed = [group(["a"] * 4, id=str(n)) for n in range(40)] + [group(["b"] * 4, picture=None)] * 40
    counts = [len(monitor.due(number, mixed)) for number in range(1, 101)]
    assert sum(counts) == 100 * 40 * 0.05 and set(counts) == {0, 8}  # a few at once, not one at every update


def test_which_are_asked_depends_on_the_update_alone_and_survives_a_kill() -> None:
    groups = [group(["a"] * 4, id=str(n)) for n in range(40)]
    whole = BlankedMonitor(BlankedConfig(share=0.1), seed=3)
    names = [[one.sample.id for one in whole.due(number, groups)] for number in range(1, 9)]
    first = BlankedMonitor(BlankedConfig(share=0.1), seed=3)
    found = [[one.sample.id for one in first.due(number, groups)] for number in range(1, 4)]
    second = BlankedMonitor(BlankedConfig(share=0.1), seed=3, state=json.loads(json.dumps(first.state_dict())))
    assert found + [[one.sample.id for one in second.due(number, groups)] for number in range(4, 9)] == names
    assert len({tuple(one) for one in names if one}) > 1


@pytest.mark.parametrize("count", [1, 4, 7])
def test_few_pictured_prompts_an_update_are_asked_again_by_their_share_too(count: int) -> None:
    monitor = BlankedMonitor(BlankedConfig(share=0.5))
    groups = [group(["a"] * 4, id=str(n)) for n in range(count)]
    counts = [len(monitor.due(number, groups)) for number in range(1, 201)]
    assert sum(counts) == 100 * count and max(counts) == count


def test_what_is_owed_does_not_grow_without_bound() -> None:
    groups = [group(["a"] * 4, id=str(n)) for n in range(40)]
    monitor = BlankedMonitor(BlankedConfig(share=0.1), state={"due": 5000.0})
    counts = [len(monitor.due(number, groups)) for number in range(1, 21)]
    assert counts[0] == 40 and sum(counts) <= 48 + 20 * 4


def test_where_others_sample_both_sides_are_drawn_with_the_same_numbers() -> None:
    """A sampler with numbers of its own, as vLLM has: a policy that does not look is found all the same."""
    engine = Engine(blind(tiny.model(sharp=1)), tiny.processor())
    groups = rolled(engine)
    others = [
        RolloutGroup(replace(one.request, sampling=replace(one.request.sampling, seed=n)), one.rollouts, 0)
        for n, one in enumerate(groups, start=10**6)
    ]
    same = {}
    for draws in (True, False):
        monitor = BlankedMonitor(BlankedConfig(share=1.0, least=8))
        figures = monitor.ask(1, engine, others, RewardRouter(), ALONE, same_draws=draws)
        same[draws] = figures["blanked_same_by_task"]["counting"]
        alerts = monitor.look(Update(1, others, {}))
    assert same[True] < 0.5 and same[False] == 1.0
    assert alerts and all(one.request.sample.media and len(one.rollouts) == 2 for one in alerts[0].groups)
