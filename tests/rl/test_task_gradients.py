from __future__ import annotations

import pytest
import torch

from mimovl.generate import Engine
from mimovl.rl import RLConfig, update_policy
from mimovl.rl.task_gradients import InterferenceConfig, TaskGradients, pcgrad, split_by_task
from mimovl.team import ALONE, Team, run_team
from mimovl.train import Optimizer
from tests import tiny
from tests.rl import groups as made


def vectors(*rows: list[float]) -> list[torch.Tensor]:
    return [torch.tensor(row) for row in rows]


def test_gradients_that_agree_are_added() -> None:
    assert torch.equal(pcgrad(vectors([1.0, 0.0], [1.0, 2.0], [0.0, 0.5]), seed=1), torch.tensor([2.0, 2.5]))


def test_of_two_that_contradict_each_loses_its_part_along_the_other() -> None:
    """By hand: (1, 0) loses −1/2 of (−1, 1), leaving (½, ½); (−1, 1) loses −1 of (1, 0), leaving (0, 1)."""
    assert torch.allclose(pcgrad(vectors([1.0, 0.0], [-1.0, 1.0]), seed=0), torch.tensor([0.5, 1.5]))


def test_what_is_left_of_two_contradicts_neither() -> None:
    torch.manual_seed(0)
    for seed in range(20):
        one = torch.randn(40)
        other = -one + torch.randn(40)
        total = pcgrad([one, other], seed=seed)
        assert float(total @ one) > -1e-4 and float(total @ other) > -1e-4


def test_a_task_without_a_gradient_harms_nobody() -> None:
    assert torch.equal(pcgrad(vectors([1.0, 2.0], [0.0, 0.0]), seed=0), torch.tensor([1.0, 2.0]))


class Toy:
    """Parameters whose gradient by task is known: that of a sum weighted by the task's own numbers."""

    def __init__(self, size: int = 4000) -> None:
        torch.manual_seed(0)
        self.parameters = [torch.nn.Parameter(torch.zeros(size)), torch.nn.Parameter(torch.zeros(10, 5))]
        base = torch.randn(size + 50)
        self.weights = {
            "a": base,
            "b": -0.5 * base + torch.randn(size + 50),
            "c": 0.5 * base + torch.randn(size + 50),
        }

    def backward(self, task: str, share: float = 1.0) -> None:
        flat = torch.cat([parameter.reshape(-1) for parameter in self.parameters])
        (share * self.weights[task] @ flat).backward()

    def gradient(self) -> torch.Tensor:
        return torch.cat([parameter.grad.reshape(-1) for parameter in self.parameters])


def run(method: str, coordinates: int = 65_536, team: Team = ALONE, share: float = 1.0, number: int = 1):
    toy = Toy()
    config = InterferenceConfig(method=method, coordinates=coordinates)
    by_task = TaskGradients(toy.parameters, config, team, number)
    for task in toy.weights:
        toy.backward(task, share)
        by_task.take(task)
    return toy, by_task.finish()


def cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(one, other, dim=0))


@pytest.mark.parametrize("method", ["measure", "pcgrad"])
def test_cosines_are_those_of_the_tasks_own_gradients(method: str) -> None:
    toy, figures = run(method)
    for pair, value in figures["gradient_cosines"].items():
        one, other = pair.split()
        assert value == pytest.approx(cosine(toy.weights[one], toy.weights[other]), abs=1e-4)
    assert list(figures["gradient_cosines"]) == ["a b", "a c", "b c"]
    assert figures["gradient_conflicts"] == pytest.approx(2 / 3)
    for task, norm in figures["gradient_norm_by_task"].items():
        assert norm == pytest.approx(float(toy.weights[task].norm()), rel=1e-4)


def test_a_few_coordinates_estimate_them() -> None:
    """512 of 4,050: five standard deviations of the estimate are 0.22."""
    toy, figures = run("measure", coordinates=512)
    for pair, value in figures["gradient_cosines"].items():
        one, other = pair.split()
        assert value == pytest.approx(cosine(toy.weights[one], toy.weights[other]), abs=0.22)
    assert figures["gradient_norm_by_task"]["a"] == pytest.approx(float(toy.weights["a"].norm()), rel=0.25)


def test_every_update_draws_its_own_coordinates_so_that_errors_average_out() -> None:
    """40 updates of 512: their mean is nearer than one by √40; an update made again reads the same coordinates."""
    found = [run("measure", coordinates=512, number=number)[1]["gradient_cosines"]["a b"] for number in range(1, 41)]
    toy = Toy()
    truth = cosine(toy.weights["a"], toy.weights["b"])
    error = (sum((one - truth) ** 2 for one in found) / 40) ** 0.5
    assert len(set(found)) == 40 and abs(sum(found) / 40 - truth) < 3 * error / 40**0.5
    assert run("measure", coordinates=512, number=7)[1]["gradient_cosines"]["a b"] == found[6]


def test_measuring_leaves_the_sum_and_settling_leaves_that_of_pcgrad() -> None:
    toy, _ = run("measure")
    assert torch.allclose(toy.gradient(), sum(toy.weights.values()), atol=1e-4)
    toy, _ = run("pcgrad")
    assert torch.equal(toy.gradient(), pcgrad(list(toy.weights.values()), seed=1))


@pytest.mark.parametrize("method", ["measure", "pcgrad"])
def test_a_team_finds_what_one_process_finds(method: str) -> None:
    gradient, figures = run_team(2, _half, (method,))
    toy, alone = run(method)
    assert torch.allclose(gradient, toy.gradient(), atol=1e-4)
    for pair, value in alone["gradient_cosines"].items():
        assert figures["gradient_cosines"][pair] == pytest.approx(value, abs=1e-4)


def _half(team: Team, method: str):
    """Each process has half of every task's gradient; each sees the whole in the end."""
    toy, figures = run(method, team=team, share=0.5)
    return toy.gradient(), figures


def updated(**changes: object):
    settings = RLConfig.model_validate(
        {"tasks": {"counting": 1}, "steps": 1, "train": ["language"], "learning_rate": {"language": 1e-3}, **changes}
    )
    model = made.sampler()
    optimizer = Optimizer({"language": model.language}, {"language": 1e-3}, settings.optimizer)
    gradient = []
    step = optimizer.step

    def spy(factor: float = 1.0) -> float:
        gradient.append(torch.cat([parameter.grad.reshape(-1) for parameter in optimizer.parameters]))
        return step(factor)

    optimizer.step = spy  # type: ignore[method-assign]
    figures = update_policy(Engine(model, tiny.processor()), optimizer, made.rolled(), settings, 1.0, ALONE)
    return gradient[0], figures


def test_an_update_that_is_measured_has_the_gradient_of_one_that_is_not() -> None:
    plain, without = updated()
    measured, figures = updated(interference={"every": 1})
    assert torch.allclose(plain, measured, atol=1e-6 + 1e-5 * float(plain.abs().max()))
    assert figures["loss"] == pytest.approx(without["loss"], abs=1e-6) and "gradient_cosines" not in without
    tasks = {group.request.sample.task for group in made.rolled()}
    assert len(figures["gradient_cosines"]) == len(tasks) * (len(tasks) - 1) // 2
    whole = updated(interference={"method": "pcgrad"})[1]
    for pair, value in whole["gradient_cosines"].items():
        assert figures["gradient_cosines"][pair] == pytest.approx(value, abs=0.05)


def test_every_group_belongs_to_the_part_of_its_task() -> None:
    groups = made.rolled()
    parts = dict(split_by_task(groups, groups[:2]))
    assert sorted(place for places in parts.values() for place in places) == [0, 1]
    assert set(parts) == {group.request.sample.task for group in groups}
