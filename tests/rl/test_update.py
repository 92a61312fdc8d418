"""What an update does to the parameters, whatever the number of updates and of processes."""

from __future__ import annotations

import pytest
import torch

from mimovl.generate import Engine
from mimovl.rl import RLConfig, update_policy
from mimovl.rl.update import build_algorithm, build_reference
from mimovl.team import ALONE
from mimovl.train import Optimizer
from tests import tiny
from tests.rl import groups as made


def config(**changes: object) -> RLConfig:
    return RLConfig.model_validate(
        {
            "tasks": {"counting": 1},
            "steps": 1,
            "train": ["language"],
            "learning_rate": {"language": 1e-3},
            "length": 200,
            **changes,
        }
    )


def updated(settings: RLConfig, groups=None, reference=None):
    """The policy after an update, its figures, and how many steps the optimizer made."""
    model = made.sampler()
    optimizer = Optimizer({"language": model.language}, {"language": 1e-3}, settings.optimizer)
    steps = []
    step = optimizer.step
    optimizer.step = lambda factor=1.0: (steps.append(factor), step(factor))[1]
    figures = update_policy(
        Engine(model, tiny.processor()), optimizer, groups or made.rolled(), settings, 0.5, ALONE, reference
    )
    return model, figures, steps


def test_on_policy_makes_one_step_of_all_groups() -> None:
    _, figures, steps = updated(config())
    assert steps == [0.5] and set(figures) == {"loss", "logprob_gap", "entropy", "grad_norm"}
    assert figures["logprob_gap"] < 1e-5


@pytest.mark.parametrize(("updates", "expected"), [(1, 1), (2, 2), (5, 5), (16, 5)])
def test_vanilla_makes_as_many_as_it_is_told_of_its_parts(updates: int, expected: int) -> None:
    _, figures, steps = updated(config(vanilla={"updates": updates}))
    assert steps == [0.5] * expected
    assert figures["logprob_gap"] < 1e-5  # of the first, before anything has moved
    assert "clipped" in figures


def test_one_vanilla_update_is_the_on_policy_one() -> None:
    """The ratio is 1 and nothing is clipped; Adam's first step takes signs, so a few tiny gradients may flip."""
    first, second = (updated(settings)[0] for settings in (config(), config(vanilla={"updates": 1})))
    before = made.sampler()
    moved = [
        torch.cat([(p - q).flatten() for p, q in zip(one.parameters(), before.parameters(), strict=True)])
        for one in (first, second)
    ]
    assert torch.nn.functional.cosine_similarity(*moved, dim=0) > 0.999


def test_the_reference_is_a_copy_that_stays() -> None:
    assert build_reference(made.sampler(), config()) is None
    assert build_reference(made.sampler(), config(vanilla={})) is None
    settings = config(vanilla={"kl": 0.1, "updates": 5})
    policy = made.sampler()
    reference = build_reference(policy, settings)
    assert reference is not policy and not any(p.requires_grad for p in reference.parameters())
    before = {name: value.clone() for name, value in reference.state_dict().items()}
    _, figures, _ = updated(settings, reference=reference)
    assert all(torch.equal(value, before[name]) for name, value in reference.state_dict().items())
    assert figures["kl"] > 0


def test_the_recipe_chooses_the_algorithm() -> None:
    assert build_algorithm(config()).__name__ == "on_policy_loss"
    assert build_algorithm(config(vanilla={"clip_high": 0.4})).keywords["config"].clip_high == 0.4
