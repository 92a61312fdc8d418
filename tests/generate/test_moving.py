"""A sample that moves to another engine goes on as if it had stayed."""

from __future__ import annotations

import pytest
import torch

from mimovl.errors import DataError
from mimovl.generate import Engine
from mimovl.model import VisionLanguageModel
from mimovl.types import Completion, Request, SamplingParams
from tests import tiny

PROMPTS = 5
SAMPLES = 3


@pytest.fixture(scope="module")
def model() -> VisionLanguageModel:
    return tiny.model(sharp=8)


def asked() -> list[Request]:
    """Groups with pictures, whose answers end at different times."""
    return [
        Request(sample, SamplingParams(temperature=1.0, max_tokens=20 + 9 * n, seed=n), SAMPLES)
        for n, sample in enumerate(tiny.questions("world/counting", PROMPTS))
    ]


def engine(model: VisionLanguageModel, slots: int = 16, **settings: int) -> Engine:
    return Engine(model, tiny.processor(), slots=slots, **settings)


def play(engines: list[Engine], requests: list[Request], moves: dict[int, tuple[int, int, int]]) -> dict:
    """All samples, asked of the first engine; ``moves`` at a step: from, to, how many."""
    places = {(0, engines[0].submit(request)): number for number, request in enumerate(requests)}
    found: dict[tuple[int, int], Completion] = {}
    step = 0
    while not all(one.idle for one in engines):
        if step in moves:
            source, target, count = moves[step]
            groups = engines[source].give(count)
            assert 0 < sum(len(one.samples) or one.request.num_samples for one in groups) <= count
            for group, ticket in zip(groups, engines[target].adopt(groups), strict=True):
                places[target, ticket] = places[source, group.ticket]
        for number, one in enumerate(engines):
            for done in one.step():
                key = places[number, done.ticket], done.sample
                assert key not in found, "each sample is reported once"
                found[key] = done.completion
        step += 1
    return found


def test_answers_and_log_probabilities_are_equal_to_the_bit_wherever_samples_move(model: VisionLanguageModel) -> None:
    requests = asked()
    alone = engine(model).generate(requests)
    moves = {3: (0, 1, 4), 9: (0, 2, 5), 15: (1, 2, 1), 22: (2, 0, 2), 30: (2, 1, 1)}
    found = play([engine(model) for _ in range(3)], requests, moves)
    assert found == {(n, sample): one for n, group in enumerate(alone) for sample, one in enumerate(group)}


def test_groups_that_wait_move_whole_and_first(model: VisionLanguageModel) -> None:
    requests = asked()
    alone = engine(model).generate(requests)
    engines = [engine(model, slots=6), engine(model, slots=6)]
    found = play(engines, requests, {4: (0, 1, 5)})
    assert found == {(n, sample): one for n, group in enumerate(alone) for sample, one in enumerate(group)}
    giver = engine(model, slots=6)
    for request in requests:
        giver.submit(request)
    giver.step()
    assert [bool(group.samples) for group in giver.give(8)] == [False, False, True]


def test_what_has_moved_leaves_no_page_behind(model: VisionLanguageModel) -> None:
    one, other = engine(model), engine(model)
    for request in asked():
        one.submit(request)
    for _ in range(5):
        one.step()
    other.adopt(one.give(PROMPTS * SAMPLES))
    assert one.idle and not one._own.used and not one._shared.used and not one._reserved
    while not other.idle:
        other.step()
    assert not other._own.used and not other._shared.used and not other._reserved


def test_an_engine_without_room_adopts_nothing(model: VisionLanguageModel) -> None:
    giver = engine(model)
    for request in asked():
        giver.submit(request)
    giver.step()
    moved = giver.give(6)
    with pytest.raises(DataError, match="6 samples of another engine come, 4 slots are free"):
        engine(model, slots=4).adopt(moved)
    small = engine(model, cache_tokens=320)
    with pytest.raises(DataError, match="may hold 320"):
        small.adopt(moved)
    with pytest.raises(DataError, match="pages of 32 tokens come, this engine's have 64"):
        engine(model, page_tokens=64).adopt(moved)
    assert small.idle
    assert engine(model).adopt(moved), "what was refused is still whole"


def test_half_precision_moves_as_it_is() -> None:
    model = tiny.model(sharp=8).to(torch.bfloat16)
    requests = asked()
    alone = engine(model).generate(requests)
    found = play([engine(model), engine(model)], requests, {6: (0, 1, 7)})
    assert found == {(n, sample): one for n, group in enumerate(alone) for sample, one in enumerate(group)}
