"""Prompts by weight and mode, the always solved ones by their share."""

import pytest

from mimovl.errors import DataError
from mimovl.rl import EasyPool, PromptSource
from tests import tiny
from tests.rl.test_trainer import config


def test_a_prompt_is_a_pure_function_of_its_number() -> None:
    samples = [*tiny.questions("world/counting", 5), *tiny.questions("world/arithmetic", 3)]
    settings = config(tasks={"counting": 3, "arithmetic": 1}, thinking={"counting": 0.5}, samples=2, max_tokens=7)
    source = PromptSource(samples, settings, seed=3)
    everything = source.draw(0, 400)
    assert source.draw(100, 50) == everything[100:150]
    assert PromptSource(samples, settings, seed=3).draw(0, 400) == everything
    assert PromptSource(samples, settings, seed=4).draw(0, 400) != everything
    counting = [request for request in everything if request.sample.task == "counting"]
    assert len(counting) == pytest.approx(300, abs=30)
    assert sum(request.thinking is False for request in counting) == pytest.approx(len(counting) / 2, abs=35)
    assert all(r.thinking is None for r in everything if r.sample.task == "arithmetic")
    assert len({request.sampling.seed for request in everything}) == 400
    assert {(r.num_samples, r.sampling.max_tokens, r.sampling.temperature) for r in everything} == {(2, 7, 1.0)}


class Read(list):
    """Prompts whose ids and tasks are known, and which of them were read."""

    def __init__(self, samples) -> None:
        super().__init__(samples)
        self.ids, self.tasks = [sample.id for sample in samples], [sample.task for sample in samples]
        self.read: list[int] = []

    def __getitem__(self, index):
        self.read.append(index)
        return super().__getitem__(index)

    def __iter__(self):
        raise AssertionError("all are read")


def test_prompts_that_are_indexed_are_read_one_by_one_as_they_are_drawn_and_come_out_the_same() -> None:
    samples = [*tiny.questions("world/counting", 5), *tiny.questions("world/arithmetic", 3)]
    settings = config(tasks={"counting": 3, "arithmetic": 1}, samples=2)
    indexed = Read(samples)
    source = PromptSource(indexed, settings, seed=3)
    assert indexed.read == []
    easy = EasyPool(0.3, seed=3, names=[samples[0].id, samples[1].id, samples[6].id])
    for pool in (None, easy):
        indexed.read.clear()
        asked = source.draw(0, 60, pool)
        assert asked == PromptSource(samples, settings, seed=3).draw(0, 60, pool)
        assert [samples[index] for index in indexed.read] == [request.sample for request in asked]


def test_a_task_without_prompts_is_named() -> None:
    with pytest.raises(DataError, match="'grounding'; the dataset has: counting"):
        PromptSource(tiny.questions("world/counting", 2), config(tasks={"grounding": 1}, thinking={}), seed=0)


def test_a_pooled_prompt_gives_way_to_another_of_its_task_and_comes_by_the_pools_share() -> None:
    samples = [*tiny.questions("world/counting", 5), *tiny.questions("world/arithmetic", 3)]
    settings = config(tasks={"counting": 1, "arithmetic": 1}, samples=2)
    source = PromptSource(samples, settings, seed=3)
    easy = EasyPool(0.1, seed=3, names=[samples[0].id, samples[5].id])
    asked = source.draw(0, 2000, easy)
    pooled = [request for request in asked if request.sample.id in easy]
    assert len(pooled) == pytest.approx(200, abs=45)
    tasks = [request.sample.task for request in asked]
    assert tasks.count("counting") == pytest.approx(1000, abs=100)
    assert source.draw(300, 50, easy) == asked[300:350]
    assert source.draw(0, 300, EasyPool(0.1)) == source.draw(0, 300)


def test_where_all_of_a_task_are_solved_they_are_asked() -> None:
    samples = tiny.questions("world/counting", 3)
    source = PromptSource(samples, config(), seed=0)
    easy = EasyPool(0.0, names=[sample.id for sample in samples])
    assert source.draw(0, 20, easy) == source.draw(0, 20)


def test_a_pooled_prompt_that_is_no_longer_in_the_data_is_left_out() -> None:
    source = PromptSource(tiny.questions("world/counting", 3), config(), seed=0)
    assert source.draw(0, 20, EasyPool(1.0, names=["gone"])) == source.draw(0, 20)
